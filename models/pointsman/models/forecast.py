"""What a series will be some rows from now: a median and quantiles at each horizon, learned row by row.

Many simple members (forecast_members.py) are weighted online by what each would have gained; quantiles come from residuals of several kinds, and the level
of the 90 % interval is controlled by its misses (forecast_bounds.py). A forecast is scored, and learned from, when its own row arrives.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .forecast_bounds import KINDS, TAIL, Bounds, NearQuantiles, QuantileBounds
from .forecast_ensemble import PolynomialWeights, Rows
from .forecast_members import FEATURES, Members, View
from .forecast_state import Floats, Grid, SeriesState
from .packing import pack, unpack_into

Form = Literal["full", "light"]
LEVELS = (TAIL, 1.0 - TAIL)
_LONGEST_NEAR_S = 7200.0


@dataclass(frozen=True, slots=True)
class RowForecast:
    """Of the row `horizon` rows after the last one learned: the median, its calibrated 90 % interval, and quantiles at the forecaster's levels, in order."""

    horizon: int
    median: float
    quantiles: tuple[float, ...]
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class _Issue:
    """All that was said after one row, for every horizon."""

    view: View
    median: Floats
    bounds: Bounds


class SeriesForecaster:
    """Forecasts one series at fixed horizons, in rows.

    Deterministic, of bounded size, and scale-free: a series a thousand times as large gets forecasts a thousand times as large. `full` also asks the
    nearest neighbours of the present among the last 14 days, and keeps residuals of seven days; `light` does neither. At the levels (0.05, 0.95), the
    default, `quantiles` are the calibrated interval. At any other levels they are what residuals say of each, uncalibrated, and the calibrated interval
    is still in `lower` and `upper`.

    >>> forecaster = SeriesForecaster(horizons=(1, 6), rows_a_day=24)
    >>> for hour in range(24 * 14 + 5):
    ...     forecaster.learn_one(150.0 if hour % 24 >= 8 else 100.0)
    >>> [round(found.median) for found in forecaster.forecast()]
    [100, 150]
    """

    def __init__(self, horizons: Sequence[int], rows_a_day: int, form: Form = "full", levels: Sequence[float] = LEVELS) -> None:
        _check(horizons, rows_a_day, levels)
        self.horizons, self.rows_a_day, self.form, self.levels = tuple(horizons), rows_a_day, form, tuple(levels)
        is_full = form == "full"
        grid = Grid.of(rows_a_day)
        self._rows = np.array(self.horizons, np.int64)
        spans = np.maximum(self._rows / grid.pool, 1.0)
        self._asked: Floats = np.array(sorted({*LEVELS, *self.levels}))
        self.state = SeriesState(grid)
        self.members = Members(self._rows, grid, is_full)
        count = self.members.wakes.shape
        self.ensemble = _ensemble(count, spans, grid, self._rows)
        self.bounds = QuantileBounds(self._rows, grid, self._asked, is_full)
        self._is_near = self._rows <= _LONGEST_NEAR_S / 86_400.0 * rows_a_day
        self._sizes = [horizon // grid.pool + 2 for horizon in self.horizons]
        self._starts = [sum(self._sizes[:place]) for place in range(len(self._sizes))]
        self._experts = self.bounds.weights.regret.shape[2]
        self._parts = self._layout(count[1])
        self._pending: Floats = np.zeros((sum(self._sizes), self._parts[-1].stop))
        self._pending_rows = [-1] * len(self._pending)
        self._issued: _Issue | None = None

    def _layout(self, members: int) -> list[slice]:
        """Where the parts of a pending forecast stand: row, unit, median, log of the last value, members, features, centres, scales, pair, mixture, experts."""
        levels = len(self._asked)
        sizes = [4, members, FEATURES, KINDS, KINDS, 2, levels, levels * self._experts]
        ends = np.cumsum(sizes).tolist()
        return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]

    def learn_one(self, value: float | None) -> None:
        """Take in the next row; None is a row that nobody knows: the last value is carried and nothing is scored."""
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{value} is no value of a series: give a finite number, or None for a row that isn't known")
        if value is not None:
            self._resolve(value)
        self.state.learn(value)
        self._issued = None
        if value is not None and self.state.grid.is_last_of_slot(self.state.row):
            self._issued = self._issue()
            self._store(self._issued)

    def _resolve(self, value: float) -> None:
        """Every forecast that was made for this row is scored."""
        due = self._due(self.state.row + 1)
        if not due:
            return
        places = [self._place(place, slot) for place, slot in due]
        rows: Rows = slice(None) if len(due) == len(self.horizons) else np.array([place for place, _ in due])
        kept = self._pending[places]
        _, members, features, centres, scales, pair, mixed, experts = (kept[:, part] for part in self._parts)
        unit, median, level = kept[:, 1], kept[:, 2], kept[:, 3]
        awake = kept[:, :1] >= self.members.wakes[rows]
        slope = np.sign(median - value)[:, None]
        self.ensemble.learn(rows, np.where(awake, slope * (median[:, None] - members) / unit[:, None], 0.0))
        change = np.arcsinh(value / (0.05 * unit)) - level
        self.members.regression.learn(rows, features, change)
        if self.members.neighbours:
            self.members.neighbours.learn(due, self.state.slot, features[:, 3].tolist(), change.tolist())
        said = Bounds(centres, scales, experts.reshape(len(due), len(self._asked), -1), mixed, pair)
        self.bounds.learn(rows, value, unit, median, said, self.state.grid.slot(self.state.row + 1) % self.state.grid.slots)

    def _due(self, row: int) -> list[tuple[int, int]]:
        """Places of the horizons that spoke of this row, each with the slot in which it did."""
        grid = self.state.grid
        issued = [(place, row - horizon) for place, horizon in enumerate(self.horizons) if row >= horizon]
        slots = [(place, grid.slot(then), then) for place, then in issued]
        return [(place, slot) for place, slot, then in slots if self._pending_rows[self._place(place, slot)] == then]

    def _place(self, place: int, slot: int) -> int:
        """Where the pending forecast of a horizon stands that was made in a slot."""
        return self._starts[place] + slot % self._sizes[place]

    def _issue(self) -> _Issue:
        state = self.state
        view = self.members.view(state)
        shares = self.ensemble.share(state.row >= self.members.wakes)
        median = np.add.reduce(shares * view.members, axis=1)
        targets = state.row + self._rows
        slots = targets % state.grid.rows_a_day // state.grid.pool
        is_full = self.form == "full"
        near = NearQuantiles(view.nearest, self._is_near, view.level, state.unit) if is_full else None
        return _Issue(view, median, self._tidied(median, self.bounds.bounds(state, median, slots, near)))

    def _tidied(self, median: Floats, found: Bounds) -> Bounds:
        """The pair around the median; nothing below zero where no row ever was."""
        pair, mixed = found.pair, found.mixed
        np.minimum(pair[:, 0], median, out=pair[:, 0])
        np.maximum(pair[:, 1], median, out=pair[:, 1])
        if not self.state.is_signed:
            pair, mixed = np.maximum(pair, 0.0), np.maximum(mixed, 0.0)
        return Bounds(found.centres, found.scales, found.experts, mixed, pair)

    def _store(self, issue: _Issue) -> None:
        """Keep what was said until its row arrives."""
        state = self.state
        places = [self._place(place, state.slot) for place in range(len(self._sizes))]
        for place in places:
            self._pending_rows[place] = state.row
        view, bounds = issue.view, issue.bounds
        count = len(self.horizons)
        kept = np.empty((count, self._parts[-1].stop))
        kept[:, 0], kept[:, 1], kept[:, 2], kept[:, 3] = state.row, state.unit, issue.median, view.level
        said = (view.members, view.features, bounds.centres, bounds.scales, bounds.pair, bounds.mixed, bounds.experts.reshape(count, -1))
        for part, values in zip(self._parts[1:], said, strict=True):
            kept[:, part] = values
        self._pending[places] = kept
        if self.members.neighbours:
            self.members.neighbours.store(state.slot, view.near)

    def forecast(self) -> tuple[RowForecast, ...]:
        """One for every horizon, of the rows after the last one learned; the same answer however often it is asked."""
        if self.state.scored == 0:
            return tuple(RowForecast(horizon, 0.0, (0.0,) * len(self.levels), 0.0, 0.0) for horizon in self.horizons)
        if self._issued is None:
            self._issued = self._issue()
        return tuple(self._said(place, self._issued) for place in range(len(self.horizons)))

    def _said(self, place: int, issue: _Issue) -> RowForecast:
        median = float(issue.median[place])
        lower, upper = issue.bounds.pair[place].tolist()
        if self.levels == LEVELS:
            return RowForecast(self.horizons[place], median, (lower, upper), lower, upper)
        asked = self._asked.searchsorted(self.levels)
        quantiles = np.maximum.accumulate(issue.bounds.mixed[place])[asked]
        return RowForecast(self.horizons[place], median, tuple(_around(quantiles, self.levels, median)), lower, upper)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values; a forecaster restored from it continues with the same digits."""
        parts = {name: getattr(self, name).snapshot() for name in ("state", "members", "ensemble", "bounds")}
        return {
            "shape": [list(self.horizons), self.rows_a_day, self.form, list(self.levels)],
            "pending": pack(self._pending),
            "pending_rows": self._pending_rows,
        } | parts

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles go by the snapshot."""
        return SeriesForecaster.restore, (self.snapshot(),)

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "SeriesForecaster":
        """The forecaster that left this snapshot."""
        forecaster = cls(*state["shape"])
        for name in ("state", "members", "ensemble", "bounds"):
            getattr(forecaster, name).restore(state[name])
        unpack_into(state["pending"], forecaster._pending)
        forecaster._pending_rows = list(state["pending_rows"])
        return forecaster


def _ensemble(count: tuple[int, ...], spans: Floats, grid: Grid, rows: NDArray[np.int64]) -> PolynomialWeights:
    """The prior makes the first day safe: what the last value is ahead by must be earned."""
    days = np.clip(rows / grid.rows_a_day * 144.0 / 2.0, 1.0, 14.0)
    memory = 1.0 - 1.0 / np.maximum(days * grid.slots, 100.0)
    regret = np.zeros(count)
    regret[:, 0] = np.sqrt(spans)
    return PolynomialWeights(regret, np.zeros(count) + 0.1 * np.sqrt(spans)[:, None], memory)


def _around(quantiles: Floats, levels: Sequence[float], median: float) -> list[float]:
    """Quantiles below the middle at most the median, those above it at least."""
    return [min(value, median) if level < 0.5 else max(value, median) for value, level in zip(quantiles.tolist(), levels, strict=True)]


def _check(horizons: Sequence[int], rows_a_day: int, levels: Sequence[float]) -> None:
    if not horizons or min(horizons) < 1:
        raise ValueError(f"horizons {tuple(horizons)}: give at least one, each of at least one row")
    if rows_a_day < 1:
        raise ValueError(f"rows_a_day {rows_a_day}: a step of at most a day is needed")
    if list(levels) != sorted(levels) or not levels or levels[0] <= 0.0 or levels[-1] >= 1.0:
        raise ValueError(f"levels {tuple(levels)}: give them in order, between 0 and 1")
