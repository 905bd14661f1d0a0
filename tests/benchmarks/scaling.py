"""Scaling advice against rules that people use: what share of the demand finds no place, and how much more than the demand is there.

    PYTHONPATH=tests python -m benchmarks.scaling

The whole curve of every rule, with a start delay of 10 and of 20 minutes: capacity decided after one row serves the row that comes the delay later.
The curve of `pointsman` is over its target for the unserved share, that of a rule over its headroom (or target utilisation), which is thus tuned in hindsight.
Ours lands where it lands by itself, from the target alone; the rules only get there if somebody picks the right headroom.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.models.forecast import Form, SeriesForecaster
from pointsman.models.scaling import Scaler
from pointsman.models.scaling_account import LEVELS

from .policies import data_folder, table
from .two_weeks import ROWS_A_DAY, Series, recorded, two_weeks

TARGETS = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.06)
SHOWN = (0.005, 0.01, 0.02, 0.04)
HEADROOMS = tuple(0.8 + 0.02 * step for step in range(61))
COOLDOWNS = (1, 3, 6)
HOUR = 6
TOLERANCE = 0.1
LANDING = 1.3

Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """Where a rule lands on one series; shares of the demand's volume."""

    unserved: float
    over: float
    changes_a_day: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A rule's points on every series, by its setting: shape (settings, series)."""

    name: str
    settings: tuple[float, ...]
    points: tuple[tuple[Point, ...], ...]

    def mean(self) -> tuple[Point, ...]:
        """Each setting's mean over the series."""
        return tuple(Point(*(statistics.fmean(part) for part in zip(*(list(asdict(one).values()) for one in row), strict=True))) for row in self.points)


def landed(series: Series, capacity: Rows, lead: int) -> Point:
    """Score capacity decided at row t against the demand at row t + lead, on the rows that count."""
    demand, there = series.rows[series.scored :], capacity[series.scored - lead : len(series.rows) - lead]
    days = len(demand) / ROWS_A_DAY
    total = float(demand.sum())
    changes = int((there[1:] != there[:-1]).sum())
    return Point(float(np.maximum(demand - there, 0.0).sum()) / total, float(np.maximum(there - demand, 0.0).sum()) / total, changes / days)


def quantiles(series: Series, lead: int, form: Form) -> Rows:
    """The forecaster's, issued after every row for the row that is `lead` later, shape (rows, levels)."""
    forecaster = SeriesForecaster((lead,), ROWS_A_DAY, form, LEVELS)
    issued = []
    for value in series.rows.tolist():
        forecaster.learn_one(value)
        issued.append(forecaster.forecast()[0].quantiles)
    return np.array(issued)


def advised(series: Series, lead: int, issued: Rows, target: float, cooldown_rows: int = 1) -> Rows:
    """What `Scaler` says after every row; nothing else is told."""
    scaler = Scaler(lead, ROWS_A_DAY, target, cooldown_rows=cooldown_rows)
    return np.array([scaler.observe(demand, row).capacity for demand, row in zip(series.rows.tolist(), issued, strict=True)])


def of_last_hour(series: Series, headroom: float) -> Rows:
    """Headroom x the largest of the last hour's rows."""
    padded = np.concatenate([np.full(HOUR - 1, series.rows[0]), series.rows])
    largest: Rows = np.lib.stride_tricks.sliding_window_view(padded, HOUR).max(axis=1)
    return headroom * largest


def of_last_value(series: Series, headroom: float) -> Rows:
    """Headroom x the last row."""
    return headroom * series.rows


def reactive(series: Series, headroom: float) -> Rows:
    """What the HorizontalPodAutoscaler does, KEDA's metrics included: demand over target utilisation, left as it is within a tenth (its tolerance).

    Its 5 minutes of stabilisation are less than a row.
    """
    capacity, running = np.zeros(len(series.rows)), 0.0
    for place, demand in enumerate(series.rows.tolist()):
        wanted = headroom * demand
        running = running if running > 0.0 and abs(wanted / running - 1.0) <= TOLERANCE else wanted
        capacity[place] = running
    return capacity


RULES: dict[str, Callable[[Series, float], Rows]] = {
    "headroom x max of the last hour": of_last_hour,
    "headroom x last value": of_last_value,
    "reactive (HPA, KEDA)": reactive,
}


def over_at(points: Sequence[Point], unserved: float) -> float:
    """The over-provisioned share on a curve where its unserved share is this, between its points linear in the logarithm; NaN beyond them.

    >>> round(over_at((Point(0.04, 0.05, 0.0), Point(0.01, 0.15, 0.0)), 0.02), 3)
    0.1
    """
    known = sorted((math.log(max(point.unserved, 1e-6)), point.over) for point in points)
    at = math.log(max(unserved, 1e-6))
    if not known[0][0] <= at <= known[-1][0]:
        return math.nan
    return float(np.interp(at, [place for place, _ in known], [over for _, over in known]))


def curves(series: Sequence[Series], issued: Sequence[Rows], lead: int) -> list[Curve]:
    """Ours, then the rules'."""
    ours = tuple(tuple(landed(one, advised(one, lead, row, target), lead) for one, row in zip(series, issued, strict=True)) for target in TARGETS)
    found = [Curve("pointsman", TARGETS, ours)]
    for name, rule in RULES.items():
        found.append(Curve(name, HEADROOMS, tuple(tuple(landed(one, rule(one, headroom), lead) for one in series) for headroom in HEADROOMS)))
    return found


def at_equal_unserved(found: Sequence[Curve]) -> list[dict[str, Any]]:
    """Over-provisioned % of every rule at the same unserved shares, on the curves' means."""
    return [{"policy": curve.name} | {f"at {100 * share:g} %": 100 * over_at(curve.mean(), share) for share in SHOWN} for curve in found]


def landings(found: Sequence[Curve]) -> list[dict[str, Any]]:
    """Where ours lands by itself per target, and the hour rule's curve there, on the mean and series by series."""
    ours, hour = found[0], found[1]
    rows = []
    for target, points, mean in zip(ours.settings, ours.points, ours.mean(), strict=True):
        if target in SHOWN:
            each = [over_at([row[place] for row in hour.points], point.unserved) for place, point in enumerate(points)]
            rows.append(
                {
                    "policy": f"target {100 * target:g} %",
                    "unserved %": 100 * mean.unserved,
                    "over %": 100 * mean.over,
                    "hour rule there %": 100 * over_at(hour.mean(), mean.unserved),
                    "within 1.3 x %": 100 * statistics.fmean(point.unserved <= LANDING * target for point in points),
                    "below rule %": 100 * statistics.fmean(not point.over >= there for point, there in zip(points, each, strict=True)),
                    "changes a day": mean.changes_a_day,
                }
            )
    return rows


def by_cooldown(series: Sequence[Series], issued: Sequence[Rows], lead: int, target: float) -> list[dict[str, Any]]:
    """What a longer cooldown costs, on the mean over the series."""
    rows = []
    for cooldown in COOLDOWNS:
        points = [landed(one, advised(one, lead, row, target, cooldown), lead) for one, row in zip(series, issued, strict=True)]
        (mean,) = Curve("", (target,), (tuple(points),)).mean()
        rows.append(
            {
                "policy": f"cooldown {10 * cooldown} minutes",
                "unserved %": 100 * mean.unserved,
                "over %": 100 * mean.over,
                "changes a day": mean.changes_a_day,
            }
        )
    return rows


def shapes(seed: int = 1) -> list[Series]:
    """Two weeks each, made up: what no recording has. The second week counts."""
    dice, rows = np.random.default_rng(seed), np.arange(14 * ROWS_A_DAY)
    day = 1.0 + 0.5 * np.sin(2 * np.pi * rows / ROWS_A_DAY)
    noise = np.exp(0.05 * dice.standard_normal(len(rows)))
    weekend = np.where(rows // ROWS_A_DAY % 7 >= 5, 0.5, 1.0)
    spikes = np.where(np.isin(rows % 701, range(3)), 4.0, 1.0)
    walk = np.exp(np.cumsum(0.05 * dice.standard_normal(len(rows))) * 0.5)
    made = {
        "daily": day * noise,
        "weekly": day * noise * weekend,
        "shift to double": day * noise * np.where(rows >= 10 * ROWS_A_DAY, 2.0, 1.0),
        "shift to half": day * noise * np.where(rows >= 10 * ROWS_A_DAY, 0.5, 1.0),
        "spikes of 30 minutes": day * noise * spikes,
        "growth of 10 % a day": day * noise * 1.1 ** (rows / ROWS_A_DAY),
        "no season": noise,
        "random walk": walk,
        "counts": dice.poisson(5.0 * day).astype(np.float64),
    }
    return [Series(name, 100.0 * values, 7 * ROWS_A_DAY) for name, values in made.items()]


def by_shape(lead: int, form: Form, target: float) -> list[dict[str, Any]]:
    """Per made-up shape where ours lands, and the hour rule tuned in hindsight to the same unserved share."""
    rows = []
    for series in shapes():
        point = landed(series, advised(series, lead, quantiles(series, lead, form), target), lead)
        there = over_at([landed(series, of_last_hour(series, headroom), lead) for headroom in HEADROOMS], point.unserved)
        rows.append(
            {
                "policy": series.name,
                "unserved %": 100 * point.unserved,
                "over %": 100 * point.over,
                "hour rule there %": 100 * there,
                "changes a day": point.changes_a_day,
            }
        )
    return rows


def cost(rows: int = 2000) -> str:
    """What a step takes on top of the forecaster, and how large its state is."""
    scaler, quantiles_ = Scaler(1, ROWS_A_DAY), np.linspace(90.0, 130.0, len(LEVELS))
    begin = time.process_time()
    for place in range(rows):
        scaler.observe(100.0 + place % 7, quantiles_)
    taken = (time.process_time() - begin) / rows
    return f"on top of the forecaster: {1000.0 * taken:.3f} ms a row, {len(json.dumps(scaler.snapshot()))} bytes of state"


def formats(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The columns of a table; small shares have two digits."""
    return {key: ".2f" if key == "unserved %" else ".1f" for key in rows[0] if key != "policy"}


def report(name: str, series: Sequence[Series], form: Form, leads: Sequence[int]) -> list[dict[str, Any]]:
    """Print and return both tables per start delay."""
    results = []
    for lead in leads:
        issued = [quantiles(one, lead, form) for one in series]
        found = curves(series, issued, lead)
        equal, own, held = at_equal_unserved(found), landings(found), by_cooldown(series, issued, lead, 0.01)
        title = f"{name}: {len(series)} series, start delay {10 * lead} minutes"
        print(table(f"{title}: over-provisioned % at equal unserved share", equal, {f"at {100 * share:g} %": ".1f" for share in SHOWN}))
        print(table(f"{title}: where it lands by itself", own, formats(own)))
        print(table(f"{title}: target 1 %", held, formats(held)) + "\n")
        results.append(
            {"series": name, "delay_minutes": 10 * lead, "equal": equal, "landings": own, "cooldowns": held, "curves": [asdict(curve) for curve in found]}
        )
    return results


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder that holds servegen (default: POINTSMAN_BENCH_DATA, else ../shared/data)")
    parser.add_argument("--series", type=int, default=24, help="how many two-week series")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--form", choices=["full", "light"], default="full", help="of the forecaster")
    parser.add_argument("--quick", action="store_true", help="three series, the 10-minute delay only")
    parser.add_argument("--json", type=Path, help="write the results here as well")
    options = parser.parse_args(arguments)
    folder = data_folder(options.data)
    if not (folder / "servegen").is_dir():
        sys.exit(f"{folder / 'servegen'} is missing: get the development data (alibaba/ServeGen) and name its parent by --data")
    leads = (1,) if options.quick else (1, 2)
    made = two_weeks(folder, 3 if options.quick else options.series, options.seed)
    results = report("two weeks", made, options.form, leads) + report("recorded, days 2-7", recorded(folder), options.form, leads)
    for lead in leads:
        rows = by_shape(lead, options.form, 0.01)
        print(table(f"made-up shapes, target 1 %, start delay {10 * lead} minutes", rows, formats(rows)) + "\n")
        results.append({"series": "shapes", "delay_minutes": 10 * lead, "landings": rows})
    print(cost())
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
