"""The demo: real recorded streams through the embedded default, what was learned from them, and what that saves."""

import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pointsman.schemas import (
    AnyInput,
    Constraints,
    Event,
    Interval,
    OptimizationConfig,
    RecommendationIssued,
    RequestCompleted,
    Track,
    decode,
)
from pointsman.sinks.accuracy import accuracy, judged
from pointsman.sinks.prediction_report import figures
from pointsman.sinks.report import write_report

from .demo_routing import run_routing
from .embedded import Optimizer
from .recording import read_lines

RECORDING = Path(str(files("pointsman.streams") / "recordings" / "demo.jsonl.gz"))
CONFIG = OptimizationConfig(
    strategy="balanced",
    tracks=(Track(name="local", max_concurrency=256), Track(name="api", cost_per_1k_input_tokens=0.001, cost_per_1k_output_tokens=0.001)),
    constraints=Constraints(max_latency_ms=60_000, max_cost_usd=0.0001, max_gpu_memory_mb=24_500),
)


def _said(interval: Interval | None, unit: float, digits: int) -> str:
    if interval is None:
        return "-"
    return f"{interval.median / unit:.{digits}f} [{interval.lower / unit:.{digits}f}, {interval.upper / unit:.{digits}f}]"


def run_demo(report: Path) -> None:
    """Play the recordings, print what was learned, what is recommended and what was saved, and write the HTML report."""
    console = Console(width=None if sys.stdout.isatty() else 100)
    events = [decode(line) for _, line in read_lines(RECORDING)]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Optimizer.open(str(Path(folder) / "demo.db"), CONFIG) as optimizer:
        outputs = optimizer.record_many(events)
        status = optimizer.status()["demo"]
    seconds = time.perf_counter() - began
    span = (events[-1].occurred_at - events[0].occurred_at) / 60.0
    console.print(f"{len(events)} recorded events of {span:.0f} minutes, {len(outputs)} outputs, in {seconds:.1f} s.")
    console.print("Two real recordings played side by side on one clock: a vLLM server (local) under growing load, and a hosted endpoint (api).")
    _print_tracks(console, events, outputs, list(status["tracks"]))
    _print_advice(console, outputs)
    write_report(report, events, outputs, run_routing(console, report.parent))
    console.print(f"The same with plots: {report}")


def _print_tracks(console: Console, events: list[AnyInput], outputs: list[Event], tracks: list[str]) -> None:
    found = judged(events, outputs)
    table = Table(title="What happened, and how well its latency was predicted before it did")
    for column in (
        "track",
        "completed",
        "latency p50 / p95 s",
        "cost USD",
        "WAPE ours %",
        "last value %",
        "median of 50 %",
        "90 % interval held %",
        "worst 500 %",
    ):
        table.add_column(column, justify="left" if column == "track" else "right")
    for track in tracks:
        done = [event for event in events if isinstance(event, RequestCompleted) and event.track == track]
        latencies = sorted(event.latency_ms / 1000.0 for event in done if event.latency_ms is not None)
        middle, high = latencies[len(latencies) // 2], latencies[int(0.95 * len(latencies))]
        rows = found.get((track, "latency_ms"))
        cost = sum(event.cost_usd or 0.0 for event in done)
        table.add_row(track, str(len(done)), f"{middle:.1f} / {high:.1f}", f"{cost:.4f}", *(figures(accuracy(rows))[1:6] if rows else ()))
    console.print(table)


def _print_advice(console: Console, outputs: list[Event]) -> None:
    advice = [output for output in outputs if isinstance(output, RecommendationIssued) and output.segment == "all" and output.request_id is None]
    table = Table(title="When the recommendation moved, and why")
    for column in ("minute", "to", "propensity", "why"):
        table.add_column(column)
    previous = ""
    for output in advice:
        if output.track != previous:
            minute = (output.occurred_at - advice[0].occurred_at) / 60.0
            table.add_row(f"{minute:.1f}", output.track, f"{output.propensity:.3f}", "\n".join(output.reasons))
            previous = output.track
    console.print(table)
    table = Table(title="Recommended at the end")
    for column in ("track", "propensity", "latency s, 90 %", "TTFT s, 90 %", "timeout s", "health"):
        table.add_column(column)
    for row in advice[-1].tracks:
        latency, first = _said(row.expected.latency_ms, 1000.0, 1), _said(row.expected.ttft_ms, 1000.0, 2)
        table.add_row(row.track, f"{row.propensity:.3f}", latency, first, f"{row.timeout_ms / 1000.0:.0f}", row.health)
    console.print(table)
