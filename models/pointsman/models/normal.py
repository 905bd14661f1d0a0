"""What is normal for a series at a time: by the time of day, by the time of the week, by its level, and a mixture of the three by their errors."""

import math
from array import array
from typing import Any, NamedTuple

import numpy as np

from .packing import pack, unpack

BIN_S = 1800.0
DAY_BINS, WEEK_BINS = 48, 336
DAY_RATE, WEEK_RATE, LEVEL_RATE = 0.1, 0.5, 0.005
USUAL_STEP_S = 300.0
EARLY = 30
ERROR_RATE, LARGEST_ERROR = 0.002, 10.0
STEADY = 50
LONG = 2000
MOST_COUNTED = 65_535


class Expected(NamedTuple):
    """What is expected of a row in this half hour since the first row: by each member, and by their mixture."""

    half_hour: int
    day: float
    week: float
    level: float
    mixture: float


class Profile:
    """A level per bin of a cycle, faded by use."""

    __slots__ = ("_counts", "_levels", "_rate")

    def __init__(self, bins: int, rate: float) -> None:
        self._rate = rate
        self._levels = array("d", bytes(8 * bins))
        self._counts = array("H", bytes(2 * bins))

    def level(self, place: int, after: int, otherwise: float) -> float:
        """The level of a bin that has had so many values."""
        return self._levels[place] if self._counts[place] >= after else otherwise

    def learn(self, place: int, value: float, share: float) -> None:
        """Move a bin's level towards a value; `share` of the usual rate, since denser rows say less each."""
        count = self._counts[place] = min(self._counts[place] + 1, MOST_COUNTED)
        level = self._levels[place]
        self._levels[place] = level + max(1.0 / count, self._rate * share) * (value - level)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [pack(np.array(self._levels)), pack(np.array(self._counts))]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self._levels, self._counts = array("d", unpack(state[0], "<f8").tolist()), array("H", unpack(state[1], "<u2").tolist())


class Normal:
    """Expectations of the next value; times are seconds since the first row, so that a shift of all times changes nothing."""

    __slots__ = ("_count", "_day", "_errors", "_level", "_scale", "_week")

    def __init__(self) -> None:
        self._day = Profile(DAY_BINS, DAY_RATE)
        self._week = Profile(WEEK_BINS, WEEK_RATE)
        self._level = 0.0
        self._errors = (0.0, 0.0, 0.0)
        self._scale = 0.0
        self._count = 0

    @property
    def scale(self) -> float:
        """The usual error of the mixture."""
        return self._scale

    def expect(self, elapsed_s: float, value: float) -> Expected:
        """What was to be expected of the row with this value; the first row is what it is."""
        half_hour, level = int(elapsed_s // BIN_S), self._level
        if self._count == 0:
            return Expected(half_hour, value, value, value, value)
        day = self._day.level(half_hour % DAY_BINS, 1, level)
        week = self._week.level(half_hour % WEEK_BINS, 2, day)
        if self._count < EARLY:
            return Expected(half_hour, day, week, level, day)
        least = 1e-9 * self._scale + 1e-300
        of_day, of_week, of_level = self._errors
        by_day, by_week, by_level = 1.0 / (of_day + least), 1.0 / (of_week + least), 1.0 / (of_level + least)
        return Expected(half_hour, day, week, level, (by_day * day + by_week * week + by_level * level) / (by_day + by_week + by_level))

    def learn(self, expected: Expected, value: float, step_s: float) -> None:
        """Take in a value, of which this was expected, in a series whose rows are so far apart."""
        half_hour, day, week, level, mixture = expected
        self._count += 1
        largest = LARGEST_ERROR * self._scale if self._count > STEADY else math.inf
        rate = max(1.0 / self._count, ERROR_RATE)
        of_day, of_week, of_level = self._errors
        self._errors = (
            of_day + rate * (min(abs(value - day), largest) - of_day),
            of_week + rate * (min(abs(value - week), largest) - of_week),
            of_level + rate * (min(abs(value - level), largest) - of_level),
        )
        self._scale += (min(abs(value - mixture), largest) - self._scale) / min(self._count, LONG)
        share = min(step_s / USUAL_STEP_S, 1.0)
        self._day.learn(half_hour % DAY_BINS, value, share)
        self._week.learn(half_hour % WEEK_BINS, value, share)
        self._level += max(1.0 / self._count, LEVEL_RATE) * (value - self._level)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self._day.snapshot(), self._week.snapshot(), self._level, list(self._errors), self._scale, self._count]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        day, week, self._level, errors, self._scale, self._count = state
        self._errors = (errors[0], errors[1], errors[2])
        self._day.restore(day)
        self._week.restore(week)


__all__ = ["Expected", "Normal", "Profile"]
