"""Where a resource is heading: a robust local line through its last minutes, and how sure that is."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

FINE_S, FINE = 10.0, 32
COARSE_S, COARSE = 60.0, 64
WINDOWS = ((FINE_S, 8), (FINE_S, 32), (COARSE_S, 24), (COARSE_S, 64))
FEWEST = 6
CONFIDENT = 2.353  # Student's t at 95 %, 3 degrees of freedom: the noise of a window is estimated from about four stretches of it
REACH = 12.0  # how many times its own length a window speaks ahead
FORGET_S = 3600.0


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted window: value = level + slope · (time − since); variances of the slope, of one reading, and of a second's wandering."""

    since: float
    level: float
    slope: float
    span_s: float
    slope_variance: float
    reading: float
    wandering: float

    def at(self, moment: float) -> tuple[float, float, float]:
        """Median and the ends of the 90 % interval; the level, a median of few, is as unsure as half a reading."""
        ahead_s = moment - self.since
        middle = self.level + self.slope * ahead_s
        margin = CONFIDENT * math.sqrt(1.5 * self.reading + self.wandering * ahead_s + self.slope_variance * ahead_s * ahead_s)
        return middle, middle - margin, middle + margin

    @property
    def slopes(self) -> tuple[float, float]:
        """The 90 % interval of the slope."""
        margin = CONFIDENT * math.sqrt(self.slope_variance)
        return self.slope - margin, self.slope + margin


class Trend:
    """A Theil–Sen line (Sen 1968) over the longest of four windows, 80 seconds to 64 minutes, that agrees with every shorter one.

    Windows are compared by the intersection of their slopes' confidence intervals (Goldenshluger and Nemirovski 1997, Katkovnik 1999), so that a leak that
    has just begun is not averaged away. What is left of the line is split, by its differences over one step and over a quarter of the window, into the
    noise of a reading and a random walk; both, and the slope's own variance, widen the interval with the horizon. `resolution` is the step of the sensor: a
    battery that has stood at 80 % for five minutes may still lose almost a per cent in that time.

    >>> battery = Trend(resolution=1.0)
    >>> bins = [battery.learn(second, 60.0 - second // 60) for second in range(0, 601, 5)]
    >>> [round(value, 1) for value in battery.predict(1800.0)]
    [30.9, 27.0, 34.7]
    >>> round(battery.time_to(20.0, now=600.0))
    1852
    """

    __slots__ = ("_coarse", "_fine", "_line", "_lines", "resolution")

    def __init__(self, resolution: float = 0.0) -> None:
        self.resolution = resolution
        self._fine = _Bins(FINE_S, FINE)
        self._coarse = _Bins(COARSE_S, COARSE)
        self._lines: list[Line | None] = [None] * len(WINDOWS)
        self._line: Line | None = None

    def learn(self, now: float, value: float) -> bool:
        """Take a reading; whether it closed a bin, so that the line is another. After an hour without one it begins anew."""
        if now - self._fine.latest > FORGET_S:
            self.forget()
        is_coarse, is_fine = self._coarse.add(now, value), self._fine.add(now, value)
        if is_fine:
            self._fit(is_coarse)
        return is_fine

    def forget(self) -> None:
        """Begin anew: what was true of the old course says nothing about the next (a charger was plugged in)."""
        self._fine, self._coarse = _Bins(FINE_S, FINE), _Bins(COARSE_S, COARSE)
        self._lines, self._line = [None] * len(WINDOWS), None

    def predict(self, moment: float) -> tuple[float, float, float] | None:
        """Median and 90 % interval at a moment ahead; None where the window is too short to speak of it."""
        line = self._line
        return line.at(moment) if line is not None and 0.0 <= moment - line.since <= REACH * line.span_s else None

    def time_to(self, limit: float, now: float) -> float | None:
        """Seconds from now until the line meets the limit, 0 where it has; None where it moves away from it or not at all."""
        line = self._line
        if line is None or line.slope == 0.0 or (limit - line.level) / line.slope < 0.0:
            return None
        return max((limit - line.level) / line.slope - (now - line.since), 0.0)

    def _fit(self, is_coarse: bool) -> None:
        for place, (size_s, count) in enumerate(WINDOWS):
            bins = self._fine if size_s == FINE_S else self._coarse
            if (size_s == FINE_S or is_coarse) and len(bins.rows) >= FEWEST:
                self._lines[place] = fit(bins.rows[-count:], self.resolution)
        self._line = agreed(self._lines)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.resolution, self._fine.snapshot(), self._coarse.snapshot()]

    @classmethod
    def restore(cls, state: list[Any]) -> "Trend":
        """The trend that left this snapshot."""
        trend = cls(state[0])
        trend._fine.restore(state[1])
        trend._coarse.restore(state[2])
        trend._fit(is_coarse=True)
        return trend


class _Bins:
    """The mean time and value of the readings of each of the last bins; the open one is not among them."""

    __slots__ = ("_most", "_open", "_size_s", "rows")

    def __init__(self, size_s: float, most: int) -> None:
        self._size_s = size_s
        self._most = most
        self._open: list[float] = []  # sum of times, sum of values, readings, of the bin with this number
        self.rows: list[tuple[float, float]] = []

    @property
    def latest(self) -> float:
        """The mean time of the open bin; minus infinity before the first reading."""
        return self._open[0] / self._open[2] if self._open else -math.inf

    def add(self, now: float, value: float) -> bool:
        number = now // self._size_s
        if self._open and number <= self._open[3]:
            self._open[0] += now
            self._open[1] += value
            self._open[2] += 1.0
            return False
        if self._open:
            times, values, readings, _ = self._open
            self.rows.append((round(times / readings, 3), float(f"{values / readings:.9g}")))
            del self.rows[: -self._most]
        self._open = [now, value, 1.0, number]
        return len(self.rows) > 0

    def snapshot(self) -> list[Any]:
        return [list(self._open), [list(row) for row in self.rows]]

    def restore(self, state: list[Any]) -> None:
        self._open = list(state[0])
        self.rows = [(row[0], row[1]) for row in state[1]]


def agreed(lines: Iterable[Line | None]) -> Line | None:
    """The longest window whose slope's interval meets those of all shorter ones; the level is the shortest's."""
    chosen: Line | None = None
    lowest, highest = -math.inf, math.inf
    for line in lines:
        if line is None or (chosen is not None and line.span_s < 1.5 * chosen.span_s):
            continue
        low, high = line.slopes
        lowest, highest = max(lowest, low), min(highest, high)
        if lowest > highest:
            break
        chosen = line if chosen is None else replace(line, since=chosen.since, level=chosen.level)
    return chosen


@lru_cache(maxsize=COARSE)
def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    later, earlier = np.triu_indices(count, 1)
    return later, earlier


def fit(rows: Sequence[tuple[float, float]], resolution: float = 0.0) -> Line | None:
    """The Theil–Sen line of (time, value) rows with what is left of it; None where they span no time.

    >>> line = fit([(60.0 * n, 100.0 - 2.0 * n + (9.0 if n == 4 else 0.0)) for n in range(12)])
    >>> round(line.slope * 60.0, 6), round(line.level, 6)
    (-2.0, 78.0)
    """
    times = np.array([row[0] for row in rows]) - rows[-1][0]
    values = np.array([row[1] for row in rows])
    count, span = len(rows), -float(times[0])
    if span <= 0.0:
        return None
    later, earlier = _pairs(count)
    slope = float(np.median((values[later] - values[earlier]) / (times[later] - times[earlier])))
    rest = values - slope * times
    level = float(np.median(rest[-max(3, count // 8) :]))
    reading, wandering = _noise(rest, span / (count - 1))
    reading = max(reading, resolution * resolution / 4.0)
    variance = wandering / span + 12.0 * reading / (count * span * span) + (resolution / span) ** 2 / 6.0
    return Line(rows[-1][0], level, slope, span, variance, reading, wandering)


def _noise(rest: NDArray[np.float64], step_s: float) -> tuple[float, float]:
    """Variance of one reading, and what a random walk adds every second: mean squared differences at lags 1 and a quarter of the window."""
    count = len(rest)
    lag = max(2, count // 4)
    near = float(np.mean(np.square(rest[1:] - rest[:-1])))
    far = float(np.mean(np.square(rest[lag:] - rest[:-lag]))) / (1.0 - lag / count)  # the line has taken its share of the walk
    wandering = max(far - near, 0.0) / ((lag - 1) * step_s)
    return 0.5 * max(near - wandering * step_s, 0.0), wandering


__all__ = ["Line", "Trend", "agreed", "fit"]
