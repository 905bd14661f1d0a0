"""What `learners` = light, full and auto cost and give on the demo recording: events per second, bytes of state, and every interval scored."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks.policies import table
from benchmarks.predicting import score
from pointsman.schemas import Learners, OptimizationConfig, Track, decode, encode
from pointsman.streams.core import Core
from pointsman.streams.recording import read_lines

FORMS: tuple[Learners, ...] = ("light", "auto", "full")
COSTS = {"events/s": ",.0f", "x json.loads": ".4f", "x light": ".2f", "state bytes": ",.0f", "largest part": ",.0f"}
SCORES = {"outcomes": ",.0f", "WAPE %": ".1f", "last value": ".1f", "rolling median": ".1f", "coverage": ".3f", "worst 500": ".3f", "Winkler": ".4g"}


def config(learners: Learners) -> OptimizationConfig:
    """The demo's tracks."""
    return OptimizationConfig(learners=learners, tracks=(Track(name="local"), Track(name="api")))


def seconds(job: Callable[[], object], runs: int) -> float:
    """Processor time of this process, the median of some runs: the machine's other work counts less."""
    times = []
    for _ in range(runs):
        began = time.process_time()
        job()
        times.append(time.process_time() - began)
    return statistics.median(times)


def fold(lines: list[bytes], learners: Learners) -> Core:
    """Replay: decode, fold, encode."""
    core = Core(config(learners))
    for line in lines:
        for output in core.step(decode(line)):
            encode(output)
    return core


def costs(lines: list[bytes], runs: int) -> list[dict[str, Any]]:
    """Throughput and state of each form."""
    bare = seconds(lambda: [json.loads(line) for line in lines], 3)
    rows: list[dict[str, Any]] = []
    for learners in FORMS:
        cores: list[Core] = []
        took = seconds(lambda cores=cores, learners=learners: cores.append(fold(lines, learners)), runs)  # type: ignore[misc]
        parts = cores[-1].snapshot(cores[-1].scopes()[0])
        row: dict[str, Any] = {"policy": learners, "events/s": len(lines) / took, "x json.loads": bare / took}
        rows.append(row | {"state bytes": sum(map(len, parts.values())), "largest part": max(map(len, parts.values()))})
    return [row | {"x light": row["events/s"] / rows[0]["events/s"]} for row in rows]


def scores(lines: list[bytes]) -> list[dict[str, Any]]:
    """Every interval of light and full, per track and metric."""
    rows = []
    for learners in ("light", "full"):
        for found in score(map(decode, lines), config(learners)):
            row = found.row()
            rows.append(row | {"policy": f"{learners} {row['track']} {row['metric']}", "worst 500": row["worst 500"] or float("nan")})
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not needed: the demo recording comes with the package")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    parser.add_argument("--quick", action="store_true", help="the first 2,000 events, once")
    parser.add_argument("--runs", type=int, default=3, help="how often each replay is timed; the median counts")
    options = parser.parse_args(arguments)
    lines = [line for _, line in read_lines(Path(str(files("pointsman.streams") / "recordings" / "demo.jsonl.gz")))]
    lines = lines[:2000] if options.quick else lines
    cost, scored = costs(lines, 1 if options.quick else options.runs), scores(lines)
    print(table(f"Replay of the demo recording, {len(lines)} events, processor time", cost, COSTS))
    print(table("Predictions before the outcome, beside the last value and the median of the last 50 (WAPE %)", scored, SCORES))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps([*cost, *scored], indent=2) + "\n")


if __name__ == "__main__":
    main()
