"""What watches the series of a scope: alerts on recordings without a fault, and how soon faults in them are found.

Faults change the outcomes of one track, or the samples of its host, from a random moment on; the load stays as it was recorded. Beside the watch of hosts a
control chart: 3 sigma, exponentially weighted.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pointsman.models.join import Attempt
from pointsman.models.watch import Watch
from pointsman.schemas import AlertRaised, AnyInput, OptimizationConfig, RequestCompleted, RequestStarted, ResourceSampled, Track, decode
from pointsman.streams import signals
from pointsman.streams.core import Core
from pointsman.streams.recording import read_lines

from . import engine_core, watching_hosts
from .engine_runs import joined, load
from .policies import data_folder, table

DEMO = Path(__file__).parents[2] / "streams/pointsman/streams/recordings/demo.jsonl.gz"
CONFIG = OptimizationConfig(learners="light", tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)))
Call = tuple[AnyInput, Attempt | None, int, float]
Fault = Callable[[RequestCompleted, int, random.Random], RequestCompleted]


class Heard(signals.Signals):
    """Notes what a scope tells its signals, so that it can be told again without the scope."""

    calls: list[Call]

    def started(self, event: RequestStarted, now: float) -> list[Any]:
        self.calls.append((event, None, 0, now))
        return []

    def completed(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> list[Any]:
        self.calls.append((event, attempt, 0, now))
        return []

    def sampled(self, event: ResourceSampled, in_flight: int, now: float) -> list[Any]:
        self.calls.append((event, None, in_flight, now))
        return []


def heard(events: Iterable[AnyInput], config: OptimizationConfig) -> list[Call]:
    """What the signals of the stream's one scope hear after its first event."""
    core, calls = Core(config), list[Call]()
    for event in events:
        core.step(event)
        scope = core.scope(event.scope)
        if not isinstance(scope.signals, Heard):
            scope.signals = Heard(config)
            scope.signals.calls = calls
    return calls


def alerts(calls: Iterable[Call]) -> Iterator[tuple[AnyInput, dict[str, Any]]]:
    """What is raised, with the event at which it is."""
    watch = Watch(OptimizationConfig())
    for event, attempt, in_flight, now in calls:
        told = watch.advance(now)
        if isinstance(event, RequestStarted):
            watch.started(event, now)
        elif isinstance(event, RequestCompleted):
            told += watch.completed(event, attempt, now)
        elif isinstance(event, ResourceSampled):
            told += watch.sampled(event, in_flight, now)
        yield from ((event, fields) for model, fields in told if model is AlertRaised)


def slower(factor: float) -> Fault:
    """Latency and TTFT times a factor."""
    return lambda event, _, draw: event.model_copy(
        update={name: factor * value for name in ("latency_ms", "ttft_ms") if (value := getattr(event, name)) is not None}
    )


def failing(event: RequestCompleted, place: int, draw: random.Random) -> RequestCompleted:
    """A fifth of the requests fail."""
    return event.model_copy(update={"success": False, "failure_class": "provider"}) if draw.random() < 0.2 else event


def creeping(event: RequestCompleted, place: int, draw: random.Random) -> RequestCompleted:
    """One percent slower every ten requests."""
    return event.model_copy(update={"latency_ms": (event.latency_ms or 0.0) * 1.01 ** (place / 10.0)})


FAULTS: dict[str, tuple[Fault, tuple[str, ...]]] = {
    "latency x 2": (slower(2.0), ("latency_ms", "ttft_ms")),
    "latency x 4": (slower(4.0), ("latency_ms", "ttft_ms")),
    "20 % errors": (failing, ("error",)),
    "1 % slower every 10": (creeping, ("latency_ms",)),
}


def found(calls: list[Call], track: str, name: str, times: int) -> dict[str, Any]:
    """How often a fault on a track is found within 300 of its requests, and after how many."""
    fault, metrics = FAULTS[name]
    ends = [place for place, call in enumerate(calls) if isinstance(call[0], RequestCompleted) and call[0].track == track]
    draw, delays = random.Random(1), list[tuple[int, float]]()
    for _ in range(times):
        first = draw.randrange(200, len(ends) - 200)
        number = {place: one - first for one, place in enumerate(ends[: first + 300])}
        dice = random.Random(first)
        changed = [
            (fault(call[0], number[place], dice), *call[1:]) if number.get(place, -1) >= 0 and isinstance(call[0], RequestCompleted) else call
            for place, call in enumerate(calls[: ends[min(first + 300, len(ends)) - 1] + 1])
        ]
        places = {call[0].event_id: number[place] for place, call in enumerate(changed) if place in number}
        began = calls[ends[first]][3]
        for event, fields in alerts(changed):
            if fields.get("track") == track and fields["metric"] in metrics and places.get(event.event_id, -1) >= 0:
                delays.append((places[event.event_id] + 1, event.occurred_at - began))
                break
    delays.sort()
    middle = delays[len(delays) // 2] if delays else (None, None)
    return {"policy": f"{name}, {track}", "found": len(delays) / times, "requests": middle[0] or 0, "seconds": middle[1] or 0.0}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="Two times each instead of 20.")
    given = parser.parse_args()
    demo = heard((decode(line) for _, line in read_lines(DEMO)), CONFIG)
    runs = load(data_folder(given.data) / "vllm_burstgpt")
    streams = {"demo": demo}
    for label, scales in [*((str(scale), [scale]) for scale in sorted(runs)), ("all", sorted(runs)), ("all, reversed", sorted(runs, reverse=True))]:
        streams[f"vLLM {label}"] = heard(engine_core.events(joined(runs, scales)), engine_core.CONFIG.model_copy(update={"learners": "light"}))
    quiet = []
    for label, calls in streams.items():
        begun = time.process_time()
        raised = [fields["fingerprint"] for _, fields in alerts(calls)]
        cost = 1e6 * (time.process_time() - begun) / len(calls)
        quiet.append({"policy": label, "events": len(calls), "alerts": len(raised), "us": cost, "which": " ".join(sorted(set(raised)))})
    hosts, host_faults = watching_hosts.quiet(streams), watching_hosts.faults(demo, 4 if given.quick else 20)
    faults = [found(demo, track, name, 2 if given.quick else 20) for track in ("api", "local") for name in FAULTS]
    print(table("without a fault", quiet, {"events": ".0f", "alerts": ".0f", "us": ".0f", "which": "s"}), end="\n\n")
    print(table("gauges of hosts without a fault", hosts, {"samples": ".0f", "ours": ".0f", "chart": ".0f", "which": "s"}), end="\n\n")
    print(table("faults in the demo's recording", faults, {"found": ".2f", "requests": ".0f", "seconds": ".0f"}), end="\n\n")
    shown = {"found": ".2f", "in 30": ".2f", "samples": ".0f", "seconds": ".0f", "chart": ".2f", "chart in 30": ".2f"}
    print(table("faults of its host", host_faults, shown))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({"quiet": quiet, "hosts": hosts, "faults": faults, "host faults": host_faults}, indent=2))


if __name__ == "__main__":
    main()
