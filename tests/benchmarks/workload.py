"""The live workload on a recorded rate: coverage and WAPE of what the core published while it folded, the record of its scaling advice, and what that costs.

Days of one servegen column become a recording of requests (`pointsman convert load`); truth and last value are counted from the recording itself.
Run: PYTHONPATH=tests python -m benchmarks.workload [--data FOLDER] [--column NAME] [--rows N] [--requests-per-row N] [--json FILE] [--quick]
"""

import argparse
import json
import statistics
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointsman.schemas import AnyInput, ForecastIssued, Forecasts, OptimizationConfig, Scaling, ScalingScored, Track, decode
from pointsman.streams.convert_load import convert_load, read_rates
from pointsman.streams.core import Core
from pointsman.streams.live_series import HORIZONS_S, MINUTE_S, SCOPE_MINUTES

from .policies import data_folder

FILE = "aggregate_rate_10min_days1-7.csv"
ADVISED = Scaling(track="local", concurrency_per_replica=0.5, start_delay_s=600.0)


def fold(events: Sequence[AnyInput], *, is_on: bool) -> tuple[list[Any], float, int]:
    """The outputs, the seconds of processor time, and the bytes of a snapshot's workload at the end."""
    core = Core(OptimizationConfig(tracks=(Track(name="local"),), forecasts=Forecasts(enabled=is_on), scaling=(ADVISED,)))
    began = time.process_time()
    outputs = [output for event in events for output in core.step(event)]
    spent = time.process_time() - began
    return outputs, spent, sum(len(part) for name, part in core.snapshot(core.scopes()[0]).items() if name.startswith("workload"))


def forecast_row(horizon_s: float, issued: Sequence[ForecastIssued], starts: Sequence[float]) -> dict[str, Any]:
    """What one horizon of the arrival rate was worth."""
    row_s = MINUTE_S if horizon_s == MINUTE_S else SCOPE_MINUTES * MINUTE_S

    def rate(end: float) -> float:
        return (bisect_left(starts, end) - bisect_left(starts, end - row_s)) / row_s

    due = [one for one in issued if one.metric == "arrival_rate" and one.horizon_s == horizon_s and one.target_time <= starts[-1]]
    pairs = [(one, rate(one.target_time)) for one in due]
    volume = sum(value for _, value in pairs)
    return {
        "horizon_s": horizon_s,
        "forecasts": len(due),
        "coverage": sum(one.lower <= value <= one.upper for one, value in pairs) / len(pairs),
        "wape": sum(abs(one.median - value) for one, value in pairs) / volume,
        "wape_last_value": sum(abs(rate(one.target_time - horizon_s) - value) for one, value in pairs) / volume,
    }


def measure(events: Sequence[AnyInput]) -> dict[str, Any]:
    """Every figure of one recording."""
    outputs, spent, size = fold(events, is_on=True)
    _, bare, _ = fold(events, is_on=False)
    starts = [event.occurred_at for event in events if event.type == "request.started/1"]
    issued = [one for one in outputs if isinstance(one, ForecastIssued)]
    scored = [one for one in outputs if isinstance(one, ScalingScored)]
    minutes = (events[-1].occurred_at - events[0].occurred_at) / MINUTE_S
    return {
        "forecasts": [forecast_row(horizon, issued, starts) for horizon in HORIZONS_S],
        "hours_scored": len(scored),
        "unserved_share": statistics.fmean(one.unserved_share for one in scored),
        "over_provisioned_share": statistics.fmean(one.over_provisioned_share for one in scored),
        "changes_a_day": 24.0 * statistics.fmean(one.changes for one in scored),
        "us_per_event": 1e6 * spent / len(events),
        "us_per_event_without": 1e6 * bare / len(events),
        "ms_per_minute": 1e3 * (spent - bare) / minutes,
        "snapshot_bytes": size,
    }


def report(found: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [f"{'horizon':>10}{'forecasts':>12}{'coverage':>12}{'WAPE':>10}{'last value':>12}"]
    for row in found["forecasts"]:
        lines.append(f"{row['horizon_s']:>8.0f} s{row['forecasts']:>12}{row['coverage']:>12.3f}{row['wape']:>10.3f}{row['wape_last_value']:>12.3f}")
    lines += [
        f"scaling, {found['hours_scored']} hours: unserved {found['unserved_share']:.2%} (target {ADVISED.unserved_share:.0%}), "
        f"over-provisioned {found['over_provisioned_share']:.1%}, {found['changes_a_day']:.0f} changes a day",
        f"cost: {found['us_per_event']:.0f} us an event, {found['us_per_event_without']:.0f} without forecasts; {found['ms_per_minute']:.2f} ms a minute of "
        f"event time; {found['snapshot_bytes'] / 1000:.0f} KB in a snapshot",
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder that holds servegen (default: POINTSMAN_BENCH_DATA, else ../shared/data)")
    parser.add_argument("--column", default="language_m-small")
    parser.add_argument("--rows", type=int, default=432)
    parser.add_argument("--requests-per-row", type=float, default=20.0)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--quick", action="store_true", help="one day")
    options = parser.parse_args(arguments)
    path = data_folder(options.data) / "servegen" / FILE
    if not path.is_file():
        sys.exit(f"{path}: not there: get servegen (alibaba/ServeGen) and name its parent by --data")
    rows = read_rates(path, options.column)[: 144 if options.quick else options.rows]
    events = [decode(json.dumps(event).encode()) for event in convert_load(rows, options.requests_per_row, latency_s=60.0)]
    found = measure(events)
    print(f"{options.column}: {len(rows)} rows of 10 minutes, {options.requests_per_row:g} requests a row, {len(events)} events")
    print(report(found))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
