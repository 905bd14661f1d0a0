"""Health of the tracks of one scope: cooldown, ejection, probing, and failing open.

A track is taken out by what providers do wrong; an outage of everything takes out nobody, and at least one track is always healthy.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pointsman.schemas import EXCUSED

State = Literal["healthy", "cooldown", "ejected", "probing"]
MOST_TRACKS = 64
BUCKETS = 12
_RATE_LIMITED = re.compile(r"(?<!\d)429(?!\d)|rate.?limit|too.?many.?requests", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """Defaults people know: cooldown from LiteLLM, ejection from Envoy's outlier detection; times in seconds.

    An outlier of n values is at most √(n - 1) standard deviations from their mean, so 1.9 needs five tracks (Envoy's own minimum).
    """

    cooldown_s: float = 5.0
    allowed_fails: int = 3
    failure_share: float = 0.5
    failure_requests: int = 5
    window_s: float = 60.0
    ejection_s: float = 30.0
    longest_ejection_s: float = 300.0
    ejected_share: float = 0.1
    outlier_deviations: float = 1.9
    outlier_tracks: int = 5
    outlier_requests: int = 100
    outlier_every_s: float = 10.0
    probe_shares: tuple[float, ...] = (0.05, 0.25)
    probe_successes: int = 3


@dataclass(slots=True)
class _Track:
    out: Literal["", "cooldown", "ejected"] = ""  # why it was taken out; "" once it is healthy again
    since: float = -math.inf
    until: float = -math.inf
    step: int = 0
    passed: int = 0
    in_a_row: int = 0
    ejections: int = 0
    buckets: list[list[int]] = field(default_factory=list)  # [number of the bucket, requests, failures], oldest first


class Health:
    """One `observe` for every completion; `share` is the part of its traffic that a track may have now.

    Out comes a healthy track at the fourth failure in a row, at a failure share of 0.5 over the last minute, at an HTTP 429, or when its
    success share is 1.9 standard deviations below the mean of all. After 5 s it is probed with 5 %, then 25 %, then all of its traffic, three
    successes each; a failed probe ejects it for 30 s times the number of ejections so far, one forgotten per 30 s in health.

    >>> health = Health(["local", "api"])
    >>> health.observe("api", 0.0, success=False, failure_class="provider", error_type="429")
    >>> health.state("api", 1.0), health.share("api", 1.0), health.next_due(1.0)
    ('cooldown', 0.0, 5.0)
    >>> health.state("api", 5.0), health.share("api", 5.0)
    ('probing', 0.05)
    >>> health.observe("api", 6.0, success=False)
    >>> health.state("api", 35.0), health.state("api", 36.0)
    ('ejected', 'probing')
    >>> for second in range(40, 46):
    ...     health.observe("api", float(second), success=True)
    >>> health.state("api", 46.0), health.share("local", 46.0)
    ('healthy', 1.0)
    """

    __slots__ = ("_checked", "_clock", "_news", "_open_until", "_settings", "_tracks")

    def __init__(self, tracks: Iterable[str] = (), settings: HealthSettings | None = None) -> None:
        self._settings = settings or HealthSettings()
        self._tracks: dict[str, _Track] = {}
        self._clock = -math.inf
        self._open_until = -math.inf
        self._checked = -math.inf
        self._news: list[str] = []
        self.keep(tracks)

    def keep(self, tracks: Iterable[str]) -> None:
        """From here on there are these tracks: new ones are healthy, the others' state is forgotten."""
        names = list(dict.fromkeys(tracks))[:MOST_TRACKS]
        self._tracks = {name: self._tracks.get(name) or _Track() for name in names}
        if all(track.out for track in self._tracks.values()):
            self._release(self._clock, "cooldown", "ejected")

    def observe(
        self,
        track: str,
        now: float,
        success: bool,
        failure_class: str | None = None,
        error_type: str | None = None,
        started_at: float | None = None,
    ) -> None:
        """Count an outcome, at `now` in seconds of event time; one whose attempt `started_at` before the track was taken out is no probe."""
        if not success and failure_class in EXCUSED:
            return
        state = self._tracks.get(track)
        if state is None:
            if len(self._tracks) >= MOST_TRACKS:
                return
            state = self._tracks[track] = _Track()
        now = self._clock = max(now, self._clock)
        if not state.out:
            self._count(state, now, success)
            self._judge(state, now, success, error_type)
        elif state.until <= now and (started_at is None or started_at >= state.since):
            self._probe(state, now, success)
        if now - self._checked >= self._settings.outlier_every_s:
            self._checked = now
            self._eject_outliers(now)

    def taken_out(self) -> list[str]:
        """The tracks that were taken out since this was last asked."""
        news, self._news = self._news, []
        return news

    def state(self, track: str, now: float) -> State:
        """How a track is at `now`; one never heard of is healthy."""
        state = self._tracks.get(track)
        if state is None or not state.out:
            return "healthy"
        return state.out if state.until > now else "probing"

    def share(self, track: str, now: float) -> float:
        """The part of its traffic that a track may have at `now`: 1 healthy, 0 out, in between while it is probed."""
        state = self._tracks.get(track)
        if state is None or not state.out:
            return 1.0
        return self._settings.probe_shares[state.step] if state.until <= now else 0.0

    def shares(self, now: float) -> dict[str, float]:
        """`share` of every track; at least one of them is 1."""
        return {name: self.share(name, now) for name in self._tracks}

    def next_due(self, now: float) -> float | None:
        """When time alone changes a state: the next end of a cooldown or ejection."""
        return min((state.until for state in self._tracks.values() if state.out and state.until > now), default=None)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        rows = {
            name: [
                state.out,
                *map(_finite, (state.since, state.until)),
                state.step,
                state.passed,
                state.in_a_row,
                state.ejections,
                [list(b) for b in state.buckets],
            ]
            for name, state in self._tracks.items()
        }
        return {"times": [_finite(self._clock), _finite(self._open_until), _finite(self._checked)], "tracks": rows}

    @classmethod
    def restore(cls, state: dict[str, Any], settings: HealthSettings | None = None) -> "Health":
        """The health that left this snapshot."""
        health = cls(settings=settings)
        health._clock, health._open_until, health._checked = map(_infinite, state["times"])
        for name, (out, since, until, step, passed, in_a_row, ejections, buckets) in state["tracks"].items():
            rows = [list(bucket) for bucket in buckets]
            health._tracks[name] = _Track(out, _infinite(since), _infinite(until), step, passed, in_a_row, ejections, rows)
        return health

    # what an outcome changes

    def _count(self, state: _Track, now: float, success: bool) -> None:
        number = math.floor(now / self._settings.window_s * BUCKETS)
        if not state.buckets or state.buckets[-1][0] != number:
            state.buckets = [bucket for bucket in state.buckets if bucket[0] > number - BUCKETS] + [[number, 0, 0]]
        state.buckets[-1][1] += 1
        state.buckets[-1][2] += not success
        state.in_a_row = 0 if success else min(state.in_a_row + 1, self._settings.allowed_fails + 1)

    def _recent(self, state: _Track, now: float) -> tuple[int, int]:
        oldest = math.floor(now / self._settings.window_s * BUCKETS) - BUCKETS
        rows = [bucket for bucket in state.buckets if bucket[0] > oldest]
        return sum(bucket[1] for bucket in rows), sum(bucket[2] for bucket in rows)

    def _judge(self, state: _Track, now: float, success: bool, error_type: str | None) -> None:
        if success:
            return
        requests, failures = self._recent(state, now)
        settings = self._settings
        is_failing = state.in_a_row > settings.allowed_fails or (requests >= settings.failure_requests and failures >= settings.failure_share * requests)
        if is_failing or (error_type is not None and _RATE_LIMITED.search(error_type)):
            self._take_out(state, now, "cooldown", is_failing=is_failing)

    def _probe(self, state: _Track, now: float, success: bool) -> None:
        if not success:
            self._take_out(state, now, "ejected", is_failing=True)
            return
        state.passed += 1
        if state.passed >= self._settings.probe_successes:
            state.passed, state.step = 0, state.step + 1
            if state.step == len(self._settings.probe_shares):
                self._heal(state, now)

    def _eject_outliers(self, now: float) -> None:
        """Envoy's success-rate ejection: mean - 1.9 population standard deviations, among healthy tracks with enough requests."""
        settings = self._settings
        rates: list[tuple[_Track, float]] = []
        for state in self._tracks.values():
            requests, failures = self._recent(state, now)
            if not state.out and requests >= settings.outlier_requests:
                rates.append((state, 1.0 - failures / requests))
        if len(rates) < settings.outlier_tracks:
            return
        mean = math.fsum(rate for _, rate in rates) / len(rates)
        deviation = math.sqrt(math.fsum((rate - mean) ** 2 for _, rate in rates) / len(rates))
        for state, rate in rates:
            if rate < mean - settings.outlier_deviations * deviation - 1e-9:
                self._take_out(state, now, "ejected", is_failing=False)

    # in and out

    def _take_out(self, state: _Track, now: float, how: Literal["cooldown", "ejected"], *, is_failing: bool) -> None:
        """Take a track out, unless it is the last healthy one: then what is cooled comes back, and all if this one fails too."""
        settings = self._settings
        if now < self._open_until:
            return
        if not any(not other.out for other in self._tracks.values() if other is not state):
            self._release(now, "cooldown", *(("ejected",) if is_failing else ()))
            if is_failing:
                self._open_until = now + settings.cooldown_s
                state.buckets, state.in_a_row = [], 0
            return
        if not state.out and state.ejections:
            state.ejections = max(state.ejections - math.floor((now - state.since) / settings.ejection_s), 0)
        allowed = max(1, math.floor(settings.ejected_share * len(self._tracks)))
        if how == "ejected" and sum(other.out == "ejected" for other in self._tracks.values() if other is not state) < allowed:
            state.ejections = min(state.ejections + 1, math.ceil(settings.longest_ejection_s / settings.ejection_s))
            state.out, state.until = "ejected", now + min(settings.ejection_s * state.ejections, settings.longest_ejection_s)
        else:
            state.out, state.until = "cooldown", now + settings.cooldown_s
        state.since, state.step, state.passed, state.in_a_row, state.buckets = now, 0, 0, 0, []
        self._news += [name for name, other in self._tracks.items() if other is state]

    def _release(self, now: float, *kinds: str) -> None:
        for state in self._tracks.values():
            if state.out in kinds:
                self._heal(state, now)

    def _heal(self, state: _Track, now: float) -> None:
        state.out, state.since, state.until = "", now, -math.inf
        state.step = state.passed = state.in_a_row = 0
        state.buckets = []


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _infinite(value: float | None) -> float:
    return -math.inf if value is None else value
