"""Two weeks of load made from seven recorded days: clients rolled by whole days and reweighted between the weeks (ServeGen, 10-minute rates).

Each series is a random sum of clients; within a week every client is rolled by a whole number of days, so that its day stays a day and days differ, and
between the weeks weights change by a factor. Kept are those whose last value errs 8 to 16 % at 10 minutes and 28 to 50 % at 6 hours in the second week,
which is the one to score. A client has only seven days, so
the second week repeats the first one's, rolled: methods that look for alike days are flattered a little.
"""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROWS_A_DAY = 144
WEEK = 7 * ROWS_A_DAY
FIRST = 0.08, 0.16
SIXTH_HOUR = 0.28, 0.50


@dataclass(frozen=True, slots=True)
class Series:
    """A load in requests a second, one row per ten minutes; rows from `scored` on count."""

    name: str
    rows: NDArray[np.float64]
    scored: int


def recorded(folder: Path) -> list[Series]:
    """Two recorded services; days 2 to 7 count."""
    with (folder / "servegen" / "aggregate_rate_10min_days1-7.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [Series(name, np.array([float(row[f"language_{name}"]) for row in rows]), ROWS_A_DAY) for name in ("m-small", "m-large")]


def clients(folder: Path) -> NDArray[np.float64]:
    """Rows × clients: those of one service that send more than one request in two seconds, and another service as one more client."""
    rates: dict[str, list[float]] = {}
    with gzip.open(folder / "servegen" / "m-small_clients_days1-7.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            rates.setdefault(row["client"], []).append(float(row["rate"]))
    columns = [np.array(rate) for rate in rates.values()] + [recorded(folder)[1].rows]
    return np.column_stack([column for column in columns if column.mean() > 0.5])


def change(rows: NDArray[np.float64], lag: int) -> float:
    """The mean change over so many rows as a share of the mean: the WAPE of the last value.

    >>> round(change(np.array([1.0, 2.0, 1.0, 2.0]), 1), 2)
    0.6
    """
    return float(np.abs(rows[lag:] - rows[:-lag]).sum() / rows[lag:].sum())


def two_weeks(folder: Path, count: int, seed: int) -> list[Series]:
    """So many series of two weeks; one seed gives one list."""
    dice = np.random.default_rng(seed)
    pool = clients(folder)
    made: list[Series] = []
    for _ in range(400 * count):
        rows = _draw(pool, dice)
        second = rows[WEEK:]
        if FIRST[0] <= change(second, 1) <= FIRST[1] and SIXTH_HOUR[0] <= change(second, 36) <= SIXTH_HOUR[1]:
            made.append(Series(f"two weeks {len(made) + 1}", rows, WEEK))
        if len(made) == count:
            return made
    raise ValueError(f"only {len(made)} of {count} series were as bursty as wanted: {folder} is not the recording this is for")


def _draw(pool: NDArray[np.float64], dice: np.random.Generator) -> NDArray[np.float64]:
    size = (pool.shape[1],)
    weights = np.where(dice.random(size) < 0.7, dice.lognormal(0.0, 0.8, size), 0.0)
    weeks = (weights, weights * dice.lognormal(0.0, 0.25, size))
    return np.concatenate([_week(pool, week, dice.integers(0, 7, size)) for week in weeks])


def _week(pool: NDArray[np.float64], weights: NDArray[np.float64], days: NDArray[np.int64]) -> NDArray[np.float64]:
    total = np.zeros(len(pool))
    for place, (weight, day) in enumerate(zip(weights, days.tolist(), strict=True)):
        total += weight * np.roll(pool[:, place], ROWS_A_DAY * day)
    return total
