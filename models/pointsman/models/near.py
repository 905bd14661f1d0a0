"""The next row of a series, for a few microseconds: smoothed levels weighted by their recent errors, and an adaptive conformal interval."""

import math
from typing import Any

from .arrays import dot, short
from .forecast import RowForecast
from .quantiles import SlidingQuantiles

RATES = (1.0, 0.5, 0.2, 0.05)
FORGETTING = 1.0 / 40.0
SHARPNESS = 6.0
SEASON = 60  # rows
SEASON_RATE = 0.25
OUTCOMES = 120
YOUNG = 20
STEP = 0.02
MISS = 0.05


class NearForecaster:
    """Simple exponential smoothing at four rates, the last value among them, and a season of 60 rows, combined by their errors (Bates and Granger 1969).

    Weights are ∝ error⁻⁶, errors the mean |miss| of the last forty or so rows; the season (of minutes: what runs every few of them, or on the hour) is
    smoothed at rate ¼ and shifted by the smoothed distance from it, and sleeps through its first two rounds. The bounds are quantiles of the last 120 misses
    whose levels follow what was missed on their side (Gibbs and Candès 2021): level += 0.02 (0.05 − missed); before 20 misses they are the median ± 3 mean
    misses.

    >>> near = NearForecaster()
    >>> for minute in range(200):
    ...     near.learn_one(10.0 + (minute * 7919 % 13) / 6.0)
    >>> found = near.forecast()
    >>> round(found.median, 1), round(found.lower, 1), round(found.upper, 1)
    (11.1, 9.6, 11.8)
    """

    __slots__ = ("_errors", "_is_signed", "_issued", "_levels", "_misses", "_place", "_rows", "_season", "_sides")

    def __init__(self) -> None:
        self._levels = [0.0] * (len(RATES) + 1)  # the last one: of the distance from the season
        self._errors = [0.0] * (len(RATES) + 1)
        self._season = [0.0] * SEASON
        self._place = 0
        self._misses = SlidingQuantiles(OUTCOMES)
        self._sides = [MISS, 1.0 - MISS]
        self._rows = 0
        self._is_signed = False
        self._issued: RowForecast | None = None

    def learn_one(self, value: float | None) -> None:
        """Take in the next row; None is a row that nobody knows, of which nothing is learned."""
        place, self._place = self._place, (self._place + 1) % SEASON
        self._issued = None
        if value is None or not math.isfinite(value):
            return
        self._is_signed = self._is_signed or value < 0.0
        if self._rows:
            self._score(value, place)
        for number, rate in enumerate(RATES):
            self._levels[number] += (rate if self._rows else 1.0) * (value - self._levels[number])
        away = value - self._season[place] if self._rows >= SEASON else 0.0
        self._levels[-1] += RATES[2] * (away - self._levels[-1])
        self._season[place] += (SEASON_RATE if self._rows >= SEASON else 1.0) * (value - self._season[place])
        self._rows += 1

    def _members(self, place: int) -> list[float]:
        """What each expects of the row at this place of the season."""
        return [*self._levels[:-1], self._season[place] + self._levels[-1]] if self._rows > 2 * SEASON else self._levels[:-1]

    def _score(self, value: float, place: int) -> None:
        said = self._said(place)
        for number, one in enumerate([*self._levels[:-1], self._season[place] + self._levels[-1]]):
            outcomes = self._rows if number < len(RATES) else self._rows - SEASON
            if outcomes > 0:
                rate = max(1.0 / outcomes, FORGETTING)
                self._errors[number] += rate * (abs(value - one) - self._errors[number])
        if len(self._misses) >= YOUNG:
            self._sides[0] = min(max(self._sides[0] + STEP * (MISS - float(value < said.lower)), 0.0), 0.5)
            self._sides[1] = min(max(self._sides[1] - STEP * (MISS - float(value > said.upper)), 0.5), 1.0)
        self._misses.update(short(value - said.median))

    def forecast(self) -> RowForecast:
        """Of the next row; the same answer however often it is asked."""
        if self._issued is None:
            self._issued = self._said(self._place)
        return self._issued

    def _said(self, place: int) -> RowForecast:
        members = self._members(place)
        errors = self._errors[: len(members)]
        best = min(errors)
        weights = [(best / error) ** SHARPNESS if error > 0.0 else 1.0 for error in errors]
        median = dot(weights, members) / dot(weights, [1.0] * len(weights)) if best > 0.0 else members[errors.index(best)]
        lowest = -math.inf if self._is_signed else 0.0
        below, above = self._spread(best, median)
        median = max(median, lowest)
        lower, upper = max(median + min(below, 0.0), lowest), median + max(above, 0.0)
        return RowForecast(1, median, (lower, upper), lower, upper)

    def _spread(self, best: float, median: float) -> tuple[float, float]:
        if len(self._misses) >= YOUNG:
            return self._misses.get(self._sides[0]), self._misses.get(self._sides[1])
        margin = 3.0 * best if self._rows > 2 else abs(median)
        return -margin, margin

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [
            list(self._levels),
            list(self._errors),
            self._misses.snapshot(),
            list(self._sides),
            list(self._season),
            self._place,
            self._rows,
            self._is_signed,
        ]

    @classmethod
    def restore(cls, state: list[Any]) -> "NearForecaster":
        """The forecaster that left this snapshot."""
        near = cls()
        near._levels, near._errors = list(state[0]), list(state[1])
        near._misses.restore(state[2])
        near._sides, near._season = list(state[3]), list(state[4])
        near._place, near._rows, near._is_signed = state[5:]
        return near


__all__ = ["NearForecaster"]
