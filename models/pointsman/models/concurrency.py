"""How many requests a track should have in flight: Gradient2 of Netflix's concurrency-limits, on latencies that know the length of the answer."""

import math
import re
from dataclasses import dataclass
from typing import Any, Self

from pointsman.schemas import Constraints, RequestCompleted, Track

WARM_UP = 10
STEEPEST = 0.5
FADING = 0.95
LEAST_QUEUE = 0.5
INITIAL = MINIMUM = 20
_OVERLOADED = re.compile(r"(?<!\d)(429|503|529)(?!\d)|rate.?limit|too.?many.?requests|overloaded", re.IGNORECASE)


def is_overload(event: RequestCompleted) -> bool:
    """Whether a failure says that the track has too much to do: a timeout, or an HTTP 429, 503 or 529."""
    if event.success or event.is_excused:
        return False
    return event.failure_class == "timeout" or (event.error_type is not None and _OVERLOADED.search(event.error_type) is not None)


@dataclass(frozen=True, slots=True)
class Gradient2Settings:
    """The published defaults; the queue allowed for is a tenth of a limit below 40, at least 0.5, so that a laptop's limit is not all queue."""

    initial: float = float(INITIAL)
    minimum: float = float(MINIMUM)
    maximum: float = 200.0
    tolerance: float = 1.5
    smoothing: float = 0.2
    long_window: int = 600
    queue: float = 4.0
    queue_share: float = 0.1

    @classmethod
    def of(cls, track: Track, constraints: Constraints) -> Self:
        """The settings of a track: what it says itself, else by whether it is local; its `max_concurrency` is the last word."""
        given, bound = track.concurrency, track.max_concurrency
        maximum = min(given.maximum, bound or given.maximum)
        minimum = min(given.minimum or (1 if track.is_local else MINIMUM), maximum)
        usual = min(INITIAL, bound or constraints.max_concurrent) if track.is_local else INITIAL
        initial = max(min(given.initial or usual, maximum), minimum)
        return cls(float(initial), float(minimum), float(maximum), given.tolerance, given.smoothing)


class Baseline:
    """Latency in the long run given the number of output tokens: exponentially weighted least squares, factor 2 / (window + 1), plain means for the first ten.

    Where lengths do not vary, or are not known, it is the exponential average that Gradient2 is published with. The slope stays between 0 and that of a line
    through the origin.

    >>> baseline = Baseline(600)
    >>> for number in range(100):
    ...     tokens = 50.0 + 10.0 * (number % 10)
    ...     baseline.update(200.0 + 5.0 * tokens, tokens)
    >>> round(baseline.get(1000.0))
    5200
    """

    __slots__ = ("_count", "_covariance", "_factor", "_latency", "_tokens", "_variance")

    def __init__(self, window: int) -> None:
        self._factor = 2.0 / (window + 1)
        self._count = 0
        self._tokens = self._latency = self._variance = self._covariance = 0.0

    def update(self, latency: float, tokens: float) -> None:
        """Learn from one success."""
        self._count = min(self._count + 1, WARM_UP + 1)
        factor = 1.0 / self._count if self._count <= WARM_UP else self._factor
        beyond, slower = tokens - self._tokens, latency - self._latency
        self._tokens += factor * beyond
        self._latency += factor * slower
        self._variance = (1.0 - factor) * (self._variance + factor * beyond * beyond)
        self._covariance = (1.0 - factor) * (self._covariance + factor * beyond * slower)

    def get(self, tokens: float) -> float:
        """The latency of such an answer in the long run."""
        steepest = self._latency / self._tokens if self._tokens > 0.0 else 0.0
        slope = max(0.0, min(self._covariance / self._variance, steepest)) if self._variance > 0.0 else 0.0
        return max(self._latency + slope * (tokens - self._tokens), 0.0)

    def fade(self) -> None:
        """Latency is far below what it was: forget faster."""
        if self._count >= WARM_UP:
            self._latency *= FADING
            self._covariance *= FADING

    def snapshot(self) -> list[float]:
        """The state as plain values."""
        return [self._count, self._tokens, self._latency, self._variance, self._covariance]

    def restore(self, state: list[float]) -> None:
        """Take up the state of a snapshot."""
        self._count = int(state[0])
        self._tokens, self._latency, self._variance, self._covariance = state[1:]


class Gradient2:
    """gradient = max(0.5, min(1, tolerance · long ÷ short)); limit ← (1 - smoothing) · limit + smoothing · (gradient · limit + queue), clamped last.

    `short` is the latency of one success, `long` what an answer of that length takes alone, where the caller knows (`alone`), else in the long run; queue is
    4, below a limit of 40 a tenth of it, at least 0.5. Below half the limit in flight nothing is changed. Where the limit was not kept to, gradient · in flight
    takes the place of gradient · limit, at most the limit: that so many were slow does not say that the limit is too high. A timeout or a refusal for overload
    is a gradient of 0.5 without a queue (limit · 0.9 by default), once for all attempts that left before the last one.

    Source: Netflix concurrency-limits, `Gradient2Limit`, https://github.com/Netflix/concurrency-limits.

    >>> gradient2 = Gradient2(Gradient2Settings(initial=40, minimum=1))
    >>> for in_flight in (40, 40, 10):
    ...     gradient2.observe(100.0, in_flight)
    >>> round(gradient2.estimate, 6)  # 40 + 0.2 * 4, twice; then below half of the limit
    41.6
    >>> gradient2.observe(400.0, 41)  # the long run is (100 + 100 + 100 + 400) / 4 = 175, the gradient 1.5 * 175 / 400 = 0.65625
    >>> round(gradient2.estimate, 6)
    39.54
    >>> gradient2.limit is None  # too early to be believed
    True
    """

    __slots__ = ("_baseline", "_reduced_at", "_settings", "estimate", "steps")

    def __init__(self, settings: Gradient2Settings | None = None) -> None:
        self._settings = settings or Gradient2Settings()
        self._baseline = Baseline(self._settings.long_window)
        self._reduced_at = -math.inf
        self.estimate = self._settings.initial
        self.steps = 0

    def observe(self, latency: float, in_flight: float, *, tokens: float = 0.0, alone: float | None = None) -> None:
        """One success that had `in_flight` beside it, itself included; latencies in any one unit."""
        if not (math.isfinite(latency) and latency > 0.0):
            return
        self._baseline.update(latency, tokens)
        long = self._baseline.get(tokens)
        if long > 2.0 * latency:
            self._baseline.fade()
        if in_flight < 0.5 * self.estimate:
            return
        expected = long if alone is None else alone
        gradient = max(STEEPEST, min(1.0, self._settings.tolerance * expected / latency))
        self._step(min(gradient * max(self.estimate, in_flight), self.estimate) + self._queue())

    def drop(self, started_at: float, now: float) -> None:
        """One attempt that timed out, or was refused for overload; times in seconds."""
        if started_at < self._reduced_at:
            return
        self._reduced_at = now
        self.steps = max(self.steps, WARM_UP - 1)
        self._step(STEEPEST * self.estimate)

    @property
    def limit(self) -> int | None:
        """The limit; None before ten steps, or a drop, have spoken for it."""
        return int(self.estimate) if self.steps >= WARM_UP else None

    def _queue(self) -> float:
        return min(self._settings.queue, max(self._settings.queue_share * self.estimate, LEAST_QUEUE))

    def _step(self, towards: float) -> None:
        settings = self._settings
        self.estimate += settings.smoothing * (towards - self.estimate)
        self.estimate = max(settings.minimum, min(settings.maximum, self.estimate))
        self.steps = min(self.steps + 1, WARM_UP)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.estimate, self.steps, self._reduced_at if math.isfinite(self._reduced_at) else None, self._baseline.snapshot()]

    @classmethod
    def restore(cls, state: list[Any], settings: Gradient2Settings) -> Self:
        """The controller that left this snapshot."""
        found = cls(settings)
        found.estimate, found.steps, reduced_at = state[:3]
        found._reduced_at = -math.inf if reduced_at is None else reduced_at
        found._baseline.restore(state[3])
        return found
