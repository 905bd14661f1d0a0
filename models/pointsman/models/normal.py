"""What is normal for a series at a time: by the time of day, by the time of the week, by its level, and a mixture of the three by their errors."""

import math
from typing import Any

import numpy as np

from .packing import pack, unpack

DAY_S, WEEK_S = 86_400.0, 604_800.0
DAY_BINS, WEEK_BINS = 48, 336
DAY_RATE, WEEK_RATE, LEVEL_RATE = 0.1, 0.5, 0.005
USUAL_STEP_S = 300.0
EARLY = 30
ERROR_RATE, LARGEST_ERROR = 0.002, 10.0
STEADY = 50
LONG = 2000


class Profile:
    """A level per bin of a cycle, faded by use."""

    __slots__ = ("_bins", "_counts", "_cycle_s", "_levels", "_rate")

    def __init__(self, bins: int, cycle_s: float, rate: float) -> None:
        self._bins, self._cycle_s, self._rate = bins, cycle_s, rate
        self._levels = [0.0] * bins
        self._counts = [0] * bins

    def bin(self, elapsed_s: float) -> int:
        """The bin of a time since the first row."""
        return min(int(elapsed_s % self._cycle_s / self._cycle_s * self._bins), self._bins - 1)

    def level(self, place: int, after: int, otherwise: float) -> float:
        """The level of a bin that has had so many values."""
        return self._levels[place] if self._counts[place] >= after else otherwise

    def learn(self, place: int, value: float, share: float) -> None:
        """Move a bin's level towards a value; `share` of the usual rate, since denser rows say less each."""
        self._counts[place] += 1
        self._levels[place] += max(1.0 / self._counts[place], self._rate * share) * (value - self._levels[place])

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [pack(np.array(self._levels)), pack(np.array(self._counts), "<i4")]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self._levels, self._counts = unpack(state[0], "<f8").tolist(), unpack(state[1], "<i4").tolist()


class Normal:
    """Expectations of the next value; times are seconds since the first row, so that a shift of all times changes nothing."""

    __slots__ = ("_count", "_day", "_errors", "_level", "_scale", "_week")

    def __init__(self) -> None:
        self._day = Profile(DAY_BINS, DAY_S, DAY_RATE)
        self._week = Profile(WEEK_BINS, WEEK_S, WEEK_RATE)
        self._level = 0.0
        self._errors = [0.0, 0.0, 0.0]
        self._scale = 0.0
        self._count = 0

    def expect(self, elapsed_s: float, value: float) -> tuple[float, float, float]:
        """By the mixture, by the day and by the level; the first row is what it is."""
        if self._count == 0:
            return value, value, value
        day, week = self._members(elapsed_s)
        if self._count < EARLY:
            return day, day, self._level
        least = 1e-9 * self._scale + 1e-300
        by_day, by_week, by_level = (1.0 / (error + least) for error in self._errors)
        mixture = (by_day * day + by_week * week + by_level * self._level) / (by_day + by_week + by_level)
        return mixture, day, self._level

    def learn(self, elapsed_s: float, value: float, mixture: float, step_s: float) -> None:
        """Take in a value for which the mixture was expected, in a series whose rows are so far apart."""
        day, week = self._members(elapsed_s) if self._count else (value, value)
        before = self._level if self._count else value
        self._count += 1
        largest = LARGEST_ERROR * self._scale if self._count > STEADY else math.inf
        rate = max(1.0 / self._count, ERROR_RATE)
        for place, expected in enumerate((day, week, before)):
            self._errors[place] += rate * (min(abs(value - expected), largest) - self._errors[place])
        self._scale += (min(abs(value - mixture), largest) - self._scale) / min(self._count, LONG)
        share = min(step_s / USUAL_STEP_S, 1.0)
        self._day.learn(self._day.bin(elapsed_s), value, share)
        self._week.learn(self._week.bin(elapsed_s), value, share)
        self._level += max(1.0 / self._count, LEVEL_RATE) * (value - self._level)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "day": self._day.snapshot(),
            "week": self._week.snapshot(),
            "level": self._level,
            "errors": list(self._errors),
            "scale": self._scale,
            "count": self._count,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self._day.restore(state["day"])
        self._week.restore(state["week"])
        self._level, self._errors, self._scale, self._count = state["level"], list(state["errors"]), state["scale"], state["count"]

    def _members(self, elapsed_s: float) -> tuple[float, float]:
        day = self._day.level(self._day.bin(elapsed_s), 1, self._level)
        return day, self._week.level(self._week.bin(elapsed_s), 2, day)


__all__ = ["Normal", "Profile"]
