"""The series forecaster as one of river's: for its pipelines, metrics and evaluations."""

from itertools import pairwise
from typing import Any

from river import time_series

from .forecast import SeriesForecaster


class EnsembleForecaster(time_series.base.Forecaster):
    """Pointsman's forecaster behind river's interface: `forecast(horizon)` gives a median for each of the next rows.

    It is learned at the `horizons` (in rows) and interpolated between them; beyond the last one its forecast stays. Exogenous features are ignored.

    >>> model = EnsembleForecaster(rows_a_day=24, horizons=(1, 6))
    >>> for hour in range(24 * 10):
    ...     model.learn_one(10.0 + hour % 24)
    >>> [round(value) for value in model.forecast(3)]
    [10, 11, 12]
    """

    def __init__(self, rows_a_day: int = 144, horizons: tuple[int, ...] = (1, 6, 36), form: str = "full") -> None:
        self.rows_a_day = rows_a_day
        self.horizons = horizons
        self.form = form
        self._forecaster = SeriesForecaster(sorted(horizons), rows_a_day, "light" if form == "light" else "full")

    def learn_one(self, y: float, x: dict[str, Any] | None = None) -> None:
        """Take in the next value; `x` is ignored."""
        self._forecaster.learn_one(float(y))

    def forecast(self, horizon: int, xs: list[dict[str, Any]] | None = None) -> list[float]:
        """Medians of the next `horizon` rows; `xs` is ignored."""
        known = [(0, self._forecaster.state.recent[0]), *((found.horizon, found.median) for found in self._forecaster.forecast())]
        return [_between(known, ahead) for ahead in range(1, horizon + 1)]


def _between(known: list[tuple[int, float]], ahead: int) -> float:
    """Linear between the nearest known ones, the last one's value after it."""
    for (first, left), (second, right) in pairwise(known):
        if ahead <= second:
            return left + (right - left) * (ahead - first) / (second - first)
    return known[-1][1]
