"""What a series did so far, in bounded space: its last rows, a week of slots, and the level each slot of the day has had.

A day has at most 288 slots: a faster series is pooled, a slot then holds the mean of its rows. All windows are durations, and all logarithms are asinh(y / c)
with c = 5 % of the mean |y| (Johnson 1949): like log y for large values, like y / c near zero, and defined for values below it.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .packing import pack, unpack_into

Floats = NDArray[np.float64]

MOST_SLOTS = 288
_FEWEST_DAYS = 0.25
_BESIDE = np.array([[-1], [0], [1]])


@dataclass(frozen=True, slots=True)
class Grid:
    """How rows fall into slots of a day; rows and slots count from the first row, not from a calendar's midnight.

    >>> grid = Grid.of(1440)
    >>> grid.pool, grid.slots, grid.slot(1441), grid.is_last_of_slot(1444)
    (5, 288, 288, True)
    """

    rows_a_day: int
    pool: int
    slots: int

    @classmethod
    def of(cls, rows_a_day: int) -> "Grid":
        """The grid of a series with so many rows a day."""
        pool = math.ceil(rows_a_day / MOST_SLOTS)
        return cls(rows_a_day, pool, math.ceil(rows_a_day / pool))

    def slot(self, row: int) -> int:
        """The number of a row's slot since the first row."""
        return row // self.rows_a_day * self.slots + row % self.rows_a_day // self.pool

    def is_last_of_slot(self, row: int) -> bool:
        """Whether the next row belongs to the next slot."""
        return self.slot(row + 1) != self.slot(row)

    def span(self, tens: float, least: int = 3) -> int:
        """So many times ten minutes in slots, but never so few that nothing is averaged."""
        return max(round(tens * self.slots / 144.0), min(round(tens), least))


class SeriesState:
    """A week of slots as a ring written twice, so that every window is one slice; the profile of the day; scales of level and change."""

    __slots__ = ("change", "day_change", "grid", "held", "is_signed", "profile", "recent", "ring", "row", "scale", "scored", "slot")

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.held = 7 * grid.slots + 4
        self.ring: Floats = np.zeros(2 * self.held)
        self.profile: Floats = np.zeros(grid.slots)
        self.recent = [0.0, 0.0, 0.0]
        self.row = self.slot = -1
        self.scored = 0
        self.scale = self.change = self.day_change = 0.0
        self.is_signed = False

    @property
    def unit(self) -> float:
        """The mean |y|, fading over a day; 1 while all is zero."""
        return self.scale or 1.0

    @property
    def present(self) -> int:
        """Where in the ring the present slot stands: the slot `lag` before it stands `lag` places before."""
        return self.slot % self.held + self.held

    def learn(self, value: float | None) -> None:
        """Take in a row; of an unknown one the last value is carried, and a slot without a known row is what it was a day before."""
        self.row += 1
        slot = self.grid.slot(self.row)
        is_new = slot != self.slot
        self.slot = slot
        if is_new:
            self._turn(slot)
        if value is None:
            self.recent = [self.recent[0], *self.recent[:2]]
            return
        self._measure(value)
        inside = self.row % self.grid.rows_a_day % self.grid.pool
        self._put(value if is_new else self.ring[self.present] + (value - self.ring[self.present]) / (inside + 1))

    def _turn(self, slot: int) -> None:
        """A slot begins; two slots back is now old enough for the profile: what is compared with the present holds nothing of it."""
        slots = self.grid.slots
        self._put(self.ring[self.present - slots] if slot >= slots else self.recent[0])
        if slot >= 2:
            old = slot - 2
            place = old % slots
            rate = max(1.0 / (old // slots + 1), _FEWEST_DAYS)
            self.profile[place] += rate * (self.ring[self.present - 2] - self.profile[place])

    def _put(self, value: float) -> None:
        self.ring[self.present] = self.ring[self.present - self.held] = value

    def _measure(self, value: float) -> None:
        day = self.grid.rows_a_day
        self.scored += 1
        self.is_signed = self.is_signed or value < 0.0
        self.scale += max(1.0 / self.scored, 2.0 / (max(day, 8) + 1.0)) * (abs(value) - self.scale)
        if self.scored > 1:
            moved = abs(value - self.recent[0])
            least = 1.0 / (self.scored - 1)
            self.change += max(1.0 / (self.grid.span(8) * self.grid.pool), least) * (moved - self.change)
            self.day_change += max(min(4.0 / day, 0.25), least) * (moved - self.day_change)
            self.recent = [value, *self.recent[:2]]
        else:
            self.recent = [value] * 3

    def last(self, slots: int) -> Floats:
        """The last so many slots, the present one included, oldest first; fewer where there are fewer."""
        end = self.present + 1
        return self.ring[end - min(slots, self.slot + 1) : end]

    def extent(self, slots: int) -> tuple[float, float]:
        """The least and the most of the last so many slots and the last row."""
        values = [*self.last(slots).tolist(), self.recent[0]]
        return min(values), max(values)

    def smooth(self, lags: NDArray[np.int64]) -> Floats:
        """The slots `lags` before the present one, each with its neighbours, ¼ ½ ¼; too long ago or not yet there counts as the nearest held."""
        places = self.present - np.minimum(np.maximum(lags, 0), min(self.slot, self.held - 2))
        return _smoothed(self.ring.take(np.minimum(places + _BESIDE, self.present)))

    def usual(self, ahead: NDArray[np.int64]) -> Floats:
        """What slots so many ahead of the present one have had on earlier days, ¼ ½ ¼ with their neighbours."""
        return _smoothed(self.profile.take((self.slot + ahead + _BESIDE) % self.grid.slots))

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        numbers = [self.row, self.slot, self.scored, self.scale, self.change, self.day_change, self.is_signed]
        return {"ring": pack(self.ring[: self.held]), "profile": pack(self.profile), "recent": list(self.recent), "numbers": numbers}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        unpack_into(state["ring"], self.ring[: self.held])
        self.ring[self.held :] = self.ring[: self.held]
        unpack_into(state["profile"], self.profile)
        self.recent = list(state["recent"])
        self.row, self.slot, self.scored, self.scale, self.change, self.day_change, self.is_signed = state["numbers"]


def mean(values: Floats) -> float:
    """The mean, without what numpy's own asks first."""
    return float(np.add.reduce(values)) / len(values)


def _smoothed(beside: Floats) -> Floats:
    """Three rows, the values before, at and after each place: ¼ ½ ¼."""
    before, at, after = beside
    found: Floats = 0.25 * before + 0.5 * at + 0.25 * after
    return found


def folded(values: Floats, scale: float) -> Floats:
    """asinh(y / c) with c = 5 % of the scale."""
    found: Floats = np.arcsinh(values / (0.05 * scale))
    return found


def unfolded(values: Floats, scale: float) -> Floats:
    """The values of which these are the logarithms."""
    found: Floats = 0.05 * scale * np.sinh(values)
    return found
