"""Which events a webhook is told of: by kind, scope and severity, muted ones not; what was told of is told to its end."""

from collections import OrderedDict
from fnmatch import fnmatchcase
from typing import NamedTuple

from pointsman.schemas import AlertRaised, AlertResolved, IncidentOpened, IncidentResolved, IncidentUpdated
from pointsman.schemas.webhooks import WebhookSettings

from .incident_members import opens_incidents
from .webhook_message import Tellable, subject

MOST_OPEN = 10_000
_SEVERITIES = ("info", "warning", "critical")


class Open(NamedTuple):
    """What was told last of an alert or incident that has not ended, and the newest that may be told."""

    told: Tellable | None = None
    newest: Tellable | None = None


class Choice:
    """A fold over events in their order: the same events give the same choice, however often they are read."""

    def __init__(self, settings: WebhookSettings, most: int = MOST_OPEN) -> None:
        self._settings = settings
        self._most = most
        self._open: OrderedDict[tuple[str, str, str], Open] = OrderedDict()

    def add(self, event: Tellable) -> bool:
        """Whether it is told; an end is where its beginning was, or where that is not known and it may be told by itself."""
        if not self._concerns(event):
            return False
        key, is_loud = subject(event), self._is_loud(event)
        known = self._open.pop(key, None)
        if isinstance(event, AlertResolved | IncidentResolved):
            return known.told is not None if known is not None else is_loud
        before = known or Open()
        is_told = is_loud and self._is_news(before.told, event)
        self._open[key] = Open(event if is_told else before.told, event if is_loud else before.newest)
        if len(self._open) > self._most:
            self._open.popitem(last=False)
        return is_told

    def standing(self) -> list[Tellable]:
        """The newest that may be told of each alert and incident that has not ended, in the order of their times."""
        return sorted((one.newest for one in self._open.values() if one.newest is not None), key=lambda event: event.occurred_at)

    def _is_news(self, told: Tellable | None, event: Tellable) -> bool:
        if self._settings.updates == "all" or not isinstance(event, IncidentUpdated) or not isinstance(told, IncidentOpened | IncidentUpdated):
            return True
        return _gist(told) != _gist(event)

    def _concerns(self, event: Tellable) -> bool:
        kind = ("members" if opens_incidents(event) else "alerts") if isinstance(event, AlertRaised | AlertResolved) else "incidents"
        return kind in self._settings.events and any(fnmatchcase(event.scope, pattern) for pattern in self._settings.scopes)

    def _is_loud(self, event: Tellable) -> bool:
        return event.muted is None and _SEVERITIES.index(event.severity) >= _SEVERITIES.index(self._settings.min_severity)


def _gist(incident: IncidentOpened | IncidentUpdated) -> tuple[object, ...]:
    """What a person acts on."""
    first = incident.suspects[0] if incident.suspects else None
    return incident.severity, first and (first.kind, first.name), incident.acknowledged_by


__all__ = ["Choice"]
