"""Intervals that hold at little cost: the scaled form of `Conformal` alone, on the median alone."""

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

import numpy as np

from .conformal import BEYOND, Band
from .packing import pack, unpack

NOMINAL = 0.05
MOST = 0.3
LEAST = 0.002
RATE = 0.015
RING = 300
YOUNG = 20
THOROUGH = 500
SLOWEST = 0.002
_LARGEST = 1e30
_TINY = 1e-30
_ROUNDING = 1e-6  # residuals are float32: a value that repeats must not fall out of its own interval


class LightConformal:
    """90 % intervals around a given median, as `Conformal` has them in its light form, without its choices, scores and coverage: a third of its time.

    Residuals r = √y − √median (`is_share`: y − median, values within 0 and 1), each divided by a scale; the last 300 in order; a line through ln median
    foretells ln of their size; an adaptive level a side (Gibbs & Candès 2021).

    >>> light = LightConformal()
    >>> for number in range(600):
    ...     light.observe(light.issue(100.0), 80.0 + 61 * number % 41)
    >>> band = light.issue(100.0)
    >>> round(band.lower), round(band.upper), round(light.quantile(100.0, 0.75))
    (81, 117, 110)
    """

    __slots__ = ("_count", "_high", "_is_share", "_level", "_line", "_low", "_oldest", "_ordered", "_recent", "_seen")

    def __init__(self, is_share: bool = False) -> None:
        self._is_share = is_share
        self._low = self._high = NOMINAL
        self._ordered: list[float] = []
        self._recent = array("f")
        self._oldest = 0
        self._count = self._seen = 0
        self._level = 0.0
        self._line = (0.0, 0.0, 0.0, 0.0)  # means of ln median and of ln size, variance and covariance

    def __len__(self) -> int:
        """How many outcomes were seen."""
        return self._count

    def issue(self, median: float, near: Sequence[float] = (), in_flight: int = 0, beyond: float = 0.0) -> Band:
        """The 90 % interval around a median, of a request beside which so many run; `near` and `beyond` are for `Conformal`."""
        place, scale = self._scaled(median)
        if self._count < YOUNG:
            lower, upper = (max(median - 0.3, 0.0), min(median + 0.3, 1.0)) if self._is_share else (0.25 * median, 4.0 * median)
            return Band(lower, upper, median, scale, (place,), ())
        most = NOMINAL if in_flight * RATE > MOST else 6.0 * NOMINAL  # while outcomes are too late to correct the levels these don't grow
        low = LEAST if self._low < LEAST else self._low if self._low < most else most
        high = LEAST if self._high < LEAST else self._high if self._high < most else most
        ordered, held = self._ordered, len(self._ordered)
        least, largest = ordered[max(int((held + 1) * low), 1) - 1], ordered[min(math.ceil((held + 1) * (1.0 - high)), held) - 1]
        if self._low < 0.0 and least < 0.0:  # beyond all that was kept, where a level asks for less than nothing
            least *= math.exp(BEYOND * -self._low)
        if self._high < 0.0 and largest > 0.0:
            largest *= math.exp(BEYOND * -self._high)
        lower = self._shifted(median, least * scale) * (1.0 - _ROUNDING)
        upper = self._shifted(median, largest * scale) * (1.0 + _ROUNDING)
        if self._is_share and upper > 1.0:
            upper = 1.0
        return Band(lower, upper, median, scale, (place,), (lower, upper))

    def observe(self, band: Band, actual: float) -> None:
        """What came of it: finite, not negative."""
        self._count += 1
        residual = actual - band.median if self._is_share else math.sqrt(actual) - math.sqrt(band.median)
        if band.forms:
            low, high = self._low + RATE * (NOMINAL - (actual < band.lower)), self._high + RATE * (NOMINAL - (actual > band.upper))
            self._low = -0.1 if low < -0.1 else 0.4 if low > 0.4 else low
            self._high = -0.1 if high < -0.1 else 0.4 if high > 0.4 else high
        self._remember(residual / band.scale)
        if self._count <= THOROUGH or self._count % 2:
            place = band.place[0]
            size = abs(residual) if self._is_share else abs(residual) / math.exp(0.5 * place)
            self._learn_size(place, math.log((size if size < _LARGEST else _LARGEST) + 0.02))
        self._level += (0.01 if self._count > 100 else 1.0 / self._count) * (actual - self._level)

    def quantile(self, median: float, level: float, near: Sequence[float] = ()) -> float:
        """The value under which a share `level` (0..1) of such outcomes lies: one-sided, for timeouts."""
        if self._count < YOUNG:
            band = self.issue(median)
            return band.upper if level > 0.5 else band.lower
        held = len(self._ordered)
        return self._shifted(median, self._ordered[max(min(math.ceil((held + 1) * level), held), 1) - 1] * self._scaled(median)[1])

    def _scaled(self, median: float) -> tuple[float, float]:
        """Where a median lies, and the size of residual to expect there."""
        x, y, variance, covariance = self._line
        place = median if self._is_share else math.log(median + 0.001 * self._level + _TINY)
        size = y + covariance / (variance + 0.05) * (place - x)
        size = math.exp(-7.0 if size < -7.0 else 7.0 if size > 7.0 else size)
        return place, size if self._is_share else math.exp(0.5 * place) * size

    def _shifted(self, median: float, residual: float) -> float:
        """The value that lies so far from the median."""
        if self._is_share:
            return min(max(median + residual, 0.0), 1.0)
        root = math.sqrt(median) + residual
        return root**2 if root > 0.0 else 0.0

    def _remember(self, residual: float) -> None:
        """Take a residual in, in single precision, and let the oldest go."""
        recent, ordered = self._recent, self._ordered
        residual = -_LARGEST if residual < -_LARGEST else _LARGEST if residual > _LARGEST else residual
        if len(recent) < RING:
            recent.append(residual)
            insort(ordered, recent[-1])
            return
        oldest = self._oldest
        del ordered[bisect_left(ordered, recent[oldest])]
        recent[oldest] = residual
        insort(ordered, recent[oldest])
        self._oldest = (oldest + 1) % RING

    def _learn_size(self, place: float, target: float) -> None:
        """The line's moments, fading over 500 outcomes."""
        self._seen += 1
        rate = max(1.0 / self._seen, SLOWEST)
        x, y, variance, covariance = self._line
        across, off = place - x, target - y
        self._line = (
            x + rate * across,
            y + rate * off,
            variance + rate * ((1.0 - rate) * across * across - variance),
            covariance + rate * ((1.0 - rate) * across * off - covariance),
        )

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values; residuals as little-endian float32 in base64."""
        residuals = pack(np.frombuffer(self._recent, np.float32) if self._recent else np.zeros(0, np.float32))
        return {
            "count": [self._count, self._seen, self._oldest],
            "levels": [self._low, self._high, self._level],
            "line": list(self._line),
            "residuals": residuals,
        }

    @classmethod
    def restore(cls, state: dict[str, Any], is_share: bool = False) -> "LightConformal":
        """The intervals that left this snapshot."""
        light = cls(is_share)
        light._count, light._seen, light._oldest = state["count"]
        light._low, light._high, light._level = state["levels"]
        x, y, variance, covariance = state["line"]
        light._line = (x, y, variance, covariance)
        light._recent = array("f", unpack(state["residuals"], "<f4").tobytes())
        light._ordered = sorted(light._recent)
        return light
