"""The guard before the rooms of a scope's signals: one that throws is begun anew, counted, and told of once; the fold goes on (law 9)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from pointsman.schemas import AlertRaised, AlertResolved

from .findings import Told

CALM_S = 3600.0
Answer = TypeVar("Answer")
Asked = ParamSpec("Asked")


@dataclass(slots=True)
class Failure:
    """How often a room threw, when it did first since it was calm, when last, what (the name of the class), and whether the alert of it stands."""

    count: int
    since: float
    last: float
    what: str
    is_told: bool = False


class Guard:
    """Calls rooms. `renew` begins a room anew and says what that ends; the alert of it is over once the room has worked for an hour of the scope's time.

    >>> guard = Guard(lambda room: [])
    >>> guard.ask("watch", 0.0, lambda: 1.0 / 0.0), guard.status()
    (0.0, {'watch': 1})
    >>> [(model.__name__, fields["fingerprint"], fields["reason"]) for model, fields in guard.news()]
    [('AlertRaised', 'signals/watch/failed', 'it was begun anew after ZeroDivisionError')]
    """

    def __init__(self, renew: Callable[[str], list[Told]]) -> None:
        self._renew = renew
        self._clock = 0.0
        self._failures: dict[str, Failure] = {}
        self._news: list[Told] = []

    def ask(self, room: str, otherwise: Answer, call: Callable[Asked, Answer], *args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
        """What a room answers; `otherwise` where it throws."""
        try:
            return call(*args, **kwargs)
        except Exception as error:  # law 9: whatever a room throws, the others go on
            self._failed(room, type(error).__name__)
            return otherwise

    def _failed(self, room: str, what: str) -> None:
        known = self._failures.get(room)
        failure = self._failures[room] = known or Failure(0, self._clock, self._clock, what)
        failure.count, failure.last, failure.what = failure.count + 1, self._clock, what
        self._news += self._renew(room)
        if not failure.is_told:
            failure.is_told, failure.since = True, self._clock
            self._news.append((AlertRaised, self._alert(room, failure)))

    def _alert(self, room: str, failure: Failure) -> dict[str, Any]:
        return {
            "fingerprint": f"signals/{room}/failed",
            "kind": "drift",
            "severity": "info",
            "subject": f"signals/{room}",
            "observed": float(failure.count),
            "expected": 0.0,
            "since": failure.since,
            "reason": f"it was begun anew after {failure.what}"[:256],
        }

    def news(self) -> list[Told]:
        """What is to be told since this was asked last."""
        if not self._news:
            return []
        news, self._news = self._news, []
        return news

    def advance(self, now: float) -> list[Told]:
        """The clock moves: rooms that have worked for an hour are well."""
        self._clock = now
        well = [room for room, one in self._failures.items() if one.is_told and one.last + CALM_S <= now] if self._failures else ()
        for room in well:
            self._failures[room].is_told = False
        return [(AlertResolved, self._alert(room, self._failures[room])) for room in well]

    def is_own(self, fingerprint: str) -> bool:
        """Whether an alert is one of these."""
        return bool(self._failures) and fingerprint.removeprefix("signals/").removesuffix("/failed") in self._failures

    def status(self) -> dict[str, int]:
        """How often each room threw."""
        return {room: failure.count for room, failure in self._failures.items()}

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self._clock, {room: [one.count, one.since, one.last, one.what, one.is_told] for room, one in self._failures.items()}]

    def restore(self, state: list[Any]) -> None:
        """Take up what left this snapshot."""
        clock, failures = state
        rows: Mapping[str, list[Any]] = failures
        self._clock, self._failures = clock, {room: Failure(*row) for room, row in rows.items()}


__all__ = ["Guard"]
