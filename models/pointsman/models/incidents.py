"""The incidents of a scope: alerts that belong together are one, opened at once, told of where there is news, over when none of its alerts stands."""

from collections.abc import Callable, Mapping
from typing import Any

from pointsman.schemas import (
    AlertAcknowledged,
    AlertRaised,
    AlertResolved,
    IncidentOpened,
    IncidentResolved,
    IncidentUpdated,
    OptimizationConfig,
)

from .contrast import usual_rates
from .findings import Change, Judged, Told
from .incident import Incident, common_value, opens
from .incident_relations import Relations
from .suspect_changes import taken_back
from .suspect_places import Case, Seen
from .suspects import rank

OWN_MODELS = ("/coverage", "/load/unknown")
MOST_OPEN = 16
MOST_CHANGES = 64
FIRST_REVIEW_S, REVIEW_S = 30.0, 60.0
SETTLED_S, SETTLED_REVIEW_S = 600.0, 300.0
GROWN, MORE = 2.0, 10
Look = Callable[[float], Seen]


class Incidents:
    """Hears every alert and every outcome. `look` gives what is seen of the scope at the moment, and is asked only where it is needed."""

    def __init__(self, config: OptimizationConfig) -> None:
        self.configure(config)
        self.count = 0
        self.evicted = 0
        self.open: dict[str, Incident] = {}
        self._changes: list[Change] = []

    def configure(self, config: OptimizationConfig) -> None:
        """From here on this configuration."""
        self._group_s, self._resolve_s = config.signals.group_s, config.signals.resolve_s
        self._relations = Relations(config)

    # what happens

    def change(self, change: Change) -> None:
        """Something that may be the cause of what follows."""
        self._changes = [*self._changes[-MOST_CHANGES + 1 :], change]

    def judged(self, judged: Judged) -> None:
        """An outcome beside what is usual."""
        for incident in self.open.values():
            incident.observe(judged, self._relations)

    def hear(self, alert: AlertRaised | AlertResolved, look: Look) -> list[Told]:
        """An alert was raised or is over; those in maintenance, and those of our own models, belong to no incident."""
        if isinstance(alert, AlertResolved):
            for one in self.open.values():
                one.resolve(alert.fingerprint, alert.occurred_at)
            return []
        if alert.muted == "maintenance" or _is_of_own_models(alert):
            return []
        seen = look(alert.occurred_at)
        incident = self._home(alert, seen)
        if incident is None:
            return self._opened(alert, seen) if opens(alert) else []
        is_new = alert.fingerprint not in incident.alerts
        incident.take(alert)
        if not is_new or not opens(alert):
            return []
        incident.reasons.append(f"{alert.fingerprint} joined")
        incident.recount(seen.recent, self._relations)
        return self._reviewed(incident, seen, alert.occurred_at)

    def acknowledge(self, event: AlertAcknowledged) -> list[Told]:
        """Somebody looks after an incident, or after an alert of it."""
        told = []
        for incident in self.open.values():
            if event.incident == incident.name or event.fingerprint in incident.alerts:
                incident.acknowledged_by = event.by or event.source
                incident.reasons.append(f"acknowledged by {incident.acknowledged_by}")
                told.append(self._updated(incident, event.occurred_at))
        return told

    # time

    def next_due(self) -> float | None:
        """When an incident is to be looked at again, or is over."""
        return min((self._due(incident) for incident in self.open.values()), default=None)

    def advance(self, now: float, look: Look) -> list[Told]:
        """What is due: reviews, and incidents that are over."""
        told: list[Told] = []
        for incident in [one for one in self.open.values() if self._due(one) <= now]:
            ended = incident.ended_at
            if ended is not None and ended + self._resolve_s <= now:
                told.append(self._over(incident, ended))
            else:
                told += self._reviewed(incident, look(now), now)
        return told

    def _due(self, incident: Incident) -> float:
        ended = incident.ended_at
        return incident.review_at if ended is None else ended + self._resolve_s

    # one incident

    def _home(self, alert: AlertRaised, seen: Seen) -> Incident | None:
        """The open incident that an alert belongs to, the closest one, among equals the one with the latest news."""
        found = [(one.closeness(alert, self._relations, seen.calls, self._group_s), one.news_at, one) for one in self.open.values()]
        close, _, home = max(found, key=lambda row: row[:2], default=(0, 0.0, None))
        if close or not self.open:
            return home if close else None
        value = common_value(alert, seen.recent)
        recent = [one for one in self.open.values() if alert.occurred_at - one.news_at <= self._group_s and one.ended_at is None]
        return next((one for one in recent if one.shares_value(value)), None)

    def _opened(self, alert: AlertRaised, seen: Seen) -> list[Told]:
        now = alert.occurred_at
        told: list[Told] = []
        if len(self.open) >= MOST_OPEN:
            self.evicted += 1
            oldest = min(self.open.values(), key=lambda one: (one.news_at, one.opened_at))
            told.append(self._over(oldest, oldest.ended_at or now))
        incident = Incident(self.next_name(), now, alert.since, alert.severity, review_at=now + FIRST_REVIEW_S, said_at=now)
        incident.take(alert)
        incident.usual = usual_rates(seen.recent, alert.since)
        for judged in seen.recent:
            incident.observe(judged, self._relations)
        self._look_into(incident, seen, now)
        incident.said_requests = incident.blast.concerned
        self.open[incident.name] = incident
        return [*told, (IncidentOpened, incident.fields())]

    def next_name(self) -> str:
        """The name of the scope's next incident."""
        self.count += 1
        return f"incident-{self.count}"

    def _look_into(self, incident: Incident, seen: Seen, now: float) -> None:
        """Rank anew; what is another incident's is not this one's cause."""
        elsewhere = {key for one in self.open.values() if one is not incident for key in one.standing()} - {*incident.standing()}
        own = seen._replace(deviations=[one for one in seen.deviations if (one.track, one.host, one.metric) not in elsewhere])
        case = Case(incident.onset, now, [*incident.alerts.values()], incident.usual)
        incident.suspect(tuple(rank(case, own, self._changes, self._relations)), now)
        incident.judge()

    def _reviewed(self, incident: Incident, seen: Seen, now: float) -> list[Told]:
        """Look again; told where there is news."""
        order, severity = incident.leading(), incident.severity
        self._look_into(incident, seen, now)
        if incident.leading() != order:
            incident.reasons.append("the suspects are others")
        if incident.severity != severity:
            incident.reasons.append(f"it is {incident.severity}")
        if incident.blast.concerned >= GROWN * incident.said_requests + MORE:
            incident.reasons.append("more requests are concerned")
        incident.review_at = now + (REVIEW_S if now - incident.news_at < SETTLED_S else SETTLED_REVIEW_S)
        return [self._updated(incident, now)] if incident.reasons else []

    def _updated(self, incident: Incident, now: float) -> Told:
        reason = "; ".join(dict.fromkeys(incident.reasons))
        incident.reasons = []
        incident.said_at, incident.said_requests = now, incident.blast.concerned
        return IncidentUpdated, {**incident.fields(), "reason": reason}

    def _over(self, incident: Incident, ended: float) -> Told:
        del self.open[incident.name]
        incident.suspects = taken_back(incident.suspects, self._changes, ended)
        return IncidentResolved, {**incident.fields(), "ended_at": ended}

    # state

    def status(self) -> list[dict[str, Any]]:
        """The open ones, the first opened first: the fields of their events, as plain values."""
        found = []
        for incident in self.open.values():
            fields = incident.fields()
            plain = {name: [one.model_dump() for one in fields[name]] for name in ("alerts", "suspects")}
            found.append(fields | plain)
        return found

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "count": self.count,
            "evicted": self.evicted,
            "changes": [list(change) for change in self._changes],
            "open": [incident.snapshot() for incident in self.open.values()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what left this snapshot."""
        self.count, self.evicted = state["count"], state["evicted"]
        self._changes = [Change(*change) for change in state["changes"]]
        opened = [Incident.restore(one) for one in state["open"]]
        self.open = {incident.name: incident for incident in opened}


def _is_of_own_models(alert: AlertRaised) -> bool:
    """Whether an alert is of how well our own models know the scope: that is of no metric of it."""
    return alert.fingerprint.endswith(OWN_MODELS) or (alert.kind == "drift" and alert.metric is None)


__all__ = ["Incidents", "Look"]
