"""Load forecasts at 10 minutes, 1 and 6 hours beside last value, seasonal naive, and river's SNARIMAX and Holt–Winters, row by row.

Two weeks made of recorded clients (benchmarks.two_weeks; the second week counts) and two recorded weeks (days 2 to 7 count). A baseline's interval is its
forecast plus the 5 % and 95 % quantile of its own errors at that horizon in the last seven days. WAPE in %; `/ last` is WAPE over the last value's;
`day 1 / last` the same on the first day; coverage of the 90 % interval; `worst 500` the lowest coverage of 500 rows running, mean over series and the
lowest of all; Winkler score over the mean load, and over the last value's.
Run: PYTHONPATH=tests python -m benchmarks.forecasts [--data FOLDER] [--series N] [--seed N] [--json FILE] [--quick]
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import linear_model, optim, preprocessing, time_series

from pointsman.models.forecast import Form, SeriesForecaster
from pointsman.models.quantiles import SlidingQuantiles

from .policies import data_folder, table
from .two_weeks import ROWS_A_DAY, WEEK, Series, recorded, two_weeks

Floats = NDArray[np.float64]
HORIZONS = (1, 6, 36)
NAMES = {1: "10 min", 6: "1 h", 36: "6 h"}
LAST = "last value"
COLUMNS = {
    "WAPE %": ".2f",
    "/ last": ".3f",
    "day 1 / last": ".3f",
    "coverage": ".3f",
    "worst 500": ".3f",
    "lowest": ".3f",
    "Winkler": ".3f",
    "Winkler / last": ".3f",
}


def last_value(rows: Floats) -> Floats:
    """Rows × horizons: nothing changes."""
    return np.repeat(rows[:, None], len(HORIZONS), axis=1)


def seasonal_naive(rows: Floats) -> Floats:
    """The same time a day ago; on the first day the last value."""
    found = last_value(rows)
    for place, horizon in enumerate(HORIZONS):
        found[ROWS_A_DAY:, place] = rows[horizon : len(rows) - ROWS_A_DAY + horizon]
    return found


def by_river(make: Callable[[], Any]) -> Callable[[Floats], Floats]:
    """A river forecaster, learning each row before it is asked; the last value where it has no finite answer yet."""

    def run(rows: Floats) -> Floats:
        model, found, unit = make(), last_value(rows), float(rows[:ROWS_A_DAY].mean())
        for place, value in enumerate(rows.tolist()):
            model.learn_one(value / unit)
            if place < ROWS_A_DAY + 2:
                continue
            said = np.array(model.forecast(max(HORIZONS)))[[horizon - 1 for horizon in HORIZONS]] * unit
            found[place] = np.where(np.isfinite(said) & (np.abs(said) < 20.0 * unit), np.maximum(said, 0.0), value)
        return found

    return run


def snarimax() -> Any:
    """The last change and the one a day ago, on standardised inputs: the best of five settings tried."""
    regressor = preprocessing.StandardScaler() | linear_model.LinearRegression(optimizer=optim.SGD(0.003), intercept_lr=0.001)
    return time_series.SNARIMAX(p=1, d=1, q=0, m=ROWS_A_DAY, sp=1, regressor=regressor)


def holt_winters() -> Any:
    """Additive, a season of a day."""
    return time_series.HoltWinters(alpha=0.8, beta=0.01, gamma=0.3, seasonality=ROWS_A_DAY)  # type: ignore[no-untyped-call]


def with_trailing_quantiles(rows: Floats, medians: Floats) -> Floats:
    """Rows × horizons × (median, lower, upper): around a forecast the quantiles of its errors in the last seven days, as far as they were known."""
    found = np.repeat(medians[..., None], 3, axis=2)
    for place, horizon in enumerate(HORIZONS):
        errors = SlidingQuantiles(WEEK)
        for row in range(len(rows)):
            if row >= horizon:
                errors.update(float(rows[row] - medians[row - horizon, place]))
            found[row, place, 1] = max(medians[row, place] + min(errors.get(0.05), 0.0), 0.0)
            found[row, place, 2] = medians[row, place] + max(errors.get(0.95), 0.0)
    return found


def ours(rows: Floats, form: Form) -> tuple[Floats, dict[str, float]]:
    """The forecaster, with its cost a row in µs and the size of its snapshot."""
    forecaster = SeriesForecaster(HORIZONS, ROWS_A_DAY, form)
    found, began = np.empty((len(rows), len(HORIZONS), 3)), time.process_time()
    for place, value in enumerate(rows.tolist()):
        forecaster.learn_one(value)
        found[place] = [(said.median, said.lower, said.upper) for said in forecaster.forecast()]
    spent = time.process_time() - began
    return found, {"µs a row": 1e6 * spent / len(rows), "snapshot KB": len(json.dumps(forecaster.snapshot())) / 1000.0}


def wape(rows: Floats, said: Floats, horizon: int, begin: int, end: int) -> float:
    """Of the rows from `begin` to `end`, forecast `horizon` rows before: the sum of errors over the sum of rows."""
    target = rows[begin:end]
    return float(np.abs(target - said[begin - horizon : end - horizon]).sum() / max(target.sum(), 1e-12))


def winkler(target: Floats, lower: Floats, upper: Floats) -> float:
    """The mean width of 90 % intervals and 20 times what they were missed by (Winkler 1972, α = 0.1 and its misses weighted 2 / α)."""
    return float((upper - lower + 20.0 * (np.maximum(lower - target, 0.0) + np.maximum(target - upper, 0.0))).mean())


def score(series: Series, found: Floats, place: int) -> dict[str, float]:
    """The figures of one method on one series at one horizon."""
    horizon, rows = HORIZONS[place], series.rows
    begin = max(series.scored, horizon)
    target, (median, lower, upper) = rows[begin:], found[begin - horizon : len(rows) - horizon, place].T
    inside = ((target >= lower) & (target <= upper)).astype(float)
    sums = np.concatenate([[0.0], np.cumsum(inside)])
    width = min(500, len(inside))
    return {
        "WAPE %": 100.0 * float(np.abs(target - median).sum() / target.sum()),
        "first": wape(rows, found[:, place, 0], horizon, horizon, ROWS_A_DAY),
        "coverage": float(inside.mean()),
        "worst 500": float((sums[width:] - sums[:-width]).min() / width),
        "Winkler": winkler(target, lower, upper) / float(target.mean()),
    }


def measure(many: Sequence[Series], is_quick: bool) -> list[dict[str, Any]]:
    """Every method at every horizon, means over the series."""
    points: dict[str, Callable[[Floats], Floats]] = {LAST: last_value, "seasonal naive": seasonal_naive}
    if not is_quick:
        points |= {"river SNARIMAX": by_river(snarimax), "river HoltWinters": by_river(holt_winters)}
    scores: dict[tuple[str, int], list[dict[str, float]]] = {}
    costs: dict[str, list[dict[str, float]]] = {}
    for series in many:
        results = {name: with_trailing_quantiles(series.rows, method(series.rows)) for name, method in points.items()}
        for form in ("light", "full"):
            name = f"pointsman, {form}"
            results[name], cost = ours(series.rows, form)
            costs.setdefault(name, []).append(cost)
        for name, found in results.items():
            for place in range(len(HORIZONS)):
                scores.setdefault((name, place), []).append(score(series, found, place))
    return [_row(name, place, scores, costs.get(name, [])) for name, place in sorted(scores, key=lambda key: key[1])]


def _row(name: str, place: int, scores: dict[tuple[str, int], list[dict[str, float]]], costs: list[dict[str, float]]) -> dict[str, Any]:
    """Ratios are of means over series, as the targets are."""
    own, last = scores[name, place], scores[LAST, place]
    mean = {key: statistics.fmean(one[key] for one in own) for key in own[0]}
    base = {key: statistics.fmean(one[key] for one in last) for key in last[0]}
    row: dict[str, Any] = {"policy": name, "horizon": NAMES[HORIZONS[place]], "lowest": min(one["worst 500"] for one in own)} | mean
    row |= {"/ last": mean["WAPE %"] / base["WAPE %"], "day 1 / last": mean["first"] / base["first"], "Winkler / last": mean["Winkler"] / base["Winkler"]}
    return row | {key: statistics.fmean(one[key] for one in costs) for key in (costs[0] if costs else {})}


def report(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """A table for each horizon, then what a row costs."""
    parts = [table(f"{title}, {name} ahead", [row for row in rows if row["horizon"] == name], COLUMNS) for name in NAMES.values()]
    costs = {row["policy"]: row for row in rows if "µs a row" in row}
    parts.append("\n".join(f"{name}: {row['µs a row']:.0f} µs a row, {row['snapshot KB']:.0f} KB of snapshot" for name, row in costs.items()))
    return "\n\n".join(parts)


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder that holds servegen (default: POINTSMAN_BENCH_DATA, else ../shared/data)")
    parser.add_argument("--series", type=int, default=12, help="how many series of two weeks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two series, without river's forecasters")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    options = parser.parse_args(arguments)
    folder = data_folder(options.data)
    if not (folder / "servegen").is_dir():
        sys.exit(f"{folder / 'servegen'}: get servegen (alibaba/ServeGen) and name its parent by --data")
    groups = {"Two weeks": two_weeks(folder, 2 if options.quick else options.series, options.seed), "Recorded, days 2-7": recorded(folder)}
    document = {}
    for name, many in groups.items():
        document[name] = measure(many, options.quick)
        print(report(f"{name}: {len(many)} series", document[name]), end="\n\n")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
