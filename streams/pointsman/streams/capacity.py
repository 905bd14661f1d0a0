"""The allocator: reads what scopes publish of their need, and says to each what share it has of a track that they use together.

It stands outside of the scopes, whose states may not meet; what it decides comes to a scope as an input event, is in its journal, and is replayed from there.
"""

import hashlib
from collections.abc import Iterable

from pointsman.models.allocation import upper_need
from pointsman.models.sharing import Sharing
from pointsman.schemas import Capacity, CapacityAllocated, Event, ForecastIssued, OutputEvent, Track, WindowClosed
from pointsman.schemas.settings import SettingsError

from .core import Core

SOON_S = 600.0
MOST_FORECAST = 4096


class Allocator:
    """Divides each capacity between the scopes that use its track, by priority and need.

    The need of a scope is the upper end of its forecast of the track's concurrency for the next ten minutes; without one, what Little's law makes of its last
    window (rate times mean latency), as the number that a Poisson distribution of this mean stays below 95 % of the time. A scope that runs elsewhere needs 1.
    """

    def __init__(self, capacities: Iterable[Capacity], priority: float = 1.0) -> None:
        capacities = tuple(capacities)
        self._sharings = {capacity.track: Sharing(capacity.concurrency, priority) for capacity in capacities}
        self._given = {capacity.track: dict(capacity.priorities) for capacity in capacities}
        self._forecast: dict[tuple[str, str], float] = {}
        self._clock = 0.0
        for track, sharing in self._sharings.items():
            sharing.priorities.update(self._given[track])

    def prioritise(self, scope: str, priority: float) -> None:
        """A scope counts so much beside the others, where the capacity itself does not say otherwise."""
        for track, sharing in self._sharings.items():
            sharing.priorities[scope] = self._given[track].get(scope, priority)

    def resume(self, event: CapacityAllocated) -> None:
        """What was allocated before this allocator began."""
        if event.track in self._sharings:
            self._sharings[event.track].resume(event.scope, event.concurrency, event.occurred_at)

    def note(self, output: Event) -> bool:
        """What a scope says of its need; False where an output says nothing of it."""
        if isinstance(output, WindowClosed):
            self._clock = max(self._clock, output.occurred_at)
            return any([self._note_window(output, track, sharing) for track, sharing in self._sharings.items()])
        if isinstance(output, ForecastIssued) and output.metric == "concurrency" and output.horizon_s <= SOON_S and output.track in self._sharings:
            self._clock = max(self._clock, output.occurred_at)
            if len(self._forecast) >= MOST_FORECAST:
                del self._forecast[next(iter(self._forecast))]
            key = (output.scope, output.track)
            self._forecast[key] = max(output.target_time, self._forecast.pop(key, 0.0))
            self._sharings[output.track].note(output.scope, upper_bound(output.upper), output.occurred_at)
            return True
        return False

    def _note_window(self, window: WindowClosed, track: str, sharing: Sharing) -> bool:
        if window.track == track:
            busy = window.rate_per_s * (window.latency_mean_ms or 0.0) / 1000.0
            is_forecast = self._forecast.get((window.scope, track), 0.0) >= window.occurred_at
            sharing.note(window.scope, 1 if is_forecast else max(upper_need(busy), 1), window.occurred_at)
        elif window.scope in sharing:
            sharing.note(window.scope, 1, window.occurred_at)
        else:
            return False
        return True

    def settle(self, cause: OutputEvent) -> list[CapacityAllocated]:
        """The shares that change now, those that shrink first."""
        return [
            CapacityAllocated(
                event_id=_identity(track, cause.event_id), scope=scope, occurred_at=cause.occurred_at, source="allocator", track=track, concurrency=share
            )
            for track, sharing in self._sharings.items()
            for scope, share in sharing.settle(self._clock).items()
        ]

    def observe(self, output: Event) -> list[CapacityAllocated]:
        """Note one output, and say whose share changes by it."""
        return self.settle(output) if isinstance(output, OutputEvent) and self.note(output) else []

    def status(self) -> dict[str, dict[str, dict[str, int | None]]]:
        """Per track and scope what it needs and what it has."""
        return {track: sharing.status(self._clock) for track, sharing in self._sharings.items()}


def resumed(capacities: Iterable[Capacity], core: Core) -> Allocator:
    """An allocator that goes on where the scopes of a core were left."""
    allocator = Allocator(capacities)
    for name in core.scopes():
        scope = core.scope(name)
        allocator.prioritise(name, scope.config.priority)
        for track, share in scope.limits.allocated.items():
            allocator.resume(CapacityAllocated(event_id="resumed", scope=name, occurred_at=scope.clock, source="allocator", track=track, concurrency=share))
    return allocator


def released(capacities: Iterable[Capacity], core: Core) -> list[CapacityAllocated]:
    """What frees the scopes of a core from shares of tracks that are no longer divided."""
    told = [
        CapacityAllocated(event_id=f"{name}/{scope.sequence}", scope=name, occurred_at=scope.clock, source="allocator", track=track)
        for name in core.scopes()
        for scope in [core.scope(name)]
        for track in scope.limits.allocated
    ]
    return freed(capacities, told)


def freed(capacities: Iterable[Capacity], told: Iterable[CapacityAllocated]) -> list[CapacityAllocated]:
    """What takes back shares that were told of tracks that are no longer divided."""
    divided = {capacity.track for capacity in capacities}
    gone = [event for event in told if event.track not in divided]
    return [event.model_copy(update={"event_id": _identity(event.track, event.event_id), "concurrency": None, "origin": None}) for event in gone]


def check(capacities: Iterable[Capacity], tracks: Iterable[Track]) -> None:
    """Raises `SettingsError` for a capacity of a track that is not configured, where tracks are."""
    known = [track.name for track in tracks]
    for capacity in capacities:
        if known and capacity.track not in known:
            raise SettingsError(f"capacity.track is {capacity.track!r}, which is no configured track: use one of {', '.join(known)}")


def upper_bound(upper: float) -> int:
    """A forecast's upper end in whole requests, at least 1.

    >>> upper_bound(2.1), upper_bound(0.0)
    (3, 1)
    """
    return max(-int(-upper // 1), 1)


def _identity(track: str, cause: str) -> str:
    """The same for the same cause, so that an allocator which starts again repeats itself instead of saying something new."""
    return f"capacity/{hashlib.blake2b(f'{track}/{cause}'.encode('utf-8', 'replace'), digest_size=12).hexdigest()}"


__all__ = ["Allocator", "check", "freed", "released", "resumed"]
