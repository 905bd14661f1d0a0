"""The signals of one scope: what watches its series, keeps its objectives, groups alerts into incidents, and follows what people say of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from pointsman.models.burn import Objectives
from pointsman.models.context import Context
from pointsman.models.controls import Controls
from pointsman.models.deployments import Deployments
from pointsman.models.findings import Change, Told
from pointsman.models.incident_reports import IncidentReports
from pointsman.models.incidents import Incidents
from pointsman.models.join import Attempt
from pointsman.models.paths import Paths
from pointsman.models.precursors import Precursors
from pointsman.models.recurrence import Recurrence
from pointsman.models.suspect_places import Seen
from pointsman.models.watch import Watch
from pointsman.schemas import (
    AlertAcknowledged,
    AlertRaised,
    AlertResolved,
    AlertSilenced,
    IncidentAnnotated,
    IncidentOpened,
    IncidentReported,
    IncidentResolved,
    IncidentUpdated,
    MaintenanceScheduled,
    OptimizationConfig,
    QualityAssessed,
    Reason,
    RequestCompleted,
    RequestStarted,
    ResourceSampled,
)

Control = AlertAcknowledged | AlertSilenced | MaintenanceScheduled | IncidentAnnotated | IncidentReported
NOTICE_S = 10.0


class Signals:
    """Handed everything that happens in a scope, in order; what it returns is emitted at once, and every alert that is emitted comes back by `heard`."""

    def __init__(self, config: OptimizationConfig) -> None:
        self._settings = config.signals
        self.controls = Controls()
        self.recurrence = Recurrence()
        self.precursors = Precursors()
        self.incidents = Incidents(config)
        self.reports = IncidentReports(config, self.incidents.next_name)
        self.deployments = Deployments()
        self.watch = Watch(config)
        self.objectives = Objectives(config)
        self.paths = Paths(config)

    def configure(self, config: OptimizationConfig, now: float) -> list[Told]:
        """From here on this configuration."""
        self._settings = config.signals
        self.incidents.configure(config)
        self.reports.configure(config)
        self.watch.configure(config)
        self.paths.configure(config)
        return self.objectives.configure(config, now)

    # what happens

    def advance(self, before: float, now: float) -> list[Told]:
        """The clock moves."""
        is_due = self.controls.is_due(now)
        rooms = (self.controls, self.watch, self.objectives, self.paths, self.precursors)
        said = flat((*(room.advance(now) for room in rooms), self._notices(before, now)))
        return [*said, *self._incidents(self.incidents.advance(now, self._look)), *(self._remarked() if is_due else ())]

    def started(self, event: RequestStarted, now: float) -> list[Told]:
        """A request starts."""
        for change in self.deployments.observe(event.track, event.attributes, now) if event.track is not None else ():
            self.incidents.change(change)
        if self._settings.enabled:
            self.watch.started(event, now)
        return []

    def arrived(self, track: str, now: float) -> None:
        """Where a request that had asked for its track went is known only at its end."""
        if self._settings.enabled:
            self.watch.arrived(track, now)

    def completed(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> list[Told]:
        """An attempt ends; `attempt` is None where nothing is known of its start."""
        told = self.objectives.completed(event, attempt.context.category if attempt is not None else None, now, is_joined=attempt is not None)
        if not self._settings.enabled or self.controls.is_maintained(event.track, None, now):
            return told
        self.paths.completed(event, attempt, now)
        told += self.watch.completed(event, attempt, now)
        recent = self.watch.recent()
        if recent and recent[-1].request_id == event.request_id:
            self.incidents.judged(recent[-1])
        return told

    def joined(self, event: RequestCompleted, context: Context, now: float) -> list[Told]:
        """The start of an attempt comes after its end, which was told by `completed`."""
        return self.objectives.joined(event, context.category, now)

    def lost(self, attempt: Attempt, now: float) -> list[Told]:
        """An attempt is given up: its end was not heard of in time."""
        return self.objectives.lost(attempt.track, attempt.context.category, now)

    def assessed(self, event: QualityAssessed, context: Context, now: float) -> list[Told]:
        """The quality of an attempt is judged after its end."""
        told = self.objectives.assessed(event.track, context.category, event.score, now)
        is_watched = self._settings.enabled and not self.controls.is_maintained(event.track, None, now)
        return told + (self.watch.assessed(event, now) if is_watched else [])

    def sampled(self, event: ResourceSampled, in_flight: int, now: float) -> list[Told]:
        """A host reports while so many requests run."""
        if not self._settings.enabled:
            return []
        is_maintained = self.controls.is_maintained(None, event.host, now)
        return self.watch.maintained(event.host, now) if is_maintained else self.watch.sampled(event, in_flight, now)

    def serves(self, host: str, tracks: Iterable[str], now: float) -> None:
        """A host serves these tracks."""
        self.paths.served(host, tracks, now)

    def closed(self, track: str, end: float, fields: Mapping[str, Any]) -> list[Told]:
        """A window of a track closes, with the fields of `window.closed/1`."""
        return []

    def changed(self, change: Change) -> None:
        """Something that may be the cause of what follows."""
        self.incidents.change(change)

    def told(self, event: Control) -> list[Told]:
        """What people, or other scopes, say of alerts and incidents."""
        if isinstance(event, IncidentReported):
            return self._incidents(self.reports.told(event))
        if isinstance(event, IncidentAnnotated):
            self.recurrence.annotate(event)
            return []
        said = self.controls.told(event)
        if isinstance(event, AlertAcknowledged):
            told = [*self.incidents.acknowledge(event), *self.reports.acknowledge(event.incident, event.by or event.source)]
            return [*said, *self._incidents(told)]
        return [*said, *self._remarked()]

    def refusal(self, event: Control) -> Reason | None:
        """Why what is said can mean nothing here, if so."""
        if isinstance(event, IncidentReported):
            return None
        if isinstance(event, IncidentAnnotated | AlertAcknowledged) and event.incident is not None:
            is_known = event.incident in self.incidents.open or event.incident in self.reports.open
            if is_known or (isinstance(event, IncidentAnnotated) and event.incident in self.recurrence):
                return None
            which = "none that is open" if isinstance(event, AlertAcknowledged) else "none that is open, or among the last 64"
            return Reason(code="unknown_incident", message=f"{event.incident!r} is no incident of this scope, or {which}: `pointsman incidents` lists them")
        return self.controls.refusal(event) if not isinstance(event, IncidentAnnotated) else None

    # alerts

    def muted(self, fields: Mapping[str, Any], now: float) -> str | None:
        """Whether nobody is to be told of an alert, or an incident, with these fields: `silenced`, in `maintenance`, or None."""
        return self.controls.muted(fields, now)

    def marks(self, fields: Mapping[str, Any], now: float, *, is_end: bool) -> dict[str, Any]:
        """What an alert that is emitted says of people: whether they are to be told, and who looks after it."""
        return self.controls.marks(fields, now, is_end=is_end)

    def heard(self, alert: AlertRaised | AlertResolved) -> list[Told]:
        """An alert of any kind was emitted; one that is only told again, with other marks, is no news."""
        if not self.controls.heard(alert) or not self._settings.enabled:
            return []
        return [*self.precursors.heard(alert, self.controls.clock), *self._incidents(self.incidents.hear(alert, self._look))]

    def _notices(self, before: float, now: float) -> list[Told]:
        """Every ten seconds: the series that are off, mildly or not, but for those that are worked on, may be forerunners."""
        if now // NOTICE_S == before // NOTICE_S:
            return []
        off = [one for one in self.watch.deviations(now) if not self.controls.is_maintained(one.track, one.host, now)]
        return self.precursors.deviate(off, now)

    def _look(self, now: float) -> Seen:
        return Seen(self.watch.recent(), [*self.watch.deviations(now), *self.paths.deviations()], self.paths.edges())

    # incidents

    def _incidents(self, told: Iterable[Told]) -> list[Told]:
        """Incidents with their fingerprint, the earlier ones like them, and whether people are to be told; what follows for forerunners comes after them."""
        found: list[Told] = []
        for model, fields in told:
            fingerprint, similar = self.recurrence.look(fields)
            muted = self.controls.mark_incident(fields, is_end=model is IncidentResolved)
            found.append((model, {**fields, "fingerprint": fingerprint, "similar": similar, "muted": muted}))
            if model is IncidentOpened:
                found += self.precursors.opened(fields["incident"], fingerprint, self.controls.clock)
            elif model is IncidentResolved:
                self.precursors.closed(fields["incident"])
                self.recurrence.remember(fields)
        return found

    def _remarked(self) -> list[Told]:
        """The open incidents of which people are from now on to be told, or not to be told."""
        every = (*self.incidents.open.values(), *self.reports.open.values())
        changed = [fields for one in every if self.controls.is_remarked(fields := one.fields())]
        return self._incidents((IncidentUpdated, {**fields, "reason": "who is told of it has changed"}) for fields in changed)

    # time and state

    def next_due(self) -> float | None:
        """When something is due that only time brings."""
        parts = (self.controls, self.precursors, self.incidents, self.objectives, self.paths)
        return min((moment for part in parts if (moment := part.next_due()) is not None), default=None)

    def status(self) -> dict[str, Any]:
        """What a person wants to know, as plain values."""
        return {
            "incidents": [*self.incidents.status(), *self.reports.status()],
            "controls": self.controls.status(),
            "forerunners": self.precursors.status(),
            "watch": self.watch.status(),
            **self.paths.status(),
        }

    def snapshot(self) -> dict[str, Any]:
        """The state in named parts, as plain values."""
        return {
            "incidents": self.incidents.snapshot(),
            "reports": self.reports.snapshot(),
            "deployments": self.deployments.snapshot(),
            "controls": self.controls.snapshot(),
            "recurrence": self.recurrence.snapshot(),
            "precursors": self.precursors.snapshot(),
            **self.objectives.snapshot(),
            **{f"paths {name}": part for name, part in self.paths.snapshot().items()},
            **self.watch.snapshot(),
        }

    def restore(self, parts: Mapping[str, Any]) -> None:
        """Take up the parts of a snapshot."""
        self.incidents.restore(parts["incidents"])
        self.reports.restore(parts["reports"])
        self.deployments.restore(parts["deployments"])
        self.controls = Controls.restore(parts["controls"])
        self.recurrence = Recurrence.restore(parts["recurrence"])
        self.precursors = Precursors.restore(parts["precursors"])
        self.watch.restore(parts)
        self.objectives.restore(parts)
        self.paths.restore({name.removeprefix("paths "): part for name, part in parts.items() if name.startswith("paths ")})


def flat(found: Iterable[Iterable[Told]]) -> list[Told]:
    """What several parts say, in their order."""
    return [one for part in found for one in part]


__all__ = ["Control", "Signals", "flat"]
