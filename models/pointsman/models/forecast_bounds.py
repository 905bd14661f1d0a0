"""Quantiles of a forecast from several kinds of residuals, weighted by their pinball loss, their level controlled by what was missed.

Each kind is a centre and a scale; the residuals (y − centre) / scale of the last day and the last seven days (with one window only, of up to three days: a
spike of an hour is then no 5 % of it) are kept in order. The quantile at a level is
the mixture of centre + scale × residual quantile over kinds and windows, by ML-Poly on pinball loss. The pair 5 % / 95 % is calibrated by the level, not by the
width (adaptive conformal inference, Gibbs and Candès 2021, in logits): logit p = logit 0.05 − θ, θ += 0.3 γ (missed this side − 0.05) + 0.5 γ (missed − aim).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .forecast_ensemble import PolynomialWeights, Rows
from .forecast_neighbours import Nearest
from .forecast_state import Floats, Grid, SeriesState, unfolded
from .forecast_windows import SortedWindows
from .packing import pack, unpack_into

TAIL = 0.05
KINDS = 7
_MOST_RESIDUAL = 50.0
_MOST_CONTROL = 2.5
_FEWEST = 8.0
_MOST_ROWS = 420
_LEAST_SPREAD = 0.005
_FIRST_SPREAD = 0.3
_MOST_YOUNG = 3.0
_FIRST_SQUARE = 0.2
_LOGIT = float(np.log(TAIL / (1.0 - TAIL)))
_BESIDE = np.arange(-3, 4)
_NEAR_RATE = 0.3 * (1.0 - np.abs(_BESIDE) / 4.0)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Centre and scale of each kind (H × KINDS), what each expert says (H × L × experts), their mixture (H × L), and the calibrated pair (H × 2)."""

    centres: Floats
    scales: Floats
    experts: Floats
    mixed: Floats
    pair: Floats


class QuantileBounds:
    """The bounds of H horizons at L levels."""

    __slots__ = (
        "_ends",
        "_fewest",
        "_lines",
        "_pace",
        "_roots",
        "aim",
        "control",
        "grid",
        "levels",
        "missed",
        "rate",
        "residual",
        "seasonal",
        "spans",
        "typical",
        "weights",
        "windows",
    )

    def __init__(self, horizons: NDArray[np.int64], grid: Grid, levels: Floats, is_full: bool) -> None:
        count = len(horizons)
        self.grid, self.levels = grid, levels
        self.spans = np.maximum(horizons / grid.pool, 1.0)
        places = np.log(self.spans)
        known = np.log([1.0, 6.0, 36.0])
        self.rate = np.interp(places, known, [0.1, 0.15, 0.12])
        self.aim = np.interp(places, known, [0.1, 0.099, 0.08])
        sizes = (max(grid.slots, 100), max(7 * grid.slots, 300)) if is_full else (max(min(3 * grid.slots, _MOST_ROWS), grid.slots, 100),)
        self.windows = SortedWindows(count, KINDS, sizes)
        shape = count, len(levels), len(sizes) * KINDS + is_full
        memory = np.full(count, 1.0 - 1.0 / max(3.0 * grid.slots, 200.0))
        self.weights = PolynomialWeights(np.zeros(shape), np.full(shape, _FIRST_SQUARE), memory)
        self.control: Floats = np.zeros((count, 2))
        self.residual: Floats = np.zeros(count)
        self.typical: Floats = np.zeros(count)
        self.seasonal: Floats = np.full((count, grid.slots), -1.0)
        self._roots = np.sqrt(self.spans)
        self._fewest = _FEWEST * self.spans**0.4
        self._pace = self.spans**0.7
        self._ends = levels.searchsorted([TAIL, 1.0 - TAIL])
        self._lines = np.arange(count)

    def bounds(self, state: SeriesState, median: Floats, slots: NDArray[np.int64], near: "NearQuantiles | None") -> Bounds:
        """The bounds around a median; `slots` are the targets' slots of the day."""
        centres, scales = self._kinds(state, median, slots)
        half = _LOGIT - self.control
        tails = 1.0 / (1.0 + np.exp(-half))
        count = len(self.levels)
        asked = np.empty((len(median), count + 2))
        asked[:, :count], asked[:, count], asked[:, count + 1] = self.levels, tails[:, 0], 1.0 - tails[:, 1]
        experts = self._experts(centres, scales, asked, near)
        shares = self._shares()
        mixed = np.add.reduce(experts[:, :count] * shares, axis=-1)
        pair = np.add.reduce(experts[:, count:] * shares[:, self._ends], axis=-1)
        wider = 2.0 / np.sqrt(self.windows.count / self._pace + 1.0) - 0.2
        if max(wider.tolist()) > 0.0:
            self._young(state, median, experts[:, :count], mixed, pair)
            pair = median[:, None] + (pair - median[:, None]) * (1.0 + np.maximum(wider, 0.0)[:, None])
        return Bounds(centres, scales, experts[:, :count], mixed, pair)

    def _shares(self) -> Floats:
        values = self.weights.values
        total = np.add.reduce(values, axis=-1, keepdims=True)
        if total.all():
            return values / total
        found: Floats = np.where(total > 0.0, values / np.where(total > 0.0, total, 1.0), 1.0 / values.shape[-1])
        return found

    def _experts(self, centres: Floats, scales: Floats, asked: Floats, near: "NearQuantiles | None") -> Floats:
        quantiles = self.windows.quantiles(asked)  # H × windows × kinds × levels
        values = centres[:, None, :, None] + quantiles * scales[:, None, :, None]
        rows = values.reshape(len(centres), -1, asked.shape[1]).transpose(0, 2, 1)
        return np.concatenate([rows, near(asked, rows[:, :, KINDS - 2])[..., None]], axis=2) if near is not None else rows

    def _kinds(self, state: SeriesState, median: Floats, slots: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """A scale is nothing at the first rows: a spread that shrinks as they come is added, else what is divided by it says that anything may happen."""
        unit, grid = state.unit, self.grid
        floor = max(_LEAST_SPREAD, _FIRST_SPREAD / max(state.scored, 1)) * unit
        residual, typical = self.residual, self.typical
        if not self.windows.count.all():
            first, has = state.day_change * self._roots, self.windows.count > 0
            residual, typical = np.where(has, residual, first), np.where(has, typical, first)
        seasonal = self.seasonal[self._lines, slots]
        seasonal = np.where(seasonal >= 0.0, seasonal, typical)
        top = state.extent(grid.span(6))[1]
        least, most = state.extent(grid.span(18))
        scales = np.empty((len(median), KINDS))
        scales[:, 0] = np.maximum(np.abs(median), 0.05 * unit)
        scales[:, 1] = state.change + floor
        scales[:, 2] = residual + floor
        scales[:, 3] = 0.7 * seasonal + 0.3 * self.typical + floor
        scales[:, 4] = most - least + 0.3 * state.day_change + floor
        scales[:, 5] = abs(top) + 0.02 * unit
        scales[:, 6] = unit
        centres = np.empty((len(median), KINDS))
        centres[:] = median[:, None]
        centres[:, 5] = top
        return centres, scales

    def _young(self, state: SeriesState, median: Floats, experts: Floats, mixed: Floats, pair: Floats) -> None:
        """Before eight outcomes, or more of far horizons: as wide as the changes seen so far, or half the level where there are none, but of its order."""
        young, unit = self.windows.count < self._fewest, state.unit
        if not young.any():
            return
        width = np.maximum(3.0 * (state.day_change + state.change) * self.spans**0.4, 0.1 * unit) if state.scored > 2 else np.full(len(median), 0.5 * unit)
        width = np.minimum(width, _MOST_YOUNG * unit)
        sides = np.where(self.levels < 0.5, -1.0, 1.0) * np.minimum(np.abs(2.0 * self.levels - 1.0) / 0.9, 1.5)
        values = median[:, None] + width[:, None] * sides
        experts[young] = values[young][:, :, None]
        mixed[young] = values[young]
        pair[young] = (median[:, None] + width[:, None] * np.array([-1.0, 1.0]))[young]

    def learn(self, rows: Rows, value: float, unit: Floats, median: Floats, said: Bounds, slot: int) -> None:
        """The outcome, in a slot of the day, of what was said for some horizons."""
        off = np.abs(value - median)
        seen = self.windows.count[rows] + 1.0
        self.residual[rows] += np.maximum(1.0 / self.grid.span(24), 1.0 / seen) * (off - self.residual[rows])
        self.typical[rows] += np.maximum(1.0 / max(self.grid.slots, 24), 1.0 / seen) * (off - self.typical[rows])
        self._learn_season(rows, off, slot)
        residuals = np.minimum(np.maximum((value - said.centres) / said.scales, -_MOST_RESIDUAL), _MOST_RESIDUAL)
        for row, residual in zip(self._lines[rows].tolist(), residuals, strict=True):
            self.windows.learn(row, residual)
        slope = (said.mixed > value) - self.levels
        self.weights.learn(rows, slope[..., None] * (said.mixed[..., None] - said.experts) / unit[:, None, None])
        misses = np.empty((len(unit), 2))
        misses[:, 0], misses[:, 1] = value < said.pair[:, 0], value > said.pair[:, 1]
        both = np.maximum.reduce(misses, axis=1) - self.aim[rows]
        control = self.control[rows] + self.rate[rows][:, None] * (0.3 * (misses - TAIL) + 0.5 * both[:, None])
        self.control[rows] = np.minimum(np.maximum(control, -_MOST_CONTROL), _MOST_CONTROL)

    def _learn_season(self, rows: Rows, off: Floats, slot: int) -> None:
        slots = self.grid.slots
        is_inside = isinstance(rows, slice) and 3 <= slot < slots - 3
        where: Any = (rows, slice(slot - 3, slot + 4)) if is_inside else (self._lines[rows, None], (slot + _BESIDE) % slots)
        seasonal = self.seasonal[where]
        seasonal = np.where(seasonal < 0.0, self.typical[rows, None], seasonal)
        self.seasonal[where] = seasonal + _NEAR_RATE * (off[:, None] - seasonal)

    def _arrays(self) -> tuple[Floats, ...]:
        return self.control, self.residual, self.typical, self.seasonal

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {"windows": self.windows.snapshot(), "weights": self.weights.snapshot(), "arrays": [pack(array) for array in self._arrays()]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self.windows.restore(state["windows"])
        self.weights.restore(state["weights"])
        for array, text in zip(self._arrays(), state["arrays"], strict=True):
            unpack_into(text, array)


@dataclass(frozen=True, slots=True)
class NearQuantiles:
    """What followed the nearest 60 states, as one more expert among the bounds, at the horizons that use it and once it is known."""

    nearest: Nearest | None
    is_used: NDArray[np.bool_]
    level: float
    scale: float

    def __call__(self, asked: Floats, instead: Floats) -> Floats:
        """H × levels, for levels of each horizon; `instead` (H × levels) elsewhere."""
        if self.nearest is None:
            return instead
        found = unfolded(self.level + self.nearest.quantiles(1, asked), self.scale)
        return np.where(self.is_used[:, None], found, instead)
