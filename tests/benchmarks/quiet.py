"""What nothing wrong raises on recorded data: alarms asked for beside alarms measured, of the series detector alone and of the live rooms.

Series: fourteen kinds of made-up noise (the first 100 rows are the warm-up); a week of recorded arrival rates (rows of ten minutes: services that were
recorded so long, and the twenty largest clients of one; the first two days are the warm-up); and latency, TTFT and gauges of the recorded vLLM runs 100, 200
and 400, each by itself (the first 100 rows are the warm-up). An alarm is told once per 100 rows. Nobody labelled the recorded series: what is raised may be a
true oddity, so a ratio above 1 is an upper bound. Live: the same week as requests, and the runs.
Run: PYTHONPATH=tests python -m benchmarks.quiet [--data FOLDER] [--json FILE] [--quick]
"""

import argparse
import csv
import gzip
import json
import statistics
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from pointsman.models.detector import SeriesDetector
from pointsman.models.false_alarms import MONTH_S, Alarms
from pointsman.schemas import AlertRaised, AnyInput, IncidentOpened, OptimizationConfig, RequestCompleted, decode_fields
from pointsman.streams.convert_load import convert_load, read_rates
from pointsman.streams.core import Core

from .anomalies import noises
from .fault_ground import recorded
from .faults import opens
from .policies import data_folder, table

ASKED = (3.0, 1.0, 0.3)
MONTHLY = (1.0, 30.0, 1000.0)
RATES, CLIENTS = "aggregate_rate_10min_days1-7.csv", "m-small_clients_days1-7.csv.gz"
RATES_STEP_S, RATES_WARM_UP, RUN_WARM_UP, LARGEST = 600.0, 288, 100, 20
RUNS = {"vllm-0-100-": 100, "vllm-1-200-": 200, "vllm-2-400-": 400}
GAUGES = ("generation_throughput", "num_running", "gpu_kvcache_usage")


class Quiet(NamedTuple):
    """A recorded series, how many of its rows are warm-up, and the usual seconds between two."""

    source: str
    name: str
    warm_up: int
    step_s: float
    rows: list[tuple[float, float]]


def rates(folder: Path) -> Iterator[Quiet]:
    """A week of arrival rates: services, and the largest clients of one."""
    with (folder / RATES).open() as file:
        rows = list(csv.DictReader(file))
    for name in list(rows[0])[1:]:
        whole = [(float(row["t"]), float(row[name])) for row in rows if row[name]]
        if len(whole) > 2 * RATES_WARM_UP:
            yield Quiet("rates", name, RATES_WARM_UP, RATES_STEP_S, whole)
    clients: dict[str, list[tuple[float, float]]] = {}
    with gzip.open(folder / CLIENTS, "rt") as file:
        for row in csv.DictReader(file):
            clients.setdefault(row["client"], []).append((float(row["t_s"]), float(row["rate"] or 0.0)))
    largest = sorted(clients, key=lambda name: (-sum(value for _, value in clients[name]), name))[:LARGEST]
    for name in largest:
        yield Quiet("rates", f"client {name}", RATES_WARM_UP, RATES_STEP_S, clients[name])


def calm(folder: Path, events: Sequence[AnyInput]) -> Iterator[Quiet]:
    """Latency and TTFT of the requests of the calm runs, and the engine's gauges twice a second, run by run."""
    for run, scale in RUNS.items():
        series: dict[str, list[tuple[float, float]]] = {}
        for event in events:
            if isinstance(event, RequestCompleted) and event.event_id.startswith(run):
                series.setdefault("latency_ms", []).append((event.occurred_at, event.latency_ms or 0.0))
                series.setdefault("ttft_ms", []).append((event.occurred_at, event.ttft_ms or 0.0))
        with gzip.open(folder / f"engine_scale{scale}.csv.gz", "rt") as file:
            for row in csv.DictReader(file):
                for name in GAUGES:
                    series.setdefault(name, []).append((float(row["timestamp"]), float(row[name])))
        for name, rows in series.items():
            yield Quiet("runs", f"{run}{name}", RUN_WARM_UP, statistics.fmean(later[0] - sooner[0] for sooner, later in pairwise(rows)), rows)


def noise(rows: int) -> Iterator[Quiet]:
    """Made-up noise of every kind."""
    for name, values in noises(rows).items():
        yield Quiet("noise", name, RUN_WARM_UP, 300.0, [(300.0 * row, value) for row, value in enumerate(values.tolist())])


def raised(series: Quiet, asked: Sequence[float] = ASKED) -> list[tuple[int, int]]:
    """Alarms and rows after the warm-up, at each rate that is asked for (per 1,000 rows)."""
    detector = SeriesDetector()
    said = [detector.step(at, value).surprise for at, value in series.rows]
    found = []
    for one in asked:
        alarms = Alarms(one / 1000.0 * MONTH_S / series.step_s)
        told = [alarms.raises(surprise, series.step_s) for surprise in said]
        found.append((sum(told[series.warm_up :]), len(said) - series.warm_up))
    return found


def alone(source: str, found: Sequence[list[tuple[int, int]]]) -> Iterator[dict[str, Any]]:
    """Asked and measured, all series of a source together; the ratios of the quietest and the loudest of them."""
    for place, asked in enumerate(ASKED):
        alarms, rows = sum(one[place][0] for one in found), sum(one[place][1] for one in found)
        measured = 1000.0 * alarms / rows
        each = [1000.0 * one[place][0] / one[place][1] / asked for one in found]
        wide = {"measured": measured, "ratio": measured / asked, "least": min(each), "most": max(each)}
        yield {"policy": f"{source}, {asked:g} per 1,000 rows", "series": len(found), "rows": rows, **wide}


def live(job: tuple[str, float], data: Path, per_row: float) -> dict[str, Any]:
    """Alerts of the live rooms on a recording: per series and month, and incidents, at so many false alarms asked for."""
    warnings.filterwarnings("ignore")
    source, asked = job
    if source == "rates":
        fields = convert_load(read_rates(data / "servegen" / RATES, None), per_row, 20.0, "local", 0)
        events, warm_up_s, names = [decode_fields(one) for one in fields], RATES_WARM_UP * RATES_STEP_S, ["local"]
    else:
        whole = recorded(data)
        last = max(event.occurred_at for event in whole if event.event_id.startswith(tuple(RUNS)))
        events, warm_up_s, names = [event for event in whole if event.occurred_at <= last], 300.0, ["local", "api"]
    tracks = [{"name": name, "max_concurrency": 256} for name in names]
    config = OptimizationConfig.model_validate({"tracks": tracks, "learners": "light", "signals": {"false_alarms_per_month": asked}})
    core, since = Core(config), events[0].occurred_at + warm_up_s
    said = [one for event in events for one in core.step(event) if opens(one) and one.occurred_at > since]
    alerts = [f"{one.track or one.host or 'scope'} {one.metric} {one.kind}" for one in said if isinstance(one, AlertRaised)]
    return {
        "policy": f"{source}, {asked:g} a month",
        "hours": (events[-1].occurred_at - since) / 3600.0,
        "alerts": len(alerts),
        "incidents": sum(isinstance(one, IncidentOpened) for one in said),
        "of": alerts[:20],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--requests-per-row", type=float, default=20.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="Few series, few requests.")
    given = parser.parse_args(arguments)
    data = data_folder(given.data)
    series = [*noise(600 if given.quick else 6000), *rates(data / "servegen"), *calm(data / "vllm_burstgpt", recorded(data))]
    if given.quick:
        series = series[::8]
    jobs = [(source, asked) for source in ("rates", "runs") for asked in MONTHLY]
    with ProcessPoolExecutor(given.processes) as pool:
        found = list(pool.map(raised, series))
        played = list(pool.map(partial(live, data=data, per_row=2.0 if given.quick else given.requests_per_row), jobs))
    lines = [
        line
        for source in ("noise", "rates", "runs")
        for line in alone(source, [one for quiet, one in zip(series, found, strict=True) if quiet.source == source])
    ]
    print(table("The detector alone", lines, {"series": "d", "rows": "d", "measured": ".2f", "ratio": ".2f", "least": ".2f", "most": ".2f"}), end="\n\n")
    print(table("Live, after the warm-up", played, {"hours": ".1f", "alerts": "d", "incidents": "d"}))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        each = [{"source": one.source, "name": one.name, "alarms": alarms} for one, alarms in zip(series, found, strict=True)]
        given.json.write_text(json.dumps({"alone": lines, "series": each, "live": played}, indent=2))


if __name__ == "__main__":
    main()
