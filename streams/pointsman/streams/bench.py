"""First figures: the core, the replay and the embedded optimizer beside the plainest program that touches the same bytes.

Every figure is the median of three, all in one run; ratios are what travels between machines.
"""

import io
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from pointsman.models.context import Context
from pointsman.schemas import OptimizationConfig, Track, decode, encode

from .core import Core
from .embedded import Optimizer
from .recording import read_lines

RUNS = 3
BATCH = 500
CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))


def _seconds(job: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        job()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _fold(lines: list[bytes]) -> Core:
    core, out = Core(CONFIG), io.BytesIO()
    for line in lines:
        for output in core.step(decode(line)):
            out.write(encode(output) + b"\n")
    return core


def _append(lines: list[bytes], folder: Path) -> None:
    """Raw appends of the same bytes in the same batches and with the same durability."""
    path = folder / f"raw-{time.perf_counter_ns()}.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE journal (position INTEGER PRIMARY KEY, line BLOB)")
    for place in range(0, len(lines), BATCH):
        with connection:
            connection.executemany("INSERT INTO journal (line) VALUES (?)", [(line,) for line in lines[place : place + BATCH]])
    connection.close()


def _embed(lines: list[bytes], folder: Path) -> None:
    with Optimizer.open(str(folder / f"own-{time.perf_counter_ns()}.db"), CONFIG) as optimizer:
        for place in range(0, len(lines), BATCH):
            optimizer.record_many([decode(line) for line in lines[place : place + BATCH]])


def _percentiles(core: Core, scope: str) -> tuple[float, float]:
    times = []
    for number in range(2000):
        began = time.perf_counter()
        core.decide(scope, Context(300, 200), f"request-{number}")
        times.append(1e6 * (time.perf_counter() - began))
    times.sort()
    return times[1000], times[1980]


def measure(recording: Path) -> list[dict[str, Any]]:
    """All figures over one recording: name, value, unit, baseline, ratio."""
    lines = [line for _, line in read_lines(recording)]
    count = len(lines)
    bare = _seconds(lambda: [json.loads(line) for line in lines])
    decoding = _seconds(lambda: [decode(line) for line in lines])
    folding = _seconds(lambda: _fold(lines))
    with tempfile.TemporaryDirectory() as name:
        raw = _seconds(lambda: _append(lines, Path(name)))
        embedded = _seconds(lambda: _embed(lines, Path(name)))
    core = _fold(lines)
    scope = core.scopes()[0]
    median, high = _percentiles(core, scope)
    size = sum(map(len, core.snapshot(scope).values()))
    return [
        {"name": "decode and validate", "value": count / decoding, "unit": "events/s", "baseline": "json.loads", "ratio": bare / decoding},
        {"name": "replay", "value": count / folding, "unit": "events/s", "baseline": "json.loads", "ratio": bare / folding},
        {"name": "embedded, durable", "value": count / embedded, "unit": "events/s", "baseline": "raw SQLite appends", "ratio": raw / embedded},
        {"name": "decision p50", "value": median, "unit": "us", "baseline": None, "ratio": None},
        {"name": "decision p99", "value": high, "unit": "us", "baseline": None, "ratio": None},
        {"name": "state of a scope", "value": float(size), "unit": "bytes", "baseline": None, "ratio": None},
    ]


def main(output: Path | None = None) -> None:
    """Measure, print a table, and leave the same as JSON."""
    rows = measure(Path(str(files("pointsman.streams") / "recordings" / "demo.jsonl.gz")))
    for row in rows:
        beside = f"{row['ratio']:.3f} x {row['baseline']}" if row["ratio"] is not None else ""
        print(f"{row['name']:<22}{row['value']:>14,.1f} {row['unit']:<10}{beside}")
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(rows, indent=2) + "\n")
