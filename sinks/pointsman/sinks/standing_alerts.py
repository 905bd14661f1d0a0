"""Which alerts stand, from a stream of raises and resolves that may repeat what was heard before."""

from collections import OrderedDict
from dataclasses import dataclass

from pointsman.schemas import AlertRaised, AlertResolved, Event, IncidentOpened, IncidentResolved, IncidentUpdated

MOST_ALERTS = 10_000

Key = tuple[str, str]
Incident = IncidentOpened | IncidentUpdated | IncidentResolved


@dataclass(frozen=True, slots=True)
class Change:
    """An alert or an incident that stands from now on, or that stood until `ended_at`."""

    alert: AlertRaised | Incident
    ended_at: float | None = None


class StandingAlerts:
    """The alerts of all scopes by scope and fingerprint; beyond `most`, the one heard of longest ago goes, and is counted.

    One that is muted, silenced or in maintenance, stands for nobody: it ends when it is muted, and stands again when it is told again without.

    >>> alert = AlertRaised(event_id="chat/7/0", scope="chat", occurred_at=1.7e9, caused_by="e", fingerprint="gpu/cpu_percent", kind="constraint",
    ...                     severity="warning", subject="gpu", observed=95.0, expected=80.0, since=1.7e9)
    >>> standing = StandingAlerts()
    >>> len(standing.add(alert)), len(standing.add(alert)), len(standing)
    (1, 0, 1)
    """

    def __init__(self, most: int = MOST_ALERTS) -> None:
        self._most = most
        self._known: OrderedDict[Key, tuple[tuple[int, int], AlertRaised | None]] = OrderedDict()
        self._standing = 0
        self.evicted = 0

    def __len__(self) -> int:
        return self._standing

    def alerts(self) -> list[AlertRaised]:
        """Those that stand, the one heard of longest ago first."""
        return [alert for _, alert in self._known.values() if alert is not None]

    def add(self, event: Event) -> list[Change]:
        """Take in one output event, and say what changed; what is older than what is known of its alert, or no alert, changes nothing."""
        if not isinstance(event, AlertRaised | AlertResolved):
            return []
        key, order = (event.scope, event.fingerprint), place(event.event_id)
        at, before = self._known.get(key, ((-1, -1), None))
        if order <= at:
            return []
        alert = AlertRaised(**event.model_dump(exclude={"type"})) if isinstance(event, AlertResolved) else event
        is_raised = alert is event and event.muted is None
        self._standing += is_raised - (before is not None)
        self._known[key] = (order, alert if is_raised else None)
        self._known.move_to_end(key)
        self._evict()
        if not is_raised:
            return [Change(before or alert, event.occurred_at)] if before is not None or event.muted is None else []
        moved = before is not None and (before.severity, before.kind, before.subject) != (alert.severity, alert.kind, alert.subject)
        return [*([Change(before, event.occurred_at)] if before is not None and moved else []), Change(alert)]

    def _evict(self) -> None:
        if len(self._known) > self._most:
            _, (_, alert) = self._known.popitem(last=False)
            self._standing -= alert is not None
            self.evicted += alert is not None


def place(event_id: str) -> tuple[int, int]:
    """Where an output stands in its scope, by its id: the scope's sequence, and the ordinal.

    >>> place("a/b/12/0")
    (12, 0)
    """
    _, sequence, ordinal = event_id.rsplit("/", 2)
    return int(sequence), int(ordinal)


__all__ = ["Change", "StandingAlerts", "place"]
