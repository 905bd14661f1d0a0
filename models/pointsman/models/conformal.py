"""Intervals that hold: adaptive conformal bands around any median, for any metric of a track."""

import base64
import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .packing import pack, unpack
from .small_least_squares import SmallLeastSquares

THOROUGH = 500
SAMPLED = 4
LEARNED = 3
FADING = 0.005
LEAST_SHARE = 0.002
BEYOND = 4.0
_LARGEST = 1e30
_LARGEST_ROOT = 1e15
_TINY = 1e-30
_FARTHEST = math.log(2.0)  # beyond twice the known load nobody knows anything: wider still helps no one
_UNBOUNDED = (0.0, _LARGEST)
_ROUNDING = 1e-6  # residuals are float32: a value that repeats must not fall out of its own interval


@dataclass(frozen=True, slots=True)
class ConformalSettings:
    """`light` keeps one short ring and asks no neighbours; `bounds` are the metric's own (quality: 0, 1), without them values are ≥ 0 and unbounded.

    `level` is the share of outcomes that the interval is to cover, `ring` how many residuals are kept (`light_ring` in the light form), `neighbours`
    how many of them speak for a request, `rate` the step of the levels per outcome, `window` the outcomes over which coverage is counted.
    `coordinates` is the largest number of `near` values that are looked at.
    """

    light: bool = False
    bounds: tuple[float, float] | None = None
    level: float = 0.9
    ring: int = 800
    light_ring: int = 300
    neighbours: int = 150
    coordinates: int = 4
    rate: float = 0.015
    window: int = 500
    young: int = 20


class Band(NamedTuple):
    """An interval with what is needed to judge it: plain values, kept with the request until its outcome; `Band.read` takes them back from a snapshot.

    `place` is where the request lies among others (ln median, then `near`), `scale` the size of residual expected,
    `forms` the lower and upper ends that each form said, of which `lower` and `upper` repeat the chosen one's (wider beyond known loads).
    """

    lower: float
    upper: float
    median: float
    scale: float
    place: tuple[float, ...]
    forms: tuple[float, ...]

    @classmethod
    def read(cls, values: Sequence[Any]) -> "Band":
        """The band of a snapshot's list."""
        lower, upper, median, scale, place, forms = values
        return cls(lower, upper, median, scale, tuple(place), tuple(forms))


class Conformal:
    """90 % intervals around a given median, for one metric of one track: `issue` at the start, `observe` at the outcome.

    Any positive metric in any unit (ms, s, tokens, USD); with `bounds` a bounded one (quality). Give `issue` the median, numbers that tell how like
    another a request is (`near`: load, gaps, lengths, in units such that 1 is as far as an e-fold in the median), always the same number of them,
    and how many requests run without an outcome yet. Keep the `Band` until the outcome and hand it to `observe`; leave out requests that failed.

    Residuals r = √y − √median (plain with `bounds`): on long tails logarithms explode, plain ones are all tail. Two forms, each with two
    adaptive levels (Gibbs & Candès 2021: level += rate · (nominal − missed), per side):
    *scaled*: quantiles of r ÷ scale over the ring, the scale learned online as ln(|r| ÷ √median + 0.02) from ln median and `near`;
    *near*: quantiles of r over the 150 outcomes nearest in (ln median, `near`).
    The one with the lower interval score (Winkler) of late is issued; while that is *scaled*, *near* is asked for every fourth.
    The light form is *scaled*, on the median alone. While many requests are in flight their outcomes can't correct the levels in time, so that
    these may then only widen. Costs are printed by benchmarks.keyed.

    >>> band = Conformal().issue(100.0)
    >>> band.lower, band.upper
    (25.0, 400.0)
    >>> conformal = Conformal(ConformalSettings(light=True))
    >>> for number in range(600):
    ...     conformal.observe(conformal.issue(100.0), 80.0 + 61 * number % 41)
    >>> band = conformal.issue(100.0)
    >>> round(band.lower), round(band.upper), conformal.coverage()
    (81, 117, 0.9)
    >>> round(conformal.quantile(100.0, 0.75))
    110
    """

    __slots__ = ("_count", "_held", "_judged", "_kept", "_level", "_near", "_scaled", "_scores", "_settings", "_sizes")

    def __init__(self, settings: ConformalSettings | None = None) -> None:
        self._settings = given = settings or ConformalSettings()
        self._scaled = _Scaled(given)
        self._near = None if given.light else _Near(given)
        self._sizes: SmallLeastSquares | _Slope | None = _Slope() if given.light else None
        self._scores = [0.0, 0.0]
        self._judged = 0
        self._level = 0.0
        self._count = 0
        self._held = bytearray(given.window)
        self._kept = 0

    def __len__(self) -> int:
        """How many outcomes were seen."""
        return self._count

    @property
    def winkler(self) -> float:
        """The mean interval score of what the chosen form says, in the metric's unit, fading over some 200 outcomes."""
        return self._scores[self._chosen()]

    def coverage(self) -> float | None:
        """The share of the last 500 outcomes that lay in their intervals; None before the first."""
        return self._kept / min(self._count, len(self._held)) if self._count else None

    def issue(self, median: float, near: Sequence[float] = (), in_flight: int = 0, beyond: float = 0.0) -> Band:
        """The 90 % interval around a median, of a request beside which so many run, at a load e^`beyond` times any whose outcomes are known.

        Where there is no experience nobody knows to which side errors fall: the longer side counts for both, and grows by √(e^beyond), which is
        what an error that stays the same in percent grows by on the scale of roots.
        """
        median = self._sane(median)
        place = self._place(median, near)
        scale = self._scale_of(place)
        if self._count < self._settings.young:
            return Band(*self._default(median), median, scale, place, ())
        forms: tuple[float, ...] = self._ends(median, *self._scaled.get(in_flight), scale)
        if self._near is not None and (self._chosen() or self._count % SAMPLED == 0):
            forms += self._ends(median, *self._near.get(place, in_flight), 1.0)
        chosen = 2 * self._chosen()
        ends = forms[chosen], forms[chosen + 1]
        return Band(*(self._widened(median, *ends, beyond) if beyond > 0.0 else ends), median, scale, place, forms)

    def observe(self, band: Band, actual: float) -> None:
        """What came of it."""
        if not math.isfinite(actual):
            return
        actual = self._sane(actual)
        self._cover(band.lower <= actual <= band.upper)
        residual = self._residual(actual, band.median)
        if band.forms:
            self._judge(band, actual)
        self._scaled.learn(residual / band.scale)
        if self._near is not None:
            self._near.learn(residual, band.place)
        if self._count <= THOROUGH or self._count % LEARNED == 0 or self._sizes is None:
            self._learn_size(band.place, abs(residual))
        self._level += max(1.0 / self._count, 0.01) * (actual - self._level)

    def quantile(self, median: float, level: float, near: Sequence[float] = ()) -> float:
        """The value under which a share `level` (0..1) of such outcomes lies: one-sided, for timeouts. What is kept of it: nothing."""
        median = self._sane(median)
        if self._count < self._settings.young:
            return self._default(median)[level > 0.5]
        place = self._place(median, near)
        if self._near is not None and self._chosen() == 1:
            return self._shifted(median, _at(self._near.around(place), level))
        return self._shifted(median, _at(self._scaled.ordered, level) * self._scale_of(place))

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values; residuals as little-endian float32 in base64, what was held as bits."""
        return {
            "count": self._count,
            "level": self._level,
            "scores": [*self._scores, self._judged],
            "held": base64.b64encode(np.packbits(np.frombuffer(self._held, np.uint8)).tobytes()).decode("ascii"),
            "scaled": self._scaled.snapshot(),
            "near": self._near and self._near.snapshot(),
            "sizes": self._sizes and self._sizes.snapshot(),
        }

    @classmethod
    def restore(cls, state: dict[str, Any], settings: ConformalSettings | None = None) -> "Conformal":
        """The intervals that left this snapshot, under the same settings."""
        conformal = cls(settings)
        conformal._count, conformal._level = state["count"], state["level"]
        *conformal._scores, conformal._judged = state["scores"]
        bits = np.unpackbits(np.frombuffer(base64.b64decode(state["held"]), np.uint8))
        conformal._held = bytearray(bits[: len(conformal._held)].tobytes())
        conformal._kept = sum(conformal._held)
        conformal._scaled.restore(state["scaled"])
        if conformal._near is not None and state["near"] is not None:
            conformal._near.restore(state["near"])
        if state["sizes"] is not None:
            if conformal._sizes is None:
                conformal._sizes = SmallLeastSquares(0)
            conformal._sizes.restore(state["sizes"])
        return conformal

    def _chosen(self) -> int:
        return int(self._near is not None and self._scores[1] < self._scores[0])

    def _sane(self, value: float) -> float:
        low, high = self._settings.bounds or _UNBOUNDED
        return value if low <= value <= high else high if high < value < math.inf else low

    def _default(self, median: float) -> tuple[float, float]:
        """A wide guess for a young track: a quarter to four times the median, or 0.3 of the bounds' width to each side."""
        if self._settings.bounds is None:
            return 0.25 * median, 4.0 * median
        low, high = self._settings.bounds
        return max(median - 0.3 * (high - low), low), min(median + 0.3 * (high - low), high)

    def _place(self, median: float, near: Sequence[float]) -> tuple[float, ...]:
        others = [one if -1e6 < one < 1e6 else 0.0 for one in near[: self._settings.coordinates]]
        if self._settings.bounds is not None:
            return median, *others
        return math.log(median + 0.001 * self._level + _TINY), *others

    def _root(self, place: tuple[float, ...]) -> float:
        """The unit of residuals: the root of the median, or the bounds' width."""
        bounds = self._settings.bounds
        return math.exp(0.5 * place[0]) if bounds is None else bounds[1] - bounds[0]

    def _scale_of(self, place: tuple[float, ...]) -> float:
        size = self._sizes.predict(place) if self._sizes is not None else 0.0
        return self._root(place) * math.exp(max(-7.0, min(7.0, size)))

    def _learn_size(self, place: tuple[float, ...], residual: float) -> None:
        if self._sizes is None:
            self._sizes = SmallLeastSquares(len(place))
        self._sizes.learn(place, math.log(min(residual / self._root(place), _LARGEST) + 0.02))

    def _residual(self, actual: float, median: float) -> float:
        return actual - median if self._settings.bounds is not None else math.sqrt(actual) - math.sqrt(median)

    def _shifted(self, median: float, residual: float) -> float:
        """The value that lies so far from the median: the residual's inverse."""
        if self._settings.bounds is not None:
            return self._sane(median + residual)
        root = math.sqrt(median) + residual
        return (root * root if root < _LARGEST_ROOT else _LARGEST) if root > 0.0 else 0.0

    def _ends(self, median: float, low: float, high: float, scale: float) -> tuple[float, float]:
        lower, upper = self._shifted(median, low * scale), self._shifted(median, high * scale) * (1.0 + _ROUNDING)
        most = _LARGEST if self._settings.bounds is None else self._settings.bounds[1]
        return lower * (1.0 - _ROUNDING), upper if upper < most else most

    def _widened(self, median: float, lower: float, upper: float, beyond: float) -> tuple[float, float]:
        reach = max(abs(self._residual(lower, median)), abs(self._residual(upper, median))) * math.exp(0.5 * min(beyond, _FARTHEST))
        return self._ends(median, -reach, reach, 1.0)

    def _cover(self, held: bool) -> None:
        place = self._count % len(self._held)
        self._kept += held - self._held[place]
        self._held[place] = held
        self._count += 1

    def _judge(self, band: Band, actual: float) -> None:
        """Move each form's levels, and its score: width + 2/α · how far outside (Winkler 1972)."""
        alpha = 1.0 - self._settings.level
        forms = (self._scaled, self._near)
        paired = self._near is None or len(band.forms) > 2
        self._judged += paired
        for form, learner in enumerate(forms[: len(band.forms) // 2]):
            lower, upper = band.forms[2 * form], band.forms[2 * form + 1]
            below, above = max(lower - actual, 0.0), max(actual - upper, 0.0)
            if paired:
                self._scores[form] += max(1.0 / self._judged, FADING) * (upper - lower + 2.0 / alpha * (below + above) - self._scores[form])
            if learner is not None:
                learner.levels.observe(below > 0.0, above > 0.0)


class _Levels:
    """Two adaptive levels, one a side."""

    __slots__ = ("high", "low", "nominal", "rate")

    def __init__(self, settings: ConformalSettings) -> None:
        self.nominal = self.low = self.high = 0.5 - 0.5 * settings.level
        self.rate = settings.rate

    def get(self, in_flight: int) -> tuple[float, float]:
        """The shares to leave below and above: while outcomes are too late to correct them they don't grow."""
        most = self.nominal if in_flight * self.rate > 0.3 else 6.0 * self.nominal
        low, high = self.low if self.low < most else most, self.high if self.high < most else most
        return low if low > LEAST_SHARE else LEAST_SHARE, high if high > LEAST_SHARE else LEAST_SHARE

    def stretched(self, low: float, high: float) -> tuple[float, float]:
        """The ends, further out where a level asks for less than nothing: half as far again at -0.1, beyond all that was kept."""
        if self.low < 0.0 and low < 0.0:
            low *= math.exp(BEYOND * -self.low)
        if self.high < 0.0 and high > 0.0:
            high *= math.exp(BEYOND * -self.high)
        return low, high

    def observe(self, below: bool, above: bool) -> None:
        """An outcome fell below, above or neither."""
        self.low = min(max(self.low + self.rate * (self.nominal - below), -0.1), 0.4)
        self.high = min(max(self.high + self.rate * (self.nominal - above), -0.1), 0.4)


class _Scaled:
    """The last residuals, each divided by its scale: in order, and as they came."""

    __slots__ = ("_oldest", "_size", "levels", "ordered", "recent")

    def __init__(self, settings: ConformalSettings) -> None:
        self.levels = _Levels(settings)
        self.ordered = array("f")
        self.recent = array("f")
        self._oldest = 0
        self._size = settings.light_ring if settings.light else settings.ring

    def get(self, in_flight: int) -> tuple[float, float]:
        """The residuals between which the outcome should lie."""
        return self.levels.stretched(*_between(self.ordered, *self.levels.get(in_flight)))

    def learn(self, residual: float) -> None:
        """Take one in and let the oldest go."""
        kept = array("f", (max(-_LARGEST, min(_LARGEST, residual)),))[0]
        if len(self.recent) < self._size:
            self.recent.append(kept)
        else:
            del self.ordered[bisect_left(self.ordered, self.recent[self._oldest])]
            self.recent[self._oldest] = kept
            self._oldest = (self._oldest + 1) % self._size
        insort(self.ordered, kept)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        recent = np.frombuffer(self.recent, np.float32) if self.recent else np.zeros(0, np.float32)
        return {"residuals": pack(recent), "oldest": self._oldest, "levels": [self.levels.low, self.levels.high]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self.recent = array("f", unpack(state["residuals"], "<f4").tobytes())
        self.ordered = array("f", sorted(self.recent))
        self._oldest = state["oldest"]
        self.levels.low, self.levels.high = state["levels"]


class _Near:
    """The last residuals with the place of each: who asks hears the nearest."""

    __slots__ = ("_next", "_places", "_residuals", "_settings", "levels")

    def __init__(self, settings: ConformalSettings) -> None:
        self.levels = _Levels(settings)
        self._settings = settings
        self._places = np.zeros((0, settings.ring), np.float32)
        self._residuals = np.zeros(0, np.float32)
        self._next = 0

    def around(self, place: tuple[float, ...]) -> NDArray[np.float32]:
        """The residuals of the outcomes nearest to a place, in order; all that are as near as the last of them, so that no machine's order decides."""
        held, nearest = len(self._residuals), self._settings.neighbours
        if held <= nearest:
            return np.sort(self._residuals)
        apart = self._places[:, :held] - self._here(place)[:, None]
        apart *= apart
        away = np.add.reduce(apart, axis=0)
        edge = np.partition(away, nearest - 1)[nearest - 1]
        near: NDArray[np.float32] = self._residuals[away <= edge]
        if len(near) > nearest:  # of those at the edge the first by place: the same on every machine
            near = self._residuals[np.sort(np.argsort(away, kind="stable")[:nearest])]
        near.sort()
        return near

    def _here(self, place: tuple[float, ...]) -> NDArray[np.float32]:
        """As many coordinates as are kept."""
        short = len(self._places) - len(place)
        return np.array(place if not short else (*place, *(0.0,) * short)[: len(self._places)], np.float32)

    def get(self, place: tuple[float, ...], in_flight: int) -> tuple[float, float]:
        """The residuals between which the outcome should lie."""
        return self.levels.stretched(*_between(self.around(place), *self.levels.get(in_flight)))

    def learn(self, residual: float, place: tuple[float, ...]) -> None:
        """Take one in and let the oldest go."""
        kept = np.float32(max(-_LARGEST, min(_LARGEST, residual)))
        if not len(self._residuals):
            self._places = np.zeros((len(place), self._settings.ring), np.float32)
        if len(self._residuals) < self._settings.ring:
            self._residuals = np.append(self._residuals, kept)
        else:
            self._residuals[self._next] = kept
        self._places[:, self._next] = self._here(place)
        self._next = (self._next + 1) % self._settings.ring

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        held = len(self._residuals)
        return {
            "residuals": pack(self._residuals),
            "places": [pack(row[:held]) for row in self._places],
            "next": self._next,
            "levels": [self.levels.low, self.levels.high],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self._residuals = unpack(state["residuals"], "<f4")
        self._places = np.zeros((len(state["places"]), self._settings.ring), np.float32)
        for row, text in zip(self._places, state["places"], strict=True):
            row[: len(self._residuals)] = unpack(text, "<f4")
        self._next = state["next"]
        self.levels.low, self.levels.high = state["levels"]


class _Slope:
    """A line through one input, by fading moments: how the size of residuals goes with the median, for the light form."""

    __slots__ = ("_covariance", "_seen", "_variance", "_x", "_y")

    def __init__(self) -> None:
        self._x = self._y = self._variance = self._covariance = 0.0
        self._seen = 0

    def predict(self, place: Sequence[float]) -> float:
        """What the first coordinate makes expect."""
        return self._y + self._covariance / (self._variance + 0.05) * (place[0] - self._x)

    def learn(self, place: Sequence[float], target: float) -> None:
        """Take in what came."""
        self._seen += 1
        rate = max(1.0 / self._seen, 0.002)
        x, y = place[0] - self._x, target - self._y
        self._x += rate * x
        self._y += rate * y
        self._variance += rate * ((1.0 - rate) * x * x - self._variance)
        self._covariance += rate * ((1.0 - rate) * x * y - self._covariance)

    def snapshot(self) -> list[float]:
        """The state as plain values."""
        return [self._seen, self._x, self._y, self._variance, self._covariance]

    def restore(self, state: list[float]) -> None:
        """Take up the state of a snapshot."""
        self._seen = int(state[0])
        self._x, self._y, self._variance, self._covariance = state[1:]


def _at(ordered: Sequence[float] | NDArray[np.float32], level: float) -> float:
    """The conformal quantile, of rank ⌈(n + 1) · level⌉."""
    return float(ordered[max(min(math.ceil((len(ordered) + 1) * level), len(ordered)), 1) - 1])


def _between(ordered: Sequence[float] | NDArray[np.float32], low: float, high: float) -> tuple[float, float]:
    """The conformal quantiles that leave these shares below and above."""
    held = len(ordered)
    return float(ordered[max(int((held + 1) * low), 1) - 1]), float(ordered[min(math.ceil((held + 1) * (1.0 - high)), held) - 1])
