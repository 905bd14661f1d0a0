"""A shard: the core of one journal partition, how far it has folded, what is not yet in a snapshot, and what is due."""

import heapq
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pointsman.schemas import Event, EventRejected, Refused, Tick, dead_letter, decode

from .core import Core

MOST_HANDED = 16


class Handed(NamedTuple):
    """A journal record that this worker wrote itself, at the offset with which it was acknowledged."""

    offset: int
    value: bytes


class Unsaved(NamedTuple):
    """Since when a scope's snapshot is behind: the first offset that is not in it, and the monotonic time."""

    offset: int
    since: float


@dataclass(slots=True)
class Shard:
    """One journal partition: `applied` is the last offset folded, `ahead` the offsets up to which restored scopes already are."""

    topic: str
    partition: int
    core: Core
    applied: int = -1
    folded: int = 0
    ahead: dict[str, int] = field(default_factory=dict)
    unsaved: dict[str, Unsaved] = field(default_factory=dict)
    _handed: dict[int, list[Handed]] = field(default_factory=dict)
    _timers: list[tuple[float, str]] = field(default_factory=list)

    def fold(self, records: Iterable[Any]) -> list[Event]:
        """Fold journal records in order, those already folded left out; what they caused, dead letters with their place included."""
        outputs: list[Event] = []
        touched: set[str] = set()
        now = time.monotonic()
        for record in records:
            offset = record.offset
            if offset <= self.applied:
                continue
            self.applied = offset
            value = record.value or b""
            place = f"{self.topic}/{self.partition}/{offset}"
            try:
                event = decode(value)
            except Refused as refusal:
                outputs.append(dead_letter(place, value, refusal.reason))
                continue
            scope = event.scope
            if self.ahead and self.ahead.get(scope, -1) >= offset:
                continue
            for output in self.core.step(event):
                if isinstance(output, EventRejected):
                    output = dead_letter(place, value, output.reason, occurred_at=output.occurred_at, scope=scope)
                outputs.append(output)
            self.folded += 1
            touched.add(scope)
            if scope not in self.unsaved:
                self.unsaved[scope] = Unsaved(offset, now)
        for scope in touched:
            self.watch(scope)
        return outputs

    def hand(self, offset: int, values: Iterable[bytes]) -> None:
        """Keep records that stand in the journal from this offset on, so that they need not be fetched back; a few batches at most."""
        if len(self._handed) >= MOST_HANDED:  # what was in between came from elsewhere: the fetch brings it, and these
            self._handed.clear()
        self._handed[offset] = [Handed(offset + place, value) for place, value in enumerate(values)]

    def has_next(self) -> bool:
        """Whether the records that come next were handed over."""
        return self.applied + 1 in self._handed

    def take(self) -> list[Handed]:
        """The batch that comes next, where it was handed over; nothing where something else stands before it."""
        return self._handed.pop(self.applied + 1, [])

    def watch(self, scope: str) -> None:
        """Note when time alone will change this scope."""
        due = self.core.next_due(scope)
        if due is not None:
            heapq.heappush(self._timers, (due, scope))

    def ticks(self, now: float) -> list[Tick]:
        """A tick for every scope in which something is due and nothing else has come; costs only what is due."""
        found: dict[str, Tick] = {}
        while self._timers and self._timers[0][0] <= now:
            _, scope = heapq.heappop(self._timers)
            due = self.core.next_due(scope)
            if self.core.is_due(scope, now):
                found[scope] = Tick(event_id=f"tick/{now!r}", scope=scope, occurred_at=now, source="pointsman")
            elif due is not None and due > now:
                heapq.heappush(self._timers, (due, scope))
        return list(found.values())

    def is_saved_to(self) -> int:
        """The offset from which a restart must read the journal: every scope's snapshot holds what came before it."""
        return min((entry.offset for entry in self.unsaved.values()), default=self.applied + 1)


__all__ = ["Handed", "Shard", "Unsaved"]
