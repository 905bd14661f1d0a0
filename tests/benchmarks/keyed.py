"""A keyed service: error, coverage and interval score of `Keyed` with `Conformal`, beside medians of requests alike, river's trees, boosting and an oracle.

The service is made up (benchmarks/keyed_service.py), seeded: 80 models, types, sizes and steps, speeds that drift and jump, cold starts, bursts that queue,
failures, cancellations, and a heavy tail. Everyone predicts at a request's start and learns at its end; failures and cancellations teach nothing.
Constants were chosen on seeds 0 to 9; what is printed is of seeds 100 and up, as the median over seeds and beside it the worst.
The service is easier than many real ones in its load: on average 28 % of the workers are busy (62 % in bursts), so that queues are short; "crowded" has 40 %
(88 % in bursts), where most of the error is waiting. Its drift, cold starts, failures, cancellations, popularity and odd requests are as one expects of a
real one; its noise is independent from request to request, which no real one's is.
The first 1,000 requests are not scored. Boosting is fitted offline, on the first half, and scored on the second like all others in that table.
The oracle knows the true parameters, whether the model was loaded and how long the request waited; only the noise is left.
Every interval but boosting's is `Conformal` around the row's own median.
Run: PYTHONPATH=tests python -m benchmarks.keyed [--seeds N] [--requests N] [--trees] [--long] [--json FILE] [--quick]
"""

import argparse
import json
import math
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from river import forest, tree
from sklearn.ensemble import HistGradientBoostingRegressor  # type: ignore[import-untyped]

from pointsman.models.conformal import Conformal, ConformalSettings
from pointsman.models.keyed import Kept, Keyed

from .keyed_service import Served, Service, events, fewer, renamed, simulate, stretched
from .policies import table

Boosting: Any = HistGradientBoostingRegressor

FIRST = 1000
WINDOW = 500
SEEDS = 100
COLUMNS = {
    "WAPE %": ".1f",
    "worst": ".1f",
    "coverage": ".3f",
    "lowest": ".3f",
    "highest": ".3f",
    "worst 500": ".3f",
    "its worst": ".3f",
    "Winkler": ".2f",
    "us": ".0f",
}


class Predictor(Protocol):
    """Says a median at a start, with what tells how sure it is, and learns at the end."""

    def start(self, served: Served) -> tuple[float, tuple[float, ...]]:
        """The median in seconds and the interval's coordinates."""
        ...

    def end(self, served: Served, latency_s: float) -> None:
        """A success ended."""


class Alike:
    """The median of the last so many with the same fields, else of the same model, else of all."""

    def __init__(self, size: int) -> None:
        self._windows: dict[Any, deque[float]] = defaultdict(lambda: deque(maxlen=size))

    def start(self, served: Served) -> tuple[float, tuple[float, ...]]:
        """The first median there is, fine to coarse."""
        window = next((self._windows[key] for key in self._keys(served) if self._windows[key]), (5.0,))
        return float(np.median(window)), ()

    def end(self, served: Served, latency_s: float) -> None:
        """Every key keeps it."""
        for key in self._keys(served):
            self._windows[key].append(latency_s)

    def _keys(self, served: Served) -> list[Any]:
        attributes = served.situation.attributes
        texts = next((value for value in attributes.values() if isinstance(value, str)), None)
        return [(served.situation.category, *attributes.values()), (texts,), ()]


class Rivers:
    """A river regressor on ln latency: text as nominal features, numbers and in-flight as logarithms."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._centre = 0.0
        self._seen = 0

    def start(self, served: Served) -> tuple[float, tuple[float, ...]]:
        """What the model says now."""
        said = self._model.predict_one(_features(served)) if self._seen else 0.0
        return math.exp(max(-7.0, min(9.0, said))), ()

    def end(self, served: Served, latency_s: float) -> None:
        """The model learns."""
        self._seen += 1
        self._model.learn_one(_features(served), math.log(latency_s))


class Ours:
    """`Keyed`; with `light`, its intervals get no coordinates."""

    def __init__(self) -> None:
        self.keyed = Keyed()
        self._kept: dict[int, Kept] = {}

    def start(self, served: Served) -> tuple[float, tuple[float, ...]]:
        """The prediction, kept until the end."""
        kept = self._kept[served.number] = self.keyed.predict(served.situation)
        return kept.median if kept.median is not None else 5.0, kept.near

    def end(self, served: Served, latency_s: float) -> None:
        """It learns."""
        self.keyed.learn(self._kept.pop(served.number), latency_s)


class Oracle:
    """The true parameters."""

    def start(self, served: Served) -> tuple[float, tuple[float, ...]]:
        """All but the noise."""
        return served.oracle_s, ()

    def end(self, served: Served, latency_s: float) -> None:
        """Nothing is left to learn."""


def played(served: list[Served], predictor: Predictor, settings: ConformalSettings | None = None, first: int = FIRST) -> dict[str, float]:
    """Everything in order of time; the row of figures. Costs are µs a request, the median of its slices of 500 events."""
    conformal, bands, rows, flying, costs = Conformal(settings), dict[int, Any](), list[tuple[float, float, float, float]](), 0, list[float]()
    began = time.process_time()
    for number, (_, ended, one) in enumerate(events(served), 1):
        if not ended:
            median, near = predictor.start(one)
            bands[one.number] = conformal.issue(median, near, flying)
            flying += 1
        else:
            flying -= 1
            band = bands.pop(one.number)
            if one.latency_s is not None:
                conformal.observe(band, one.latency_s)
                predictor.end(one, one.latency_s)
                if one.number >= first:
                    rows.append((one.latency_s, band.median, band.lower, band.upper))
        if number % 500 == 0:
            now = time.process_time()
            costs.append(1e6 * (now - began) / 250.0)
            began = now
    return scored(rows) | {"us": float(np.median(costs))}


def scored(rows: Sequence[tuple[float, float, float, float]]) -> dict[str, float]:
    """WAPE, coverage overall and in the worst 500 outcomes on end, and the mean interval score at 90 % (Winkler 1972)."""
    actual, median, lower, upper = np.array(rows).T
    held = (lower <= actual) & (actual <= upper)
    outside = np.maximum(lower - actual, 0.0) + np.maximum(actual - upper, 0.0)
    return {
        "WAPE %": 100.0 * float(np.abs(actual - median).sum() / actual.sum()),
        "coverage": float(held.mean()),
        "worst 500": float(np.convolve(held, np.ones(WINDOW) / WINDOW, "valid").min()),
        "Winkler s": float((upper - lower + 20.0 * outside).mean()),
    }


def boosted(served: list[Served]) -> dict[str, float]:
    """Gradient boosting of the median, 5 % and 95 %, fitted on the first half; text as ordered codes declared categorical."""
    rows, codes = list[list[float]](), dict[Any, int]()
    for one in served:
        features = _features(one)
        rows.append([float(codes.setdefault((name, value), len(codes)) % 250) if isinstance(value, str) else value for name, value in features.items()])
    names = [isinstance(value, str) for value in _features(served[0]).values()]
    data, latency = np.array(rows), np.array([np.nan if one.latency_s is None else one.latency_s for one in served])
    done, half = ~np.isnan(latency), len(served) // 2
    early, late = done & (np.arange(len(served)) < half), done & (np.arange(len(served)) >= half)
    said = []
    for loss, level in (("absolute_error", None), ("quantile", 0.05), ("quantile", 0.95)):
        model: Any = Boosting(loss=loss, quantile=level, max_iter=300, learning_rate=0.05, categorical_features=names, random_state=0)
        said.append(np.exp(model.fit(data[early], np.log(latency[early])).predict(data[late])))
    return scored(list(zip(latency[late], said[0], np.minimum(said[1], said[2]), np.maximum(said[1], said[2]), strict=True))) | {"us": math.nan}


def _features(served: Served) -> dict[str, Any]:
    situation = served.situation
    numbers = {name: math.log1p(value) for name, value in situation.attributes.items() if not isinstance(value, str)}
    texts = {name: value for name, value in situation.attributes.items() if isinstance(value, str)}
    length = {} if situation.input_tokens is None else {"input_tokens": math.log1p(situation.input_tokens)}
    return {"category": situation.category, **texts, **numbers, **length, "in_flight": math.log1p(situation.in_flight)}


PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "last value alike": lambda: Alike(1),
    "median of the last 8 alike": lambda: Alike(8),
    "median of the last 50 alike": lambda: Alike(50),
    "river HoeffdingAdaptiveTree": lambda: Rivers(tree.HoeffdingAdaptiveTreeRegressor(grace_period=50, leaf_prediction="mean", seed=1)),
    "river ARFRegressor, 5 trees": lambda: Rivers(forest.ARFRegressor(n_models=5, grace_period=50, leaf_prediction="mean", seed=1)),
    "keyed": Ours,
    "oracle": Oracle,
}


def over(rows: Sequence[dict[str, float]], best: Sequence[dict[str, float]]) -> dict[str, float]:
    """Medians over seeds beside the worst; Winkler as a share of the last 8's on the same seed."""
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    ratios = [row["Winkler s"] / other["Winkler s"] for row, other in zip(rows, best, strict=True)]
    return {
        "WAPE %": float(np.median(columns["WAPE %"])),
        "worst": float(columns["WAPE %"].max()),
        "coverage": float(np.median(columns["coverage"])),
        "lowest": float(columns["coverage"].min()),
        "highest": float(columns["coverage"].max()),
        "worst 500": float(np.median(columns["worst 500"])),
        "its worst": float(columns["worst 500"].min()),
        "Winkler": float(np.median(ratios)),
        "us": float(np.median(columns["us"])),
    }


SHORT = ("last value alike", "median of the last 8 alike", "keyed", "oracle")
LIGHT = "keyed, light intervals"


def made(variant: str, seed: int, requests: int) -> list[Served]:
    """A stream of a variant."""
    plain = Service(seed, requests)
    match variant:
        case "20 models":
            return simulate(replace(plain, models=20, loaded=15))
        case "300 models":
            return simulate(replace(plain, models=300))
        case "crowded":
            return simulate(replace(plain, load=0.4))
        case "model and size only":
            return fewer(simulate(plain), ("model", "size"))
        case "times x 100, a year later":
            return stretched(simulate(plain), 100.0, 3e7)
        case "in ms":
            return [
                replace(one, latency_s=None if one.latency_s is None else 1000.0 * one.latency_s, oracle_s=1000.0 * one.oracle_s) for one in simulate(plain)
            ]
        case "names permuted":
            return renamed(simulate(plain), seed)
    return simulate(plain)


VARIANTS = ("base", "20 models", "300 models", "crowded", "model and size only", "times x 100, a year later", "in ms", "names permuted")


def measured(task: tuple[str, int, int, tuple[str, ...]]) -> dict[str, dict[str, float]]:
    """The rows of one stream."""
    variant, seed, requests, names = task
    stream = made(variant, seed, requests)
    rows = {name: played(stream, PREDICTORS[name]()) for name in names}
    if variant == "base":
        rows[LIGHT] = played(stream, Ours(), ConformalSettings(light=True))
        rows |= {f"second half: {name}": played(stream, PREDICTORS[name](), first=requests // 2) for name in SHORT[1:3]}
        rows["second half: boosting, fitted on the first"] = boosted(stream)
    return rows


def compared(streams: Sequence[dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """A row for each predictor; the last says on how many seeds and by how much keyed's WAPE differs from the last 8's."""
    names = list(streams[0])
    last = [stream["median of the last 8 alike"] for stream in streams]
    half = [stream.get("second half: median of the last 8 alike", one) for stream, one in zip(streams, last, strict=True)]
    rows = [{"policy": name, **over([stream[name] for stream in streams], half if name.startswith("second") else last)} for name in names]
    ratios = [stream["keyed"]["WAPE %"] / one["WAPE %"] for stream, one in zip(streams, last, strict=True)]
    none = dict.fromkeys(COLUMNS, math.nan)
    return [*rows, none | {"policy": "keyed, % of last 8 seed by seed", "WAPE %": 100.0 * float(np.median(ratios)), "worst": 100.0 * max(ratios)}]


def memory(thing: Any) -> int:
    """Bytes of an object with all that it holds, each once; arrays by their buffers."""
    seen, todo, total = set[int](), [thing], 0
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one) + (one.nbytes if isinstance(one, np.ndarray) and one.base is not None else 0)
        if isinstance(one, dict):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | deque | set):
            todo += list(one)
        todo += [getattr(one, name) for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ()) if hasattr(one, name)]
    return total


def lasting(count: int, seed: int) -> list[dict[str, Any]]:
    """Cost and memory of `Keyed` and `Conformal` along one stream of so many requests, each learned from at once."""
    keyed, conformal, rows, began = Keyed(), Conformal(), list[dict[str, Any]](), time.process_time()
    light, slices = Conformal(ConformalSettings(light=True)), list[float]()
    number = 0
    for part in range(math.ceil(count / 10_000)):
        stream = stretched(simulate(Service(seed + part, min(count, 10_000))), 1.0, part * 1e5)
        for at in range(0, len(stream), 200):
            began = time.process_time()
            for one in stream[at : at + 200]:
                kept = keyed.predict(one.situation)
                band = conformal.issue(kept.median or 5.0, kept.near)
                if one.latency_s is not None:
                    keyed.learn(kept, one.latency_s)
                    conformal.observe(band, one.latency_s)
            slices.append(1e6 * (time.process_time() - began) / 200.0)
        for one in stream[:400]:
            if one.latency_s is not None:
                light.observe(light.issue(one.latency_s), one.latency_s)
        number += len(stream)
        if part in (0, 9, 99) or number >= count:
            sizes = {"keyed KB": memory(keyed) / 1000, "intervals KB": memory(conformal) / 1000, "light KB": memory(light) / 1000}
            low, middle = np.quantile(slices, [0.05, 0.5])
            rows.append({"policy": f"after {number:,} requests", "us": middle, "us, calm": low, **sizes, "evicted": keyed.evicted})
            slices.clear()
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.keyed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="not needed: the service is made up")
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 100 on")
    parser.add_argument("--requests", type=int, default=12_000)
    parser.add_argument("--trees", action="store_true", help="river's trees as well, on the base variant")
    parser.add_argument("--long", action="store_true", help="cost and memory over a million requests instead of a hundred thousand")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    parser.add_argument("--quick", action="store_true", help="two seeds, 20,000 requests for cost")
    options = parser.parse_args(arguments)
    seeds = range(SEEDS, SEEDS + (2 if options.quick else options.seeds))
    tables = dict[str, list[dict[str, Any]]]()
    for variant in VARIANTS:
        names = tuple(PREDICTORS) if options.trees and variant == "base" else SHORT
        tasks = [(variant, seed, options.requests, names) for seed in seeds]
        title = f"{variant}: {options.requests} requests, seeds {seeds[0]} to {seeds[-1]}"
        with ProcessPoolExecutor(2) as pool:
            tables[title] = compared(list(pool.map(measured, tasks)))
        print(table(title, tables[title], COLUMNS), flush=True)
    cost = lasting(20_000 if options.quick else 1_000_000 if options.long else 100_000, SEEDS)
    columns = {"us": ".0f", "us, calm": ".0f", "keyed KB": ".0f", "intervals KB": ".0f", "light KB": ".1f", "evicted": ".0f"}
    print(table("Cost of predict + interval + learn, and memory", cost, columns))
    if options.json:
        options.json.write_text(json.dumps(tables | {"cost": cost}, indent=2) + "\n")


if __name__ == "__main__":
    main()
