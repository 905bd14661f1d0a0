"""What the board costs an event and holds in memory, and how near its quantiles of several windows come to the recorded latencies."""

import argparse
import json
import math
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from pointsman.schemas import AnyInput, Event, RequestCompleted, ResourceSampled, WindowClosed, decode, encode
from pointsman.sinks.board import Board
from pointsman.sinks.board_mix import Spread, mixed
from pointsman.streams.core import Core
from pointsman.streams.demo import CONFIG, RECORDING
from pointsman.streams.recording import read_lines

NOW_S = 300.0


def costs(told: list[Event], rounds: int) -> dict[str, dict[str, float]]:
    """Per type how many, and the median over rounds of the CPU time of hearing one, beside that of reading its line with `json.loads`, in microseconds."""
    by_type: dict[str, list[Event]] = defaultdict(list)
    for event in told:
        by_type[str(getattr(event, "type", ""))].append(event)
    by_type["all"] = told
    lines = {kind: [encode(event) for event in events] for kind, events in by_type.items()}
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(rounds):
        for kind, events in by_type.items():
            found[kind].append((_each(Board().hear, events), _each(json.loads, lines[kind])))
    return {
        kind: {"events": len(by_type[kind]), "hear": round(median(a for a, _ in pairs), 2), "json.loads": round(median(b for _, b in pairs), 2)}
        for kind, pairs in found.items()
    }


def _each(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    began = time.thread_time()
    for item in items:
        work(item)
    return 1e6 * (time.thread_time() - began) / len(items)


def answers(told: list[Event], rounds: int) -> dict[str, float]:
    """Milliseconds of CPU time of a view and of the series, of the whole recording."""
    board = Board()
    for event in told:
        board.hear(event)
    found = {}
    for name, ask in (("view", board.view), ("series", board.series)):
        times = []
        for _ in range(rounds):
            times.append(_each(ask, ["demo"]) / 1e3)
        found[name] = round(median(times), 2)
    return found


def memory(told: list[Event], scopes: int) -> dict[str, float]:
    """MB that a board takes with so many scopes, each of which has heard the whole recording."""
    tracemalloc.start()
    board = Board()
    for number in range(scopes):
        for event in told:
            board.hear(event.model_copy(update={"scope": f"scope {number}"}))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"scopes": scopes, "mb": round(taken / 1e6, 2)}


def errors(inputs: list[AnyInput], told: list[Event]) -> dict[str, dict[str, float]]:
    """Mean error in % of a quantile over 5 minutes, from the windows' quantiles: the board's, and the mean weighed by counts."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    windows = [one for one in told if isinstance(one, WindowClosed) and one.latency_p50_ms is not None]
    done = [one for one in inputs if isinstance(one, RequestCompleted) and one.latency_ms is not None]
    for track in ("local", "api"):
        own = [one for one in windows if one.track == track]
        for end in sorted({one.end for one in own})[5:]:
            five = [one for one in own if end - NOW_S < one.end <= end]
            truth = sorted(one.latency_ms or 0.0 for one in done if one.track == track and end - NOW_S <= one.occurred_at < end)
            for level, name in ((0.5, "p50"), (0.95, "p95")):
                true = truth[max(math.ceil(level * len(truth)), 1) - 1]
                spreads = [Spread(one.count, one.latency_p50_ms or 0.0, one.latency_p95_ms or 0.0, one.latency_p99_ms or 0.0) for one in five]
                weighed = sum(one.count * getattr(one, f"latency_{name}_ms") for one in five) / sum(one.count for one in five)
                found[f"{track} {name}"].append((abs((mixed(spreads, level) or 0.0) / true - 1.0), abs(weighed / true - 1.0)))
    return {
        name: {"board": round(100.0 * mean(a for a, _ in pairs), 1), "weighed mean": round(100.0 * mean(b for _, b in pairs), 1)}
        for name, pairs in found.items()
    }


def main(arguments: argparse.Namespace) -> None:
    """Print the figures, and write them where told."""
    core = Core(CONFIG)
    inputs, told = [], []
    for _, line in list(read_lines(RECORDING))[: 2000 if arguments.quick else None]:
        event = decode(line)
        inputs.append(event)
        told += [*([event] if isinstance(event, ResourceSampled) else []), *core.step(event)]
    rounds = 3 if arguments.quick else 15
    figures: dict[str, Any] = {"hear": costs(told, rounds), "answer_ms": answers(told, rounds), "memory": memory(told, 2 if arguments.quick else 8)}
    if not arguments.quick:
        figures["error_percent"] = errors(inputs, told)
    for kind, row in figures["hear"].items():
        print(f"{kind:28} {row['events']:6} events  {row['hear']:6.2f} µs an event, json.loads {row['json.loads']:6.2f} µs")
    print("view {view} ms, series {series} ms".format(**figures["answer_ms"]))
    print("{scopes} scopes: {mb} MB".format(**figures["memory"]))
    for name, row in figures.get("error_percent", {}).items():
        print(f"{name:10} over 5 minutes: error {row['board']} %, of the mean weighed by counts {row['weighed mean']} %")
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="A few events and rounds: only that it runs.")
    main(parser.parse_args())
