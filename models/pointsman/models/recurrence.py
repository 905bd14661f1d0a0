"""Recurrence: what an incident looks like, whatever its time and its places' names, and which earlier ones looked like it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.schemas import IncidentAlert, IncidentAnnotated, Similar, Suspect

MOST = 64
MOST_SIMILAR = 3
LEAST_SIMILAR = 0.3
SHAPE, PLACE = 1.0, 1.5
SUSPECT = 0.5  # a suspect is a guess and the alerts are facts
YET_TO_COME = 0.25
Vector = dict[str, float]


@dataclass(slots=True)
class Past:
    """An incident that is over, and what people said of it."""

    incident: str
    vector: Vector
    since: float
    ended_at: float
    said: dict[str, str]

    def similar(self, similarity: float) -> Similar:
        """This one as an event names it."""
        return Similar(incident=self.incident, similarity=round(similarity, 6), since=self.since, ended_at=self.ended_at, **self.said)


class Recurrence:
    """The last 64 incidents of a scope with what ended them.

    >>> alert = IncidentAlert(fingerprint="gpu/load/anomaly", kind="anomaly", severity="warning", metric="load", host="gpu", since=1.7e9, score=1.0,
    ...                       observed=9.0, expected=1.0)
    >>> recurrence = Recurrence()
    >>> first, _ = recurrence.look({"incident": "incident-1", "alerts": (alert,)})
    >>> recurrence.remember({"incident": "incident-1", "alerts": (alert,), "since": 1.7e9, "ended_at": 1.7e9 + 60.0})
    >>> again, similar = recurrence.look({"incident": "incident-2", "alerts": (alert,)})
    >>> first == again, [(one.incident, one.similarity) for one in similar]
    (True, [('incident-1', 1.0)])
    """

    def __init__(self) -> None:
        self._past: dict[str, Past] = {}
        self._said: dict[str, dict[str, str]] = {}
        self.evicted = 0

    def look(self, fields: Mapping[str, Any]) -> tuple[str, tuple[Similar, ...]]:
        """The fingerprint of an incident with these fields, and at most three earlier ones like it, the most similar first, among equals the latest."""
        vector = vector_of(fields)
        found = [(similarity(vector, past.vector), past.ended_at, past) for past in self._past.values() if past.incident != fields["incident"]]
        found.sort(key=lambda row: row[:2], reverse=True)
        return fingerprint_of(fields), tuple(past.similar(alike) for alike, _, past in found[:MOST_SIMILAR] if alike >= LEAST_SIMILAR)

    def remember(self, fields: Mapping[str, Any]) -> None:
        """Keep an incident that is over; of too many the oldest goes."""
        name = fields["incident"]
        self._past[name] = Past(name, vector_of(fields), fields["since"], fields["ended_at"], self._said.pop(name, {}))
        if len(self._past) > MOST:
            del self._past[next(iter(self._past))]
            self.evicted += 1

    def annotate(self, event: IncidentAnnotated) -> None:
        """What a person says of an incident, open or over; said again it replaces what was said before."""
        said = {name: text for name in ("cause", "resolution", "note") if (text := getattr(event, name)) is not None}
        past = self._past.get(event.incident)
        if past is not None:
            past.said |= said
            return
        self._said[event.incident] = self._said.get(event.incident, {}) | said
        if len(self._said) > MOST:
            del self._said[next(iter(self._said))]

    def __contains__(self, incident: str) -> bool:
        return incident in self._past

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        past = [[one.incident, one.vector, one.since, one.ended_at, one.said] for one in self._past.values()]
        return {"past": past, "said": self._said, "evicted": self.evicted}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Recurrence":
        """What left this snapshot."""
        recurrence = cls()
        recurrence._past = {row[0]: Past(*row) for row in state["past"]}
        recurrence._said, recurrence.evicted = state["said"], state["evicted"]
        return recurrence


def fingerprint_of(fields: Mapping[str, Any]) -> str:
    """What an incident looks like as a short digest: kinds and metrics of its alerts, whether they are of tracks, hosts or the scope, and what is suspected.

    Neither times nor names are in it, nor how many entities are concerned; as alerts join it changes.
    """
    shapes = sorted({shape for shape, _ in _places(fields)}) + [f"suspect/{one.kind}" for one in _suspects(fields)]
    return hashlib.blake2b("\n".join(shapes).encode("utf-8", "replace"), digest_size=6).hexdigest()


def vector_of(fields: Mapping[str, Any]) -> Vector:
    """What an incident looks like as weights by feature: of every alert its shape (1) and its shape at its place (1.5), of the first suspect half of that."""
    vector: Vector = {}
    rows = [(shape, place, 1.0) for shape, place in _places(fields)]
    rows += [(f"suspect/{one.kind}", one.name, SUSPECT) for one in _suspects(fields)]
    for shape, place, weight in rows:
        vector[shape] = vector.get(shape, 0.0) + SHAPE * weight
        vector[f"{shape}:{place}"] = vector.get(f"{shape}:{place}", 0.0) + PLACE * weight
    return dict(sorted(vector.items()))


def similarity(now: Mapping[str, float], then: Mapping[str, float]) -> float:
    """Tversky's index, 0..1: shared ÷ (shared + only now + 0.25 · only then), since what the earlier one had may still come.

    >>> similarity({"a": 1.0}, {"a": 1.0}), similarity({"a": 1.0}, {"b": 1.0}), similarity({"a": 1.0}, {"a": 1.0, "b": 4.0})
    (1.0, 0.0, 0.5)
    """
    shared, only_now, only_then = 0.0, 0.0, 0.0
    for name in sorted({*now, *then}):
        one, other = now.get(name, 0.0), then.get(name, 0.0)
        shared += min(one, other)
        only_now += max(one - other, 0.0)
        only_then += max(other - one, 0.0)
    return shared / (shared + only_now + YET_TO_COME * only_then) if shared else 0.0


def _shape(alert: IncidentAlert) -> str:
    role = "track" if alert.track is not None else "host" if alert.host is not None else "scope"
    return f"{alert.kind}/{alert.metric or '-'}/{role}"


def _places(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The shape of every alert and the name of its place; of what other scopes reported, which comes without alerts, the tracks and hosts."""
    alerts: Sequence[IncidentAlert] = fields["alerts"]
    if alerts:
        return [(_shape(alert), alert.track or alert.host or "") for alert in alerts]
    return [(f"reported/{role}", name) for role in ("track", "host") for name in fields.get(f"{role}s", ())]


def _suspects(fields: Mapping[str, Any]) -> Sequence[Suspect]:
    suspects: Sequence[Suspect] = fields.get("suspects", ())
    return suspects[:1]


__all__ = ["LEAST_SIMILAR", "MOST_SIMILAR", "Recurrence", "fingerprint_of", "similarity", "vector_of"]
