"""Which events a webhook is told of: by kind, scope and severity, muted ones not; what was told of is told to its end.

An alert waits while an open incident tells of it, and where it flaps; it is told after all where it still stands when that is over.
"""

from collections import OrderedDict
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from pointsman.schemas import AlertRaised, AlertResolved, IncidentOpened, IncidentResolved, IncidentUpdated
from pointsman.schemas.webhooks import WebhookSettings

from .incident_log import SEVERITIES
from .incident_members import opens_incidents
from .webhook_message import Tellable, subject

MOST_OPEN = 10_000
Subject = tuple[str, str, str]


class Open(NamedTuple):
    """What was told last of an alert or incident that has not ended, and the newest that may be told."""

    told: Tellable | None = None
    newest: Tellable | None = None


class Choice:
    """A fold over events in their order: the same events give the same choice, however often they are read."""

    def __init__(self, settings: WebhookSettings, most: int = MOST_OPEN) -> None:
        self._settings = settings
        self._most = most
        self._open: OrderedDict[Subject, Open] = OrderedDict()
        self._waiting: OrderedDict[Subject, None] = OrderedDict()
        self._told: OrderedDict[Subject, AlertRaised] = OrderedDict()

    def add(self, event: Tellable) -> list[Tellable]:
        """What is told: the event or not, and alerts of its scope that waited and are due; an end is where its beginning was, or where that is not known."""
        if not self._concerns(event):
            return []
        is_told = self._end(event) if isinstance(event, AlertResolved | IncidentResolved) else self._stand(event)
        return [*([event] if is_told else []), *self._due(event.scope, event.occurred_at)]

    def standing(self) -> list[Tellable]:
        """The newest that may be told of each alert and incident that has not ended and does not wait, in the order of their times."""
        found = (one.newest for key, one in self._open.items() if one.newest is not None and key not in self._waiting)
        return sorted(found, key=lambda event: event.occurred_at)

    def _end(self, event: AlertResolved | IncidentResolved) -> bool:
        key = subject(event)
        known = self._open.pop(key, None)
        self._waiting.pop(key, None)
        return known.told is not None if known is not None else self._is_loud(event)

    def _stand(self, event: AlertRaised | IncidentOpened | IncidentUpdated) -> bool:
        key, is_loud = subject(event), self._is_loud(event)
        before = self._open.pop(key, Open())
        self._waiting.pop(key, None)
        is_told = is_loud and self._is_news(before.told, event)
        if is_told and isinstance(event, AlertRaised):
            waits = before.told is None and self._waits(event, event.occurred_at)
            is_told = not waits
            self._remember(key, event, waits=waits)
        self._open[key] = Open(event if is_told else before.told, event if is_loud else before.newest)
        if len(self._open) > self._most:
            self._waiting.pop(self._open.popitem(last=False)[0], None)
        return is_told

    def _remember(self, key: Subject, alert: AlertRaised, *, waits: bool) -> None:
        """Have an alert wait, or know of it that it was told now."""
        if waits:
            self._waiting[key] = None
            return
        self._told[key] = alert
        self._told.move_to_end(key)
        if len(self._told) > self._most:
            self._told.popitem(last=False)

    def _due(self, scope: str, now: float) -> Iterator[AlertRaised]:
        """Those of a scope that need not wait any longer, from now on told."""
        for key in [key for key in self._waiting if key[0] == scope]:
            alert = self._open[key].newest
            if isinstance(alert, AlertRaised) and not self._waits(alert, now):
                del self._waiting[key]
                self._open[key] = Open(alert, alert)
                self._remember(key, alert, waits=False)
                yield alert

    def _waits(self, alert: AlertRaised, now: float) -> bool:
        """Whether it was told lately, as severe, or an open incident that was told has it, its track or its host."""
        last = self._told.get(subject(alert))
        flaps = last is not None and now - last.occurred_at < self._settings.flapping_s and _rank(alert) <= _rank(last)
        return flaps or (not opens_incidents(alert) and any(_tells_of(incident, alert) for incident in self._incidents(alert.scope)))

    def _incidents(self, scope: str) -> Iterator[IncidentOpened | IncidentUpdated]:
        """Those of a scope that are open and were told."""
        return (one.told for key, one in self._open.items() if key[0] == scope and isinstance(one.told, IncidentOpened | IncidentUpdated))

    def _is_news(self, told: Tellable | None, event: Tellable) -> bool:
        if self._settings.updates == "all" or not isinstance(event, IncidentUpdated) or not isinstance(told, IncidentOpened | IncidentUpdated):
            return True
        return _gist(told) != _gist(event)

    def _concerns(self, event: Tellable) -> bool:
        kind = ("members" if opens_incidents(event) else "alerts") if isinstance(event, AlertRaised | AlertResolved) else "incidents"
        return kind in self._settings.events and any(fnmatchcase(event.scope, pattern) for pattern in self._settings.scopes)

    def _is_loud(self, event: Tellable) -> bool:
        return event.muted is None and SEVERITIES.index(event.severity) <= SEVERITIES.index(self._settings.min_severity)


def _rank(event: Tellable) -> int:
    return -SEVERITIES.index(event.severity)


def _tells_of(incident: IncidentOpened | IncidentUpdated, alert: AlertRaised) -> bool:
    is_within = alert.track in incident.tracks or alert.host in incident.hosts or any(one.fingerprint == alert.fingerprint for one in incident.alerts)
    return is_within and _rank(alert) <= _rank(incident)


def _gist(incident: IncidentOpened | IncidentUpdated) -> tuple[object, ...]:
    """What a person acts on."""
    first = incident.suspects[0] if incident.suspects else None
    return incident.severity, first and (first.kind, first.name), incident.acknowledged_by


__all__ = ["Choice"]
