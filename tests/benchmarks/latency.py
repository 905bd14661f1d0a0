"""TTFT and latency of an engine with a queue: predictions learned online over recorded vLLM runs, beside baselines and offline gradient boosting.

The runs of a split are played one after another on a shifted clock; errors are counted in the test runs only, each prediction is made at the
request's start. Run: PYTHONPATH=tests python -m benchmarks.latency [--data FOLDER] [--json FILE] [--quick]
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from river import linear_model, optim, preprocessing

from pointsman.models.conformal import Conformal
from pointsman.models.engine import Engine
from pointsman.models.situation import Situation

from .engine_core import scores
from .engine_runs import COMPLETED, PAUSE_S, SAMPLED, STARTED, Served, Stream, joined, load, shuffled, without_gauges
from .policies import EPOCH, data_folder, table

SPLITS = (((100, 400, 1000, 1500), (200, 600, 800)), ((100, 200, 600, 1000), (400, 800, 1500)), ((100, 200, 400, 600, 800, 1000), (1500,)))
METRICS = ("TTFT", "end to end")

Forecast = tuple[float, float]
"""TTFT and latency in seconds."""


class Guess(NamedTuple):
    """What was said of a request at its start, and whether it said that intervals could not be trusted."""

    forecast: Forecast
    is_beyond: bool = False
    near: tuple[float, ...] = ()
    in_flight: int = 0
    beyond: float = 0.0


def predicted(engine: Engine, stream: Stream) -> dict[str, Guess]:
    """What the engine's predictor says of every request, learning as it goes; nothing known yet is 0 s."""
    guesses = {}
    for at, kind, name, gauges in stream.happenings:
        if kind == SAMPLED:
            engine.sampled(at, gauges)
            continue
        request = stream.requests[name]
        if kind == COMPLETED:
            engine.complete(name, at, 1000.0 * request.latency_s, 1000.0 * request.ttft_s, success=True, output_tokens=request.output_tokens)
            continue
        situation = Situation(at, input_tokens=request.input_tokens)
        in_flight, said = len(engine.queue), engine.start(name, situation)
        forecast = (math.exp(said.ttft_ms) / 1000.0, math.exp(said.latency_ms) / 1000.0) if said else (0.0, 0.0)
        guesses[name] = Guess(forecast, engine.is_beyond, said.near if said else (), in_flight, said.beyond if said else 0.0)
    return guesses


def outcome(request: Served) -> Forecast:
    """What came of it."""
    return request.ttft_s, request.latency_s


def of_the_last(stream: Stream, count: int) -> dict[str, Guess]:
    """The median of the last outcomes; of one, the last value."""
    recent: deque[Forecast] = deque(maxlen=count)
    guesses = {}
    for _, kind, name, _ in stream.happenings:
        if kind == STARTED:
            guesses[name] = Guess((statistics.median(one[0] for one in recent), statistics.median(one[1] for one in recent)) if recent else (0.0, 0.0))
        elif kind == COMPLETED:
            recent.append(outcome(stream.requests[name]))
    return guesses


def states(stream: Stream) -> dict[str, list[float]]:
    """What a plain model is given of each start: input, in flight, running, pending, KV-cache use."""
    seen: dict[str, list[float]] = {}
    gauges: Mapping[str, float] = {}
    in_flight = 0
    for _, kind, name, fresh in stream.happenings:
        if kind == SAMPLED:
            gauges = fresh
        elif kind == STARTED:
            engine = (gauges.get("num_running", 0.0), gauges.get("num_pending", 0.0), gauges.get("gpu_kvcache_usage", 0.0))
            seen[name] = [float(stream.requests[name].input_tokens), float(in_flight), *engine]
        in_flight += {STARTED: 1, COMPLETED: -1, SAMPLED: 0}[kind]
    return seen


def linear(stream: Stream) -> dict[str, Guess]:
    """River's linear regression of the logarithms, online."""
    inputs = {name: {str(place): math.log1p(value) for place, value in enumerate(row)} for name, row in states(stream).items()}
    models = [preprocessing.StandardScaler() | linear_model.LinearRegression(optim.SGD(0.02), intercept_lr=0.05) for _ in METRICS]
    guesses = {}
    for _, kind, name, _ in stream.happenings:
        if kind == STARTED:
            ttft, latency = (math.exp(max(-9.0, min(9.0, model.predict_one(inputs[name])))) for model in models)
            guesses[name] = Guess((ttft, latency))
        elif kind == COMPLETED:
            for model, value in zip(models, outcome(stream.requests[name]), strict=True):
                model.learn_one(inputs[name], math.log(max(value, 1e-4)))
    return guesses


def boosted(stream: Stream, test: Sequence[int], loss: Mapping[str, Any]) -> dict[str, Guess]:
    """Gradient boosting with engine state, fitted offline on the training runs."""
    from sklearn.ensemble import HistGradientBoostingRegressor  # type: ignore[import-untyped]

    rows = states(stream)
    train = [name for name, request in stream.requests.items() if request.scale not in test]
    tested = [name for name, request in stream.requests.items() if request.scale in test]
    columns = []
    for metric in range(len(METRICS)):
        model = HistGradientBoostingRegressor(max_iter=200, learning_rate=0.05, random_state=0, **loss)
        model.fit(np.array([rows[name] for name in train]), np.array([outcome(stream.requests[name])[metric] for name in train]))
        columns.append(model.predict(np.array([rows[name] for name in tested])).tolist())
    return {name: Guess((ttft, latency)) for name, ttft, latency in zip(tested, *columns, strict=True)}


def wape(stream: Stream, guesses: Mapping[str, Guess], scales: Sequence[int], metric: int) -> float:
    """Sum of absolute errors ÷ sum of outcomes, %."""
    pairs = [(outcome(request)[metric], guesses[name].forecast[metric]) for name, request in stream.requests.items() if request.scale in scales]
    return 100.0 * math.fsum(abs(actual - said) for actual, said in pairs) / math.fsum(actual for actual, _ in pairs)


def compare(runs: Mapping[int, Stream], train: Sequence[int], test: Sequence[int]) -> list[dict[str, Any]]:
    """Every predictor on one split: errors overall and per run."""
    stream = joined(runs, (*train, *test))
    median: dict[str, Any] = {"loss": "absolute_error"}
    contestants: dict[str, tuple[Stream, Callable[[Stream], dict[str, Guess]]]] = {
        "pointsman": (stream, lambda given: predicted(Engine(), given)),
        "  prompt lengths shuffled": (shuffled(stream), lambda given: predicted(Engine(), given)),
        "  without engine gauges": (without_gauges(stream), lambda given: predicted(Engine(), given)),
        "boosting, offline": (stream, lambda given: boosted(given, test, median)),
        "  prompt lengths shuffled ": (shuffled(stream), lambda given: boosted(given, test, median)),
        "linear, river": (stream, linear),
        "median of the last 50": (stream, lambda given: of_the_last(given, 50)),
        "last value": (stream, lambda given: of_the_last(given, 1)),
    }
    rows = []
    for name, (given, predict) in contestants.items():
        guesses = predict(given)
        row: dict[str, Any] = {"policy": name}
        for metric, label in enumerate(METRICS):
            row[f"{label} %"] = wape(given, guesses, test, metric)
            row |= {f"{label} {scale}": wape(given, guesses, (scale,), metric) for scale in test if len(test) > 1}
        rows.append(row)
    return rows


def intervals(runs: Mapping[int, Stream], train: Sequence[int], test: Sequence[int]) -> list[dict[str, Any]]:
    """Coverage and interval score of what is issued with each prediction, beside boosting's 5 % and 95 % quantiles."""
    stream = joined(runs, (*train, *test))
    guesses = predicted(Engine(), stream)
    low, high = (boosted(stream, test, {"loss": "quantile", "quantile": level}) for level in (0.05, 0.95))
    beyond = {scale: [guesses[name].is_beyond for name, request in stream.requests.items() if request.scale == scale] for scale in test}
    rows = []
    for metric, label in enumerate(METRICS):
        quantiles = {name: (low[name].forecast[metric], high[name].forecast[metric]) for name in low}
        for name, bands in (("pointsman", _banded(stream, guesses, metric)), ("boosting's quantiles", quantiles)):
            row: dict[str, Any] = {"policy": f"{label}, {name}"} | _judged(stream, bands, test, metric)
            row |= {f"held {scale}": _judged(stream, bands, (scale,), metric)["held"] for scale in test if len(test) > 1}
            row |= {f"flagged {scale}": sum(beyond[scale]) / len(beyond[scale]) if name == "pointsman" else math.nan for scale in test}
            rows.append(row)
    return rows


def _banded(stream: Stream, guesses: Mapping[str, Guess], metric: int) -> dict[str, tuple[float, float]]:
    conformal, issued, bands = Conformal(), {}, {}
    for _, kind, name, _ in stream.happenings:
        if kind == STARTED and guesses[name].near:
            guess = guesses[name]
            issued[name] = band = conformal.issue(1000.0 * guess.forecast[metric], guess.near if metric == 0 else (), guess.in_flight, guess.beyond)
            bands[name] = (band.lower / 1000.0, band.upper / 1000.0)
        elif kind == COMPLETED and name in issued:
            conformal.observe(issued.pop(name), 1000.0 * outcome(stream.requests[name])[metric])
    return bands


def _judged(stream: Stream, bands: Mapping[str, tuple[float, float]], scales: Sequence[int], metric: int) -> dict[str, float]:
    """Share held, worst share over 500 starts in a row, and the Winkler score in s."""
    rows = [(*bands[name], outcome(request)[metric]) for name, request in stream.requests.items() if request.scale in scales and name in bands]
    held = [low <= actual <= high for low, high, actual in rows]
    scores = [high - low + 20.0 * (max(low - actual, 0.0) + max(actual - high, 0.0)) for low, high, actual in rows]
    worst = min(sum(held[begin : begin + 500]) / 500 for begin in range(max(len(held) - 499, 1)))
    return {"held": sum(held) / len(held), "worst 500": worst, "Winkler s": math.fsum(scores) / len(scores)}


def costs(runs: Mapping[int, Stream], requests: int) -> list[dict[str, Any]]:
    """Processor time per request and the size of a snapshot, early and after many requests."""
    engine, clock, count = Engine(), EPOCH, 0
    marks, rows = iter((3_500, requests)), []
    mark = next(marks)
    spent = time.process_time()
    while count < requests:
        for scale in sorted(runs):
            stream = joined(runs, (scale,), clock)
            predicted(engine, stream)
            clock = stream.happenings[-1].at + PAUSE_S
            count += len(stream.requests)
        if count >= mark:
            rows.append({"policy": f"after {count} requests", "µs a request": 1e6 * (time.process_time() - spent) / count, "KB of state": _kilobytes(engine)})
            mark = next(marks, 10**9)
    for number in range(500):
        engine.start(f"held {number}", Situation(clock + 0.01 * number, input_tokens=100 + number))
    return [*rows, {"policy": "and 500 in flight", "µs a request": math.nan, "KB of state": _kilobytes(engine)}]


def _form(name: str) -> str:
    return {"outcomes": ".0f", "WAPE %": ".1f", "Winkler s": ".1f"}.get(name, ".2f")


def _kilobytes(engine: Engine) -> float:
    return len(json.dumps(engine.snapshot())) / 1000.0


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder that holds vllm_burstgpt (default: POINTSMAN_BENCH_DATA, else ../shared/data)")
    parser.add_argument("--requests", type=int, default=100_000, help="of the measurement of cost")
    parser.add_argument("--quick", action="store_true", help="the first split and 7,000 requests only")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    options = parser.parse_args(arguments)
    folder = data_folder(options.data) / "vllm_burstgpt"
    if not (folder / "requests.csv.gz").exists():
        sys.exit(f"{folder}: no requests.csv.gz: get vllm_burstgpt (liao4s/BurstGPT_test) and name its parent by --data")
    runs = load(folder)
    results: dict[str, Any] = {}
    for train, test in SPLITS[:1] if options.quick else SPLITS:
        title = f"{' '.join(map(str, train))} → {' '.join(map(str, test))}"
        results[title] = rows = compare(runs, train, test)
        print(table(f"WAPE, trained → tested on loads {title}", rows, {name: ".1f" for name in rows[0] if name != "policy"}), end="\n\n")
        results[f"intervals {title}"] = rows = intervals(runs, train, test)
        print(table(f"90 % intervals, {title}", rows, {name: ".2f" if name != "Winkler s" else ".1f" for name in rows[0] if name != "policy"}), end="\n\n")
        results[f"core {title}"] = rows = scores(joined(runs, (*train, *test)), test)
        print(table(f"Through the core, {title}", rows, {name: _form(name) for name in rows[0] if name != "policy"}), end="\n\n")
    results["cost"] = rows = costs(runs, 7_000 if options.quick else options.requests)
    print(table("Cost of an engine track", rows, {"µs a request": ".0f", "KB of state": ".0f"}))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
