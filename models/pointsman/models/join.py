"""Start, completion and late quality of one attempt become one outcome, in whatever order they come."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pointsman.schemas import RequestCompleted

from .context import Context
from .outlook import Sayings
from .predictor import Saying
from .timeouts import Issued

MOST_WAITING = 4096
MOST_DONE = 512


@dataclass(slots=True)
class Attempt:
    """A request on its way on one track: what was known when it left, and what was predicted of it."""

    track: str
    started_at: float
    context: Context
    features: dict[str, float]
    sayings: Sayings = field(default_factory=dict)
    timeouts: tuple[Issued, ...] = ()
    is_own: bool = False
    area: float = 0.0
    expected_s: float = 0.0
    attributes: Mapping[str, Any] | None = None
    in_flight: int = 0
    traceparent: str | None = None

    def __post_init__(self) -> None:
        if self.expected_s == 0.0 and "latency_ms" in self.sayings:
            self.expected_s = math.exp(self.sayings["latency_ms"].log) / 1000.0

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        sayings = {metric: saying.snapshot() for metric, saying in self.sayings.items()}
        return [
            self.track,
            self.started_at,
            self.context.snapshot(),
            self.features,
            sayings,
            self.timeouts,
            self.is_own,
            self.area,
            self.expected_s,
            self.attributes,
            self.in_flight,
            self.traceparent,
        ]

    @classmethod
    def restore(cls, state: list[Any]) -> "Attempt":
        """The attempt that left this snapshot."""
        sayings = {metric: Saying.restore(saying) for metric, saying in state[4].items()}
        return cls(state[0], state[1], Context.restore(state[2]), state[3], sayings, tuple(Issued(*issued) for issued in state[5]), *state[6:])


@dataclass(frozen=True, slots=True)
class Done:
    """What a judgement that is still to come needs of an attempt that is done: its context and features, and what was said of its quality."""

    context: Context
    features: dict[str, float]
    quality: Saying | None = None

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.context.snapshot(), self.features, self.quality.snapshot() if self.quality is not None else None]

    @classmethod
    def restore(cls, state: list[Any]) -> "Done":
        """What left this snapshot."""
        return cls(Context.restore(state[0]), state[1], Saying.restore(state[2]) if state[2] is not None else None)


Key = tuple[str, str]


class Join:
    """Attempts in flight, completions that wait for their start, and the last attempts that are done; each map has a cap."""

    __slots__ = ("done", "evicted", "flying", "orphans")

    def __init__(self) -> None:
        self.flying: dict[Key, Attempt] = {}
        self.orphans: dict[Key, RequestCompleted] = {}
        self.done: dict[Key, Done | None] = {}
        self.evicted = 0

    def make_room(self) -> tuple[str, Attempt] | None:
        """Take out the oldest attempt in flight where one more would be too many; call before `start`."""
        if len(self.flying) < MOST_WAITING:
            return None
        key = next(iter(self.flying))
        self.evicted += 1
        return key[0], self.flying.pop(key)

    def start(self, request_id: str, attempt: Attempt) -> RequestCompleted | None:
        """Note an attempt; returns its completion where that came first."""
        key = (request_id, attempt.track)
        if key in self.done or key in self.flying:
            return None
        completion = self.orphans.pop(key, None)
        if completion is None:
            self.flying[key] = attempt
        return completion

    def complete(self, event: RequestCompleted) -> Attempt | None:
        """The attempt that this ends; where its start has not been seen the completion waits for it."""
        key = (event.request_id, event.track)
        attempt = self.flying.pop(key, None)
        if attempt is None:
            if len(self.orphans) >= MOST_WAITING:
                self.orphans.pop(next(iter(self.orphans)))
                self.evicted += 1
            self.orphans[key] = event
        return attempt

    def is_copy(self, request_id: str, track: str | None, tracks: Iterable[str]) -> bool:
        """Whether this request already runs, or ran, on another track."""
        return track is not None and any(name != track and self.is_known(request_id, name) for name in tracks)

    def has_ended(self, request_id: str, track: str) -> bool:
        """Whether the completion of this attempt waits for its start."""
        return (request_id, track) in self.orphans

    def is_known(self, request_id: str, track: str | None) -> bool:
        """Whether this attempt has started before."""
        return track is not None and ((request_id, track) in self.flying or (request_id, track) in self.done)

    def is_repeat(self, event: RequestCompleted) -> bool:
        """Whether this attempt was already ended."""
        key = (event.request_id, event.track)
        return key in self.done or key in self.orphans

    def finish(self, request_id: str, track: str, done: Done | None) -> None:
        """Remember that an attempt is done, and what a judgement that is still to come needs."""
        if len(self.done) >= MOST_DONE:
            self.done.pop(next(iter(self.done)))
        self.done[(request_id, track)] = done

    def due(self, wait: float) -> float | None:
        """When the oldest attempt is given up; starts arrive nearly in order, so the first of the map is the oldest."""
        moments = [next(iter(self.flying.values())).started_at] if self.flying else []
        if self.orphans:
            moments.append(next(iter(self.orphans.values())).occurred_at)
        return min(moments) + wait if moments else None

    def expire(self, now: float, wait: float) -> tuple[list[tuple[str, Attempt]], list[RequestCompleted]]:
        """Take out what has waited too long: attempts without completion, completions without start."""
        lost: list[tuple[str, Attempt]] = []
        while self.flying:
            key, attempt = next(iter(self.flying.items()))
            if attempt.started_at + wait > now:
                break
            del self.flying[key]
            lost.append((key[0], attempt))
        single: list[RequestCompleted] = []
        while self.orphans:
            key, event = next(iter(self.orphans.items()))
            if event.occurred_at + wait > now:
                break
            del self.orphans[key]
            single.append(event)
        return lost, single
