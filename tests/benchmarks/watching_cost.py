"""What watching a scope costs: processor time per event with signals on and off in alternation, where it goes, and the bytes of state that each room keeps."""

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from signalling import CONFIG, signalled

from benchmarks.policies import table
from pointsman.schemas import AnyInput, OptimizationConfig, Signals, Track
from pointsman.streams.core import Core
from pointsman.streams.demo_fault import faulty_demo

ROOMS = {
    "outcomes": ("watch_track",),
    "recent outcomes": ("watch_recent",),
    "hosts": ("watch_host",),
    "minutes": ("watch_minutes", "watch"),
    "objectives": ("objective",),
    "ways": ("paths",),
    "incidents": ("incidents", "reports", "deployments", "guard"),
    "controls": ("controls",),
    "recurrence": ("recurrence", "precursors"),
}
FIVE = tuple(Track(name=f"track-{number}") for number in range(5))


def fold(events: Sequence[AnyInput], config: OptimizationConfig) -> tuple[Core, float]:
    """The core after all of it, and the processor time that the fold took, in seconds."""
    core = Core(config)
    began = time.process_time()
    for event in events:
        core.step(event)
    return core, time.process_time() - began


def cost(name: str, events: Sequence[AnyInput], config: OptimizationConfig, runs: int) -> dict[str, Any]:
    """Microseconds an event without and with signals, the medians of runs in alternation."""
    off = config.model_copy(update={"signals": Signals(enabled=False), "objectives": ()})
    times: dict[str, list[float]] = {"off": [], "on": []}
    for _ in range(runs):
        for form, used in (("off", off), ("on", config)):
            times[form].append(1e6 * fold(events, used)[1] / len(events))
    found = {form: statistics.median(took) for form, took in times.items()}
    return {"policy": name, "events": len(events), **found, "more": found["on"] - found["off"], "share": found["on"] / found["off"]}


def room_of(part: str) -> str:
    """Which room a part of a snapshot belongs to; all that is none of the signals' is routing and forecasts."""
    if not part.startswith("signals:"):
        return "workload" if part.startswith("workload:") else "routing"
    name = part.removeprefix("signals:")
    return next((room for room, begins in ROOMS.items() if name.startswith(begins)), "minutes")


def five(events: Sequence[AnyInput]) -> Iterator[AnyInput]:
    """The same over five tracks."""
    for event in events:
        if event.TYPE == "config.changed/1":
            continue
        request = getattr(event, "request_id", None)
        track = f"track-{sum(request.encode()) % 5}" if request is not None and getattr(event, "track", None) is not None else None
        yield event.model_copy(update={"track": track}) if track is not None else event


def state(name: str, core: Core) -> dict[str, Any]:
    """Bytes of a snapshot by room, compressed as they are saved."""
    parts = core.snapshot(core.scopes()[0])
    row: dict[str, Any] = {room: 0 for room in ("routing", "workload", *ROOMS)}
    for part, data in parts.items():
        row[room_of(part)] += len(data)
    return {"policy": name, "total": sum(map(len, parts.values())), "largest part": max(map(len, parts.values())), **row}


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not needed")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    parser.add_argument("--quick", action="store_true", help="once, and a short stream")
    parser.add_argument("--runs", type=int, default=3, help="how often each fold is timed; the median counts")
    options = parser.parse_args(arguments)
    runs, seconds = (1, 120.0) if options.quick else (options.runs, 640.0)
    whole = signalled(1, seconds)
    demo = faulty_demo("latency")[0][: 400 if options.quick else None]
    light = OptimizationConfig(learners="light", tracks=(Track(name="local"), Track(name="api")))
    everywhere = tuple(one.model_copy(update={"track": None}) for one in CONFIG.objectives)
    wide = CONFIG.model_copy(update={"tracks": FIVE, "objectives": everywhere, "signals": Signals(false_alarms_per_month=30.0)})
    costs = [cost("demo with a slow endpoint", demo, light, runs), cost("stages, traces, hosts, objectives", whole, CONFIG, runs)]
    empty = Core(light)
    empty.step(demo[0])
    states = [
        state("one event", empty),
        state("demo with a slow endpoint", fold(demo, light)[0]),
        state("two tracks, all at work", fold(whole, CONFIG)[0]),
        state("five tracks, all at work", fold([*five(whole)], wide)[0]),
        state("five tracks, full learners", fold([*five(whole)], wide.model_copy(update={"learners": "full"}))[0]),
    ]
    columns = {name: ",.0f" for name in states[0] if name != "policy"}
    print(table("Processor time, µs an event", costs, {"events": ",.0f", "off": ".0f", "on": ".0f", "more": ".0f", "share": ".2f"}))
    print(table("State, bytes of a snapshot", states, columns))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps([*costs, *states], indent=2) + "\n")


if __name__ == "__main__":
    main()
