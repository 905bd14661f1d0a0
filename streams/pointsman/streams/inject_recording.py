"""A recording that is to be changed: which events make a request, and how a request is made to last longer without losing the order of what arrives."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pointsman.schemas import AnyInput, RequestCompleted, RequestStarted, ResourceSampled


class Attempt(NamedTuple):
    """One request on one track: when it began (epoch seconds), and where its events are in the recording."""

    began: float
    track: str
    started: int | None
    completed: tuple[int, ...]


class Recording:
    """Events in the order of their arrival. What is touched moves to its new time; late events that nobody touched stay as late as they were.

    Places of a journal's records are dropped: the result is a recording of its own.
    """

    def __init__(self, events: Sequence[AnyInput]) -> None:
        self.events: list[AnyInput] = [event.model_copy(update={"origin": None}) if event.origin is not None else event for event in events]
        self.arrivals: list[float] = []
        latest = 0.0
        for event in events:
            latest = max(latest, event.occurred_at)
            self.arrivals.append(latest)
        self.attempts = list(_attempts(self.events))

    @property
    def begin(self) -> float:
        """When it begins, in epoch seconds."""
        return self.arrivals[0]

    @property
    def end(self) -> float:
        """When the last event arrives, in epoch seconds."""
        return max(self.arrivals)

    def tracks(self) -> list[str]:
        """The tracks that requests were sent to, in the order of their first."""
        return list(dict.fromkeys(attempt.track for attempt in self.attempts))

    def hosts(self) -> list[str]:
        """The hosts that were sampled, in the order of their first."""
        return list(dict.fromkeys(event.host for event in self.events if isinstance(event, ResourceSampled)))

    def scopes(self) -> list[str]:
        """The scopes, in the order of their first event."""
        return list(dict.fromkeys(event.scope for event in self.events))

    def during(self, start: float, end: float, track: str | None = None) -> list[Attempt]:
        """The requests that began within [start, end), on this track or on all."""
        return [one for one in self.attempts if start <= one.began < end and track in (None, one.track)]

    def samples(self, host: str, start: float, end: float) -> Iterator[tuple[int, ResourceSampled]]:
        """The samples of a host within [start, end), with their places."""
        for place, event in enumerate(self.events):
            if isinstance(event, ResourceSampled) and event.host == host and start <= event.occurred_at < end:
                yield place, event

    def outcomes(self, attempts: Iterable[Attempt]) -> Iterator[tuple[Attempt, int, RequestCompleted]]:
        """The completions of requests, with their places."""
        for attempt in attempts:
            for place in attempt.completed:
                event = self.events[place]
                if isinstance(event, RequestCompleted):
                    yield attempt, place, event

    def change(self, place: int, **fields: Any) -> None:
        """Give an event other fields."""
        self.events[place] = self.events[place].model_copy(update=fields)

    def last(self, attempt: Attempt, place: int, latency_ms: float, **fields: Any) -> None:
        """Let a completion come `latency_ms` after its request began, and not before its start arrived."""
        event = self.events[place]
        known = event.latency_ms if isinstance(event, RequestCompleted) else None
        later = (latency_ms - (1000.0 * (event.occurred_at - attempt.began) if known is None else known)) / 1000.0
        first = attempt.began if attempt.started is None else self.arrivals[attempt.started]
        self.arrivals[place] = max(first, self.arrivals[place] + later)
        self.change(place, latency_ms=round(latency_ms, 3), occurred_at=round(max(attempt.began, event.occurred_at + later), 6), **fields)

    def add(self, event: AnyInput, arrival: float) -> None:
        """Another event, after those that arrive at the same moment."""
        self.events.append(event)
        self.arrivals.append(arrival)

    def ordered(self) -> list[AnyInput]:
        """All events as they arrive now."""
        return [self.events[place] for place in sorted(range(len(self.events)), key=lambda place: self.arrivals[place])]


def _attempts(events: Sequence[AnyInput]) -> Iterator[Attempt]:
    starts: dict[tuple[str, str, str], int] = {}
    ends: dict[tuple[str, str, str], list[int]] = {}
    for place, event in enumerate(events):
        if isinstance(event, RequestStarted) and event.track is not None:
            starts.setdefault((event.scope, event.request_id, event.track), place)
        elif isinstance(event, RequestCompleted):
            ends.setdefault((event.scope, event.request_id, event.track), []).append(place)
    for key in dict.fromkeys((*starts, *ends)):
        started, completed = starts.get(key), tuple(ends.get(key, ()))
        yield Attempt(events[started].occurred_at if started is not None else _began(events[completed[0]]), key[2], started, completed)


def _began(event: AnyInput) -> float:
    latency = event.latency_ms if isinstance(event, RequestCompleted) else None
    return event.occurred_at - (latency or 0.0) / 1000.0


__all__ = ["Attempt", "Recording"]
