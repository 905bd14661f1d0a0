"""Anomaly scores on the Numenta Anomaly Benchmark's development files, nested: constants and threshold from half of the files, scored on the other half.

Beside ours a windowed Gaussian, an EWMA z-score, river's half-space trees, and random scores, under the same protocol (windows and rates are chosen on the
training half, too); `chosen` is the best in hindsight. Then what nothing wrong raises: alarms per 1,000 rows of made-up noise at each level of
surprise, told once per 100 rows, and what a month's wish gets; and the same on recorded series in which nothing is known to be wrong.
Run: PYTHONPATH=tests python -m benchmarks.anomalies [--data FOLDER] [--splits N] [--json FILE] [--quick]
"""

import argparse
import csv
import gzip
import itertools
import json
import math
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from river import anomaly

from pointsman.models.detector import HALF, IN_MEAN, SILENCE, SINGLES, SeriesDetector
from pointsman.models.false_alarms import LEVELS, MONTH_S, level, sure

from . import nab
from .policies import data_folder, table

Floats = NDArray[np.float64]
OFFSETS, SILENCES, HALVES = (-0.2, 0.0, 0.2), (50, SILENCE, 150), (2.6, HALF, 3.0)
STEP_S, WARM_UP = 300.0, 2000


def surprises(series: nab.Labelled) -> Floats:
    """Rows × statistics: what the live detector says."""
    detector = SeriesDetector()
    return np.array([detector.step(at, value).surprises for at, value in zip(series.times.tolist(), series.values.tolist(), strict=True)])


def together(said: Floats, offset: float = 0.0) -> Floats:
    """The surprise of every row, with all offsets moved by so much."""
    found: Floats = said[:, :IN_MEAN].mean(1)
    for place, (_, off) in enumerate(SINGLES):
        found = np.maximum(found, said[:, IN_MEAN + place] - off - offset)
    return np.maximum(found, 0.0)


def once(surprise: Floats, half: float = HALF, silence: int = SILENCE) -> Floats:
    """Scores: nothing for so many rows after one above `half`."""
    found, since = surprise.copy(), silence
    for row, one in enumerate(surprise):
        since += 1
        if since <= silence:
            found[row] = 0.0
        elif one > half:
            since = 0
    return found


def gaussian(series: nab.Labelled, rows: int) -> Floats:
    """How far in the tails of a Gaussian over the last rows."""
    total = np.concatenate([[0.0], np.cumsum(series.values)])
    squares = np.concatenate([[0.0], np.cumsum(series.values**2)])
    end = np.arange(1, len(series.values))
    start = np.maximum(end - rows, 0)
    mean = (total[end] - total[start]) / (end - start)
    spread = np.sqrt(np.maximum((squares[end] - squares[start]) / (end - start) - mean**2, 1e-12))
    return np.concatenate([[0.0], np.abs(series.values[1:] - mean) / spread])


def smoothed(series: nab.Labelled, rate: float) -> Floats:
    """|z| by an exponentially weighted mean and variance."""
    mean, variance, found = float(series.values[0]), 0.0, []
    for value in series.values.tolist():
        away = value - mean
        found.append(abs(away) / math.sqrt(variance + 1e-12))
        mean += rate * away
        variance = (1.0 - rate) * (variance + rate * away * away)
    return np.array(found)


def trees(series: nab.Labelled) -> Floats:
    """River's half-space trees on the value within what was seen of its range."""
    model, low, high, found = cast(Any, anomaly.HalfSpaceTrees(seed=1)), math.inf, -math.inf, []
    for value in series.values.tolist():
        low, high = min(low, value), max(high, value)
        x = {"value": (value - low) / (high - low) if high > low else 0.5}
        found.append(model.score_one(x))
        model.learn_one(x)
    return np.array(found)


def chance(series: nab.Labelled) -> Floats:
    """Random scores."""
    return np.random.default_rng(len(series.values)).random(len(series.values))


BASELINES: dict[str, list[Callable[[nab.Labelled], Floats]]] = {
    "windowed Gaussian": [partial(gaussian, rows=rows) for rows in (500, 2000, 6400)],
    "EWMA z": [partial(smoothed, rate=rate) for rate in (0.2, 0.05, 0.01, 0.003)],
    "half-space trees (river)": [trees],
    "random": [chance],
}


def crossed(judge: nab.Judge, variants: Sequence[Sequence[Floats]], profile: nab.Profile, splits: int) -> tuple[list[float], float]:
    """Scores on the test halves, variant and threshold chosen on the training halves; and the best of both in hindsight."""
    curves = [judge.curves(scores, profile)[1] for scores in variants]
    found = []
    for train, test in nab.halves(judge.series, splits):
        best = max(curves, key=lambda curve: float(curve[train].sum(0).max()))
        found.append(float(judge.normalised(best, test, profile)[int(best[train].sum(0).argmax())]))
    return found, max(float(judge.normalised(curve, range(len(judge.series)), profile).max()) for curve in curves)


def labelled(folder: Path, splits: int, pool: ProcessPoolExecutor) -> Iterator[dict[str, Any]]:
    """One row per method: nested means and their spread over the splits, per profile."""
    series, profiles = nab.read(folder), nab.profiles(folder)
    judge = nab.Judge(series)
    said = list(pool.map(surprises, series))
    grid = list(itertools.product((0.0, *(one for one in OFFSETS if one)), (HALF, *HALVES[::2]), (SILENCE, *SILENCES[::2])))
    ours = [[once(together(one, offset), half, silence) for one in said] for offset, half, silence in grid]
    methods = {
        "ours, nested": ours,
        "ours, as it is": ours[:1],
        **{name: [list(pool.map(make, series)) for make in makers] for name, makers in BASELINES.items()},
    }
    for name, variants in methods.items():
        row: dict[str, Any] = {"policy": name}
        for profile in profiles:
            found, best = crossed(judge, variants, profile, splits)
            row |= {profile.name: float(np.mean(found)), f"{profile.name} sd": float(np.std(found)), f"{profile.name} chosen": best}
        yield row


def noises(rows: int, seed: int = 5) -> dict[str, Floats]:
    """Made-up series without a fault."""
    dice = np.random.default_rng(seed)
    day = np.sin(2.0 * np.pi * STEP_S * np.arange(rows) / 86_400.0)

    def remembering(share: float, noise: Floats) -> Floats:
        found = np.zeros(rows)
        for row in range(1, rows):
            found[row] = share * found[row - 1] + noise[row]
        return found

    return {
        "white": dice.normal(size=rows),
        "AR .5": remembering(0.5, dice.normal(size=rows)),
        "AR .9": remembering(0.9, dice.normal(size=rows)),
        "AR .99": remembering(0.99, dice.normal(size=rows)),
        "day + white": 5.0 * day + dice.normal(size=rows),
        "day x lognormal": np.exp(day + 0.3 * dice.normal(size=rows)),
        "lognormal": np.exp(dice.normal(size=rows)),
        "t, 3 degrees": dice.standard_t(3, rows),
        "counts, mean 2": dice.poisson(2.0, rows).astype(float),
        "counts with a day": dice.poisson(50.0 * (1.2 + day)).astype(float),
        "exponential": dice.exponential(size=rows),
        "changing variance": dice.normal(size=rows) * np.exp(0.5 * remembering(0.98, 0.2 * dice.normal(size=rows))),
        "rare ones": (dice.random(rows) < 0.02).astype(float),
        "random walk": np.cumsum(dice.normal(size=rows)),
    }


def counted(values: Sequence[float], step_s: float = STEP_S, warm_up: int = WARM_UP) -> tuple[int, list[int]]:
    """Rows after the warm-up, and alarms among them, told once per 100 rows, at each level."""
    detector = SeriesDetector()
    said = [sure(detector.step(step_s * row, value).surprise, row + 1) for row, value in enumerate(values)][warm_up:]
    return len(said), [_told(said, one) for one in LEVELS]


def recorded(folder: Path) -> Iterator[tuple[str, float, list[float]]]:
    """Kind, step and values of series in which nothing is known to be wrong: request rates of seven days, and runs of a server below its capacity."""
    rates: dict[str, list[float]] = {}
    for row in _csv(folder / "servegen" / "m-small_clients_days1-7.csv.gz"):
        rates.setdefault(row["client"], []).append(float(row["rate"] or 0.0))
    for client in sorted(rates, key=lambda one: -sum(rates[one]))[:20]:
        yield "servegen, 20 clients", 600.0, rates[client]
    for scale in (100, 200, 400):
        engine = list(_csv(folder / "vllm_burstgpt" / f"engine_scale{scale}.csv.gz"))
        for gauge in ("generation_throughput", "num_running", "num_pending", "gpu_kvcache_usage"):
            yield "vLLM, short runs", 0.5, [float(row[gauge] or 0.0) for row in engine]
        run = sorted((row for row in _csv(folder / "vllm_burstgpt" / "requests.csv.gz") if float(row["scale"]) == scale), key=lambda row: float(row["end"]))
        for metric in ("total_chunk_time", "first_chunk_time"):
            yield "vLLM, short runs", 5.0, [float(row[metric]) for row in run]


def _csv(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        yield from csv.DictReader(file)


def quiet(folder: Path, rows: int, pool: ProcessPoolExecutor) -> list[dict[str, Any]]:
    """One row per kind: alarms per 1,000 rows at each level, of made-up noise after 2,000 rows, of what is recorded after 100."""
    found: dict[str, tuple[int, list[int]]] = {}
    made = noises(rows)
    for name, one in zip(made, pool.map(counted, [values.tolist() for values in made.values()]), strict=True):
        found[name] = one
    kinds, steps, series = zip(*recorded(folder), strict=True)
    for kind, (length, alarms) in zip(kinds, pool.map(counted, series, steps, [100] * len(series)), strict=True):
        before, sums = found.get(kind, (0, [0] * len(LEVELS)))
        found[kind] = before + length, [first + second for first, second in zip(sums, alarms, strict=True)]
    rates = {name: [1000.0 * told / count for told in alarms] for name, (count, alarms) in found.items()}
    return [{"policy": name, **{f"{one:g}": rate for one, rate in zip(LEVELS, per_level, strict=True)}} for name, per_level in rates.items()]


def _told(said: Sequence[float], bound: float) -> int:
    count, since = 0, SILENCE
    for one in said:
        since += 1
        if since > SILENCE and one > bound:
            count, since = count + 1, 0
    return count


def wished(rows: Sequence[dict[str, Any]], made: int) -> Iterator[dict[str, Any]]:
    """Alarms asked for, per 1,000 rows, and measured over asked at the level that is chosen for it: of the made-up noises the median and the extremes."""
    for asked in (3.0, 1.0, 0.3):
        bound = level(asked / 1000.0 * MONTH_S / STEP_S, STEP_S)
        rates = [[max(row[f"{one:g}"], 0.01) for one in LEVELS] for row in rows]
        found = [math.exp(float(np.interp(bound, LEVELS, np.log(per_level)))) / asked for per_level in rates]
        noise = {"median": float(np.median(found[:made])), "fewest": min(found[:made]), "most": max(found[:made])}
        yield {
            "policy": f"{asked:g} per 1,000 rows",
            "level": bound,
            **noise,
            **{row["policy"]: one for row, one in zip(rows[made:], found[made:], strict=True)},
        }


def cost(rows: int) -> dict[str, float]:
    """Processor time a row in µs, the median of five stretches after the warm-up; and the size in KB in memory, as it is allocated, and as it is saved."""
    values = noises(rows)["day x lognormal"].tolist()
    detector, spent = SeriesDetector(), []
    for first in range(0, rows, rows // 6):
        began = time.process_time()
        for row in range(first, min(first + rows // 6, rows)):
            detector.step(STEP_S * row, values[row])
        spent.append((time.process_time() - began) / (rows // 6) * 1e6)
    saved = len(json.dumps(detector.snapshot())) / 1000.0
    tracemalloc.start()
    detector = SeriesDetector()
    for row, value in enumerate(values[:8000]):
        detector.step(STEP_S * row, value)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"us a row": float(np.median(spent[1:6])), "KB in memory": held / 1000.0, "KB saved": saved}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--splits", type=int, default=30)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="Few splits, short noises.")
    given = parser.parse_args()
    rows = 4000 if given.quick else 20_000
    with ProcessPoolExecutor() as pool:
        methods = list(labelled(data_folder(given.data) / "nab", 3 if given.quick else given.splits, pool))
        calm = quiet(data_folder(given.data), rows, pool)
    asked, spent = list(wished(calm, len(noises(1)))), cost(6000 if given.quick else 24_000)
    print(
        table(f"NAB's scoring, {given.splits} splits both ways", methods, dict.fromkeys([name for name in methods[0] if name != "policy"], ".1f")), end="\n\n"
    )
    print(table("Alarms per 1,000 rows in which nothing is wrong, by level", calm, {f"{one:g}": ".2f" for one in LEVELS}), end="\n\n")
    print(table("Alarms measured / asked for", asked, dict.fromkeys([name for name in asked[0] if name != "policy"], ".2f")), end="\n\n")
    print(f"{spent['us a row']:.0f} us a row; {spent['KB in memory']:.0f} KB a series in memory, {spent['KB saved']:.0f} KB saved")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({"labelled": methods, "quiet": calm, "asked": asked, "cost": spent}, indent=2))


if __name__ == "__main__":
    main()
