"""What a series will be some rows from now: a median and quantiles per horizon, learned row by row."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .quantiles import SlidingQuantiles

Form = Literal["full", "light"]
LEVELS = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class RowForecast:
    """Of the row `horizon` rows after the last one learned: the median, and the quantiles at the forecaster's levels, in order."""

    horizon: int
    median: float
    quantiles: tuple[float, ...]


class SeriesForecaster:
    """Forecasts one series at fixed horizons (in rows): the last value or the value a day before, whichever erred less, with trailing quantiles."""

    def __init__(self, horizons: Sequence[int], rows_a_day: int, form: Form = "full", levels: Sequence[float] = LEVELS) -> None:
        self.horizons, self.rows_a_day, self.form, self.levels = tuple(horizons), rows_a_day, form, tuple(levels)
        self.history: deque[float] = deque(maxlen=rows_a_day + max(self.horizons) + 1)
        self.errors = [[0.0, 0.0] for _ in self.horizons]
        self.changes = [SlidingQuantiles(rows_a_day) for _ in self.horizons]
        self.is_signed = False

    def learn_one(self, value: float | None) -> None:
        """Take in the next row; None is a row that nobody knows: the last value is carried and nothing is scored."""
        if value is None or not math.isfinite(value):
            self.history.append(self.history[-1] if self.history else 0.0)
            return
        self.is_signed = self.is_signed or value < 0.0
        for place, horizon in enumerate(self.horizons):
            if len(self.history) >= horizon:
                last, seasonal = self._members(horizon, len(self.history) - horizon)
                errors = self.errors[place]
                errors[0] += 0.01 * (abs(value - last) - errors[0])
                errors[1] += 0.01 * (abs(value - seasonal) - errors[1])
                self.changes[place].update(value - (seasonal if errors[1] < errors[0] else last))
        self.history.append(value)

    def _members(self, horizon: int, known: int) -> tuple[float, float]:
        """The last of the first `known` rows, and the row a whole number of days before the target, where it is still held."""
        before = known - 1 + horizon - self.rows_a_day * math.ceil(horizon / self.rows_a_day)
        return self.history[known - 1], self.history[before if before >= 0 else known - 1]

    def forecast(self) -> tuple[RowForecast, ...]:
        """One for every horizon; the same answer however often it is asked."""
        return tuple(self._forecast(place, horizon) for place, horizon in enumerate(self.horizons))

    def _forecast(self, place: int, horizon: int) -> RowForecast:
        if not self.history:
            return RowForecast(horizon, 0.0, (0.0,) * len(self.levels))
        last, seasonal = self._members(horizon, len(self.history))
        median = seasonal if self.errors[place][1] < self.errors[place][0] else last
        changes, lowest = self.changes[place], -math.inf if self.is_signed else 0.0
        young = 0.3 * abs(median)
        spread = [changes.get(level) if len(changes) >= 8 else young * (2.0 * level - 1.0) for level in self.levels]
        bounds = [max(median + (min(one, 0.0) if level < 0.5 else max(one, 0.0)), lowest) for level, one in zip(self.levels, spread, strict=True)]
        return RowForecast(horizon, median, tuple(bounds))

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        shape = [list(self.horizons), self.rows_a_day, self.form, list(self.levels)]
        return {
            "shape": shape,
            "history": list(self.history),
            "errors": self.errors,
            "changes": [one.snapshot() for one in self.changes],
            "is_signed": self.is_signed,
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "SeriesForecaster":
        """The forecaster that left this snapshot."""
        forecaster = cls(*state["shape"])
        forecaster.history.extend(state["history"])
        forecaster.errors = [list(one) for one in state["errors"]]
        for window, values in zip(forecaster.changes, state["changes"], strict=True):
            window.restore(values)
        forecaster.is_signed = state["is_signed"]
        return forecaster
