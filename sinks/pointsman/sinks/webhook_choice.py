"""Which events a webhook is told of: by kind, scope and severity, muted ones not; what was told of is told to its end."""

from collections import OrderedDict
from fnmatch import fnmatchcase

from pointsman.schemas import AlertRaised, AlertResolved, IncidentResolved
from pointsman.schemas.webhooks import WebhookSettings

from .webhook_message import Tellable, subject

MOST_OPEN = 10_000
_SEVERITIES = ("info", "warning", "critical")


def opens_incidents(alert: AlertRaised | AlertResolved) -> bool:
    """Whether an alert is of those that open an incident, which tells of it."""
    return alert.kind in ("anomaly", "slo_burn") or (alert.kind == "drift" and alert.metric is not None)


class Choice:
    """A fold over events in their order: the same events give the same choice, however often they are read."""

    def __init__(self, settings: WebhookSettings, most: int = MOST_OPEN) -> None:
        self._settings = settings
        self._most = most
        self._open: OrderedDict[tuple[str, str, str], Tellable | None] = OrderedDict()

    def add(self, event: Tellable) -> bool:
        """Whether it is told; an end is where its beginning was, or where that is not known and it may be told by itself."""
        if not self._concerns(event):
            return False
        key, is_loud = subject(event), self._is_loud(event)
        if isinstance(event, AlertResolved | IncidentResolved):
            is_known = key in self._open
            return self._open.pop(key, None) is not None if is_known else is_loud
        self._open[key] = event if is_loud else self._open.get(key)
        self._open.move_to_end(key)
        if len(self._open) > self._most:
            self._open.popitem(last=False)
        return is_loud

    def standing(self) -> list[Tellable]:
        """The newest that would be told of each alert and incident that has not ended, in the order of their times."""
        return sorted((event for event in self._open.values() if event is not None), key=lambda event: event.occurred_at)

    def _concerns(self, event: Tellable) -> bool:
        kind = ("members" if opens_incidents(event) else "alerts") if isinstance(event, AlertRaised | AlertResolved) else "incidents"
        return kind in self._settings.events and any(fnmatchcase(event.scope, pattern) for pattern in self._settings.scopes)

    def _is_loud(self, event: Tellable) -> bool:
        return event.muted is None and _SEVERITIES.index(event.severity) >= _SEVERITIES.index(self._settings.min_severity)


__all__ = ["Choice", "opens_incidents"]
