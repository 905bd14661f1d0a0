"""The signals of one scope: what watches its series, keeps its objectives, groups alerts into incidents, and follows what people say of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from pointsman.models.deployments import Deployments
from pointsman.models.findings import Change, Told
from pointsman.models.incident_reports import IncidentReports
from pointsman.models.incidents import Incidents
from pointsman.models.join import Attempt
from pointsman.models.suspect_places import Seen
from pointsman.models.watch import Watch
from pointsman.schemas import (
    AlertAcknowledged,
    AlertRaised,
    AlertResolved,
    AlertSilenced,
    IncidentAnnotated,
    IncidentReported,
    MaintenanceScheduled,
    OptimizationConfig,
    QualityAssessed,
    RequestCompleted,
    RequestStarted,
    ResourceSampled,
)

Control = AlertAcknowledged | AlertSilenced | MaintenanceScheduled | IncidentAnnotated | IncidentReported


class Signals:
    """Handed everything that happens in a scope, in order; what it returns is emitted at once, and every alert that is emitted comes back by `heard`."""

    def __init__(self, config: OptimizationConfig) -> None:
        self._settings = config.signals
        self.incidents = Incidents(config)
        self.reports = IncidentReports(config, self.incidents.next_name)
        self.deployments = Deployments()
        self.watch = Watch(config)

    def configure(self, config: OptimizationConfig) -> None:
        """From here on this configuration."""
        self._settings = config.signals
        self.incidents.configure(config)
        self.reports.configure(config)
        self.watch.configure(config)

    # what happens

    def advance(self, before: float, now: float) -> list[Told]:
        """The clock moves."""
        return flat((self.watch.advance(now), self.incidents.advance(now, self._look)))

    def started(self, event: RequestStarted, now: float) -> list[Told]:
        """A request starts."""
        for change in self.deployments.observe(event.track, event.attributes, now) if event.track is not None else ():
            self.incidents.change(change)
        return []

    def completed(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> list[Told]:
        """An attempt ends; `attempt` is None where nothing is known of its start."""
        if not self._settings.enabled:
            return []
        told = self.watch.completed(event, attempt, now)
        recent = self.watch.recent()
        if recent and (recent[-1].request_id, recent[-1].track) == (event.request_id, event.track):
            self.incidents.judged(recent[-1])
        return told

    def assessed(self, event: QualityAssessed, now: float) -> list[Told]:
        """A judgement of an answer comes after its outcome."""
        return self.watch.assessed(event, now) if self._settings.enabled else []

    def sampled(self, event: ResourceSampled, now: float) -> list[Told]:
        """A host reports."""
        return []

    def closed(self, track: str, end: float, fields: Mapping[str, Any]) -> list[Told]:
        """A window of a track closes, with the fields of `window.closed/1`."""
        return []

    def changed(self, change: Change) -> None:
        """Something that may be the cause of what follows."""
        self.incidents.change(change)

    def told(self, event: Control) -> list[Told]:
        """What people, or other scopes, say of alerts and incidents."""
        if isinstance(event, IncidentReported):
            return self.reports.told(event)
        if isinstance(event, AlertAcknowledged):
            return [*self.incidents.acknowledge(event), *self.reports.acknowledge(event.incident, event.by or event.source)]
        return []

    # alerts

    def muted(self, fields: Mapping[str, Any], now: float) -> str | None:
        """Whether nobody is to be told of an alert with these fields: `silenced`, in `maintenance`, or None."""
        return None

    def heard(self, alert: AlertRaised | AlertResolved) -> list[Told]:
        """An alert of any kind was emitted."""
        return self.incidents.hear(alert, self._look) if self._settings.enabled else []

    def _look(self, now: float) -> Seen:
        return Seen(self.watch.recent(), self.watch.deviations(now))

    # time and state

    def next_due(self) -> float | None:
        """When something is due that only time brings."""
        return self.incidents.next_due()

    def status(self) -> dict[str, Any]:
        """What a person wants to know, as plain values."""
        return {"watch": self.watch.status(), "incidents": [*self.incidents.status(), *self.reports.status()]}

    def snapshot(self) -> dict[str, Any]:
        """The state in named parts, as plain values."""
        own = {"incidents": self.incidents.snapshot(), "reports": self.reports.snapshot(), "deployments": self.deployments.snapshot()}
        return self.watch.snapshot() | own

    def restore(self, parts: Mapping[str, Any]) -> None:
        """Take up the parts of a snapshot."""
        self.watch.restore(parts)
        self.incidents.restore(parts["incidents"])
        self.reports.restore(parts["reports"])
        self.deployments.restore(parts["deployments"])


def flat(found: Iterable[Iterable[Told]]) -> list[Told]:
    """What several parts say, in their order."""
    return [one for part in found for one in part]


__all__ = ["Control", "Signals", "flat"]
