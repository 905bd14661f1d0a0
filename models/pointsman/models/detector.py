"""Anomalies of one series: each row is scored before it is learned, and the score means the same on every series."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from .normal import Normal
from .shape import Shape
from .surprise import Surprise

Kind = Literal["residual", "level", "shift", "jump", "shape", "drift", "variance", "stuck", "gap"]
IN_MEAN = 4
SINGLES: tuple[tuple[Kind, float], ...] = (
    ("level", 0.5),
    ("shift", 0.5),
    ("jump", 0.5),
    ("shape", 0.5),
    ("drift", 0.5),
    ("variance", 1.0),
    ("stuck", 1.0),
    ("gap", 1.0),
)
LONGEST = 15
HALF = 2.8
LARGEST = 1e100
BITS = 30
USUAL_GAP, STEADY = 3.0, 20
BAND_RATE, BAND_MISSED = 0.05, 0.1


@dataclass(frozen=True, slots=True)
class Scored:
    """What a row was: `score` in 0..1, `surprise` on the scale of -log10 of a probability, what had been expected with a 90 % band, and what gave it away."""

    score: float
    surprise: float
    expected: float
    lower: float
    upper: float
    kind: Kind


class SeriesDetector:
    """Scores one row after the other; rows may come at any distance, twice, or late, and a gap shows at the row that ends it.

    Twelve statistics, each calibrated by `Surprise`: the residuals from what is normal (mixture, and time of day; one row, and three), from the level, of the last fifteen
    rows, of ten rows, of an autoregression; the jump; the residuals' variance, stillness, and the gap. The surprise of a row is the mean of the first four, or the largest of
    the others less 0.5 (variance, stillness and gaps less 1), whichever is more.

    >>> detector = SeriesDetector()
    >>> said = [detector.step(300.0 * row, float(row % 12)) for row in range(2000)]
    >>> detector.step(600_000.0, 40.0).score > 0.6 > max(one.score for one in said)
    True
    """

    __slots__ = ("_all_moves", "_band", "_fast", "_first", "_last", "_moves", "_normal", "_previous", "_residuals", "_rows", "_shape", "_size", "_slow", "_step_s", "_tails", "_unit")

    def __init__(self) -> None:
        self._unit = self._size = 0.0
        self._first = self._last = self._step_s = 0.0
        self._rows = 0
        self._previous = 0.0
        self._normal = Normal()
        self._shape = Shape()
        self._residuals = ([0.0] * LONGEST, [0.0] * LONGEST)
        self._fast = self._slow = self._moves = self._all_moves = self._band = 0.0
        self._tails = [Surprise() for _ in range(IN_MEAN + len(SINGLES))]

    def step(self, at: float, value: float) -> Scored:
        """Score a row, then learn it; `at` in epoch seconds, a time before the last row's counts as the last row's. The value is finite."""
        scaled = self._scaled(value)
        if self._rows == 0:
            self._first = self._last = at
            self._previous = scaled
        gap = max(at - self._last, 0.0)
        elapsed = self._last + gap - self._first
        mixture, day, level = self._normal.expect(elapsed, scaled)
        residual = scaled - mixture
        statistics = self._statistics(scaled, residual, scaled - day, scaled - level, gap)
        quantum = self._quantum()
        surprise, kind = together([tail.update(_rounded(one, quantum)) for tail, one in zip(self._tails, statistics, strict=True)])
        unit, band = self._unit or 1.0, self._band
        found = Scored(surprise / (surprise + HALF), surprise, mixture * unit, (mixture - band) * unit, (mixture + band) * unit, kind)
        self._normal.learn(elapsed, scaled, mixture, self._step_s)
        self._learn(scaled, residual, gap)
        return found

    def _scaled(self, value: float) -> float:
        """The value over the size of the first one that is not 0: a power of two, so that nothing is rounded."""
        if self._unit == 0.0:
            if value == 0.0:
                return 0.0
            self._unit = math.ldexp(1.0, min(max(math.frexp(value)[1], -1000), 1000))
        return min(max(value / self._unit, -LARGEST), LARGEST)

    def _quantum(self) -> float:
        """What is too little to count, beside the size that the values have had of late: a power of two."""
        return math.ldexp(1.0, math.frexp(self._size)[1] - BITS) if self._size > 0.0 else 0.0

    def _statistics(self, value: float, residual: float, by_day: float, by_level: float, gap: float) -> tuple[float, ...]:
        mixed, daily = self._residuals
        del mixed[0], daily[0]
        mixed.append(residual)
        daily.append(by_day)
        move = abs(value - self._previous)
        self._fast += (abs(residual) - self._fast) / 15.0
        self._moves += (move - self._moves) / 30.0
        return (
            abs(residual),
            abs(mixed[-1] + mixed[-2] + mixed[-3]) / 3.0,
            abs(by_day),
            abs(daily[-1] + daily[-2] + daily[-3]) / 3.0,
            abs(by_level),
            abs(_sum(daily)) / LONGEST,
            move,
            self._shape.step(value),
            abs(_sum(mixed[-10:])) / 10.0,
            self._size * self._fast / self._slow if self._slow > 0.0 else 0.0,
            self._size * self._all_moves / (self._moves + 0.05 * self._all_moves) if self._all_moves > 0.0 else 0.0,
            self._size * max(gap / self._step_s - USUAL_GAP, 0.0) if self._step_s > 0.0 else 0.0,
        )

    def _learn(self, value: float, residual: float, gap: float) -> None:
        self._rows += 1
        rows, move, size = self._rows, abs(value - self._previous), abs(residual)
        self._size += max(1.0 / rows, 0.002) * (abs(value) - self._size)
        self._slow += max(1.0 / rows, 1.0 / 600.0) * (size - self._slow)
        self._all_moves += max(1.0 / rows, 1.0 / 1500.0) * (move - self._all_moves)
        self._band = max(self._band + BAND_RATE * self._slow * (1.0 - BAND_MISSED if size > self._band else -BAND_MISSED), 0.0)
        if rows > 1:
            self._step_s += max(1.0 / (rows - 1), 0.01) * (min(gap, USUAL_GAP * self._step_s if rows > STEADY else gap) - self._step_s)
        self._last += gap
        self._previous = value


def together(said: list[float]) -> tuple[float, Kind]:
    """The surprise of a row from those of its statistics, and which kind gave it away."""
    total = 0.0
    for one in said[:IN_MEAN]:
        total += one
    surprise, kind = total / IN_MEAN, "residual"
    for one, (name, off) in zip(said[IN_MEAN:], SINGLES, strict=True):
        if one - off > surprise:
            surprise, kind = one - off, name
    return max(surprise, 0.0), kind


def _rounded(value: float, quantum: float) -> float:
    """A statistic without what rounding errors have made of it, so that ties stay ties when all values are scaled."""
    return round(value / quantum) * quantum if 0.0 < value < 1e15 * quantum else value


def _sum(values: list[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


__all__ = ["Kind", "Scored", "SeriesDetector", "together"]
