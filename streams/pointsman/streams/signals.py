"""The signals of one scope: what watches its series, keeps its objectives, groups alerts into incidents, and follows what people say of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec

from pointsman.models.burn import Objectives
from pointsman.models.context import Context
from pointsman.models.controls import Controls
from pointsman.models.deployments import Deployments
from pointsman.models.findings import Change, Deviation, Told
from pointsman.models.guard import Guard
from pointsman.models.incident_reports import IncidentReports
from pointsman.models.incidents import Incidents
from pointsman.models.join import Attempt
from pointsman.models.paths import Paths
from pointsman.models.precursors import PREFIX, Precursors
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
INCIDENTS = (IncidentOpened, IncidentUpdated, IncidentResolved)
NOTICE_S = 10.0
Asked = ParamSpec("Asked")


class Signals:
    """Handed everything that happens in a scope, in order; what it returns is emitted at once, and every alert that is emitted comes back by `heard`.

    Every room is called through the guard: one that throws is begun anew, and the others, and the rest of the scope, go on.
    """

    def __init__(self, config: OptimizationConfig) -> None:
        self._config = config
        self.guard = Guard(self._renew)
        self.controls = Controls()
        self.recurrence = Recurrence()
        self.precursors = Precursors()
        self.incidents = Incidents(config)
        self.reports = IncidentReports(config, self._next_name)
        self.deployments = Deployments()
        self.watch = Watch(config)
        self.objectives = Objectives(config)
        self.paths = Paths(config)

    def configure(self, config: OptimizationConfig, now: float) -> list[Told]:
        """From here on this configuration."""
        self._config = config
        self.incidents.configure(config)
        self.reports.configure(config)
        self.watch.configure(config)
        self.paths.configure(config)
        return self._ask("objectives", self.objectives.configure, config, now)

    # the rooms

    def _ask(self, room: str, call: Callable[Asked, list[Told]], *args: Asked.args, **kwargs: Asked.kwargs) -> list[Told]:
        """What a room says, and what is to be told should it fail."""
        return [*self.guard.ask(room, [], call, *args, **kwargs), *self.guard.news()]

    def _renew(self, room: str) -> list[Told]:
        """Begin a room anew; what it had told of is over, since nobody would say so any more."""
        config, now, stood = self._config, self.controls.clock, self.controls.standing()
        if room == "watch":
            self.watch = Watch(config)
            return [
                (AlertResolved, fields)
                for fields in stood
                if fields["fingerprint"].endswith((f"{fields.get('metric')}/anomaly", f"{fields.get('metric')}/drift"))
            ]
        if room == "objectives":
            self.objectives = Objectives(config)
            return [(AlertResolved, fields) for fields in stood if fields["kind"] == "slo_burn"]
        if room == "precursors":
            self.precursors = Precursors()
            return [(AlertResolved, fields) for fields in stood if fields["fingerprint"].startswith(PREFIX)]
        if room == "incidents":
            before, self.incidents = self.incidents, Incidents(config)
            self.incidents.count = before.count
            return self._incidents(self.guard.ask("incidents", [], _over, before, now))
        if room == "controls":
            self.controls = Controls()
            self.controls.clock = now
        elif room == "recurrence":
            self.recurrence = Recurrence()
        elif room == "paths":
            self.paths = Paths(config)
        elif room == "reports":
            self.reports = IncidentReports(config, self._next_name)
        elif room == "deployments":
            self.deployments = Deployments()
        return []

    def _next_name(self) -> str:
        return self.incidents.next_name()

    # what happens

    def advance(self, before: float, now: float) -> list[Told]:
        """The clock moves."""
        said = self.guard.advance(now)
        is_due = self.controls.is_due(now)
        said += self._ask("controls", self.controls.advance, now)
        said += self._ask("watch", self.watch.advance, now)
        said += self._ask("objectives", self.objectives.advance, now)
        said += self._ask("paths", self.paths.advance, now)
        said += self._ask("precursors", self.precursors.advance, now)
        said += self._notices(before, now)
        said += self._incidents(self._ask("incidents", self.incidents.advance, now, self._look))
        return [*said, *self._remarked()] if is_due else said

    def started(self, event: RequestStarted, now: float) -> list[Told]:
        """A request starts."""
        for change in self.guard.ask("deployments", [], self.deployments.observe, event.track, event.attributes, now) if event.track is not None else ():
            self.incidents.change(change)
        if self._config.signals.enabled:
            self.guard.ask("watch", None, self.watch.started, event, now)
        return self.guard.news()

    def arrived(self, track: str, now: float) -> None:
        """Where a request that had asked for its track went is known only at its end."""
        if self._config.signals.enabled:
            self.guard.ask("watch", None, self.watch.arrived, track, now)

    def completed(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> list[Told]:
        """An attempt ends; `attempt` is None where nothing is known of its start."""
        category = attempt.context.category if attempt is not None else None
        told = self._ask("objectives", self.objectives.completed, event, category, now, is_joined=attempt is not None)
        if not self._config.signals.enabled or self._is_maintained(event.track, None, now):
            return told
        self.guard.ask("paths", None, self.paths.completed, event, attempt, now)
        told += self._ask("watch", self.watch.completed, event, attempt, now)
        recent = self.watch.recent()
        if recent and recent[-1].request_id == event.request_id:
            self.guard.ask("incidents", None, self.incidents.judged, recent[-1])
        return [*told, *self.guard.news()]

    def joined(self, event: RequestCompleted, context: Context, now: float) -> list[Told]:
        """The start of an attempt comes after its end, which was told by `completed`."""
        return self._ask("objectives", self.objectives.joined, event, context.category, now)

    def lost(self, attempt: Attempt, now: float) -> list[Told]:
        """An attempt is given up: its end was not heard of in time."""
        return self._ask("objectives", self.objectives.lost, attempt.track, attempt.context.category, now)

    def assessed(self, event: QualityAssessed, context: Context, now: float) -> list[Told]:
        """The quality of an attempt is judged after its end."""
        told = self._ask("objectives", self.objectives.assessed, event.track, context.category, event.score, now)
        is_watched = self._config.signals.enabled and not self._is_maintained(event.track, None, now)
        return told + (self._ask("watch", self.watch.assessed, event, now) if is_watched else [])

    def sampled(self, event: ResourceSampled, in_flight: int, now: float) -> list[Told]:
        """A host reports while so many requests run."""
        if not self._config.signals.enabled:
            return self.guard.news()
        if self._is_maintained(None, event.host, now):
            return self._ask("watch", self.watch.maintained, event.host, now)
        return self._ask("watch", self.watch.sampled, event, in_flight, now)

    def serves(self, host: str, tracks: Iterable[str], now: float) -> None:
        """A host serves these tracks."""
        self.guard.ask("paths", None, self.paths.served, host, tracks, now)

    def changed(self, change: Change) -> None:
        """Something that may be the cause of what follows."""
        self.incidents.change(change)

    def _is_maintained(self, track: str | None, host: str | None, now: float) -> bool:
        return self.guard.ask("controls", False, self.controls.is_maintained, track, host, now)

    def told(self, event: Control) -> list[Told]:
        """What people, or other scopes, say of alerts and incidents."""
        if isinstance(event, IncidentReported):
            return self._incidents(self._ask("reports", self.reports.told, event))
        if isinstance(event, IncidentAnnotated):
            self.guard.ask("recurrence", None, self.recurrence.annotate, event)
            return self.guard.news()
        said = self._ask("controls", self.controls.told, event)
        if isinstance(event, AlertAcknowledged):
            told = self._ask("incidents", self.incidents.acknowledge, event)
            told += self._ask("reports", self.reports.acknowledge, event.incident, event.by or event.source)
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

    def marks(self, fields: Mapping[str, Any], now: float, *, is_end: bool) -> dict[str, Any]:
        """What an alert that is emitted says of people: whether they are to be told, and who looks after it."""
        return self.guard.ask("controls", {}, self.controls.marks, fields, now, is_end=is_end)

    def heard(self, alert: AlertRaised | AlertResolved) -> list[Told]:
        """An alert of any kind was emitted; one that is only told again, with other marks, is no news."""
        is_news = self.guard.ask("controls", True, self.controls.heard, alert)
        if not is_news or not self._config.signals.enabled or self.guard.is_own(alert.fingerprint):
            return self.guard.news()
        said = self._ask("precursors", self.precursors.heard, alert, self.controls.clock)
        return [*said, *self._incidents(self._ask("incidents", self.incidents.hear, alert, self._look))]

    def _notices(self, before: float, now: float) -> list[Told]:
        """Every ten seconds: the series that are off, mildly or not, but for those that are worked on, may be forerunners."""
        if now // NOTICE_S == before // NOTICE_S:
            return []
        off = [one for one in self._deviations(now) if not self._is_maintained(one.track, one.host, now)]
        return self._ask("precursors", self.precursors.deviate, off, now)

    def _deviations(self, now: float) -> list[Deviation]:
        return self.guard.ask("watch", [], self.watch.deviations, now)

    def _look(self, now: float) -> Seen:
        stages = self.guard.ask("paths", [], self.paths.deviations)
        return Seen(self.watch.recent(), [*self._deviations(now), *stages], self.guard.ask("paths", [], self.paths.edges))

    # incidents

    def _incidents(self, told: Iterable[Told]) -> list[Told]:
        """Incidents with their fingerprint, the earlier ones like them, and whether people are to be told; what follows for forerunners comes after them."""
        found: list[Told] = []
        for model, fields in told:
            if model not in INCIDENTS:
                found.append((model, fields))
                continue
            fingerprint, similar = self.guard.ask("recurrence", (fields["fingerprint"], ()), self.recurrence.look, fields)
            muted = self.guard.ask("controls", None, self.controls.mark_incident, fields, is_end=model is IncidentResolved)
            found.append((model, {**fields, "fingerprint": fingerprint, "similar": similar, "muted": muted}))
            if model is IncidentOpened:
                found += self._ask("precursors", self.precursors.opened, fields["incident"], fingerprint, self.controls.clock)
            elif model is IncidentResolved:
                self.guard.ask("precursors", None, self.precursors.closed, fields["incident"])
                self.guard.ask("recurrence", None, self.recurrence.remember, fields)
        return [*found, *self.guard.news()]

    def _remarked(self) -> list[Told]:
        """The open incidents of which people are from now on to be told, or not to be told."""
        every = [*(one.fields() for one in self.incidents.open.values()), *(one.fields() for one in self.reports.open.values())]
        changed = [fields for fields in every if self.controls.is_remarked(fields)]
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
            "failures": self.guard.status(),
            **self.paths.status(),
        }

    def snapshot(self) -> dict[str, Any]:
        """The state in named parts, as plain values."""
        return {
            "guard": self.guard.snapshot(),
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
        self.guard.restore(parts["guard"])
        self.incidents.restore(parts["incidents"])
        self.reports.restore(parts["reports"])
        self.deployments.restore(parts["deployments"])
        self.controls = Controls.restore(parts["controls"])
        self.recurrence = Recurrence.restore(parts["recurrence"])
        self.precursors = Precursors.restore(parts["precursors"])
        self.watch.restore(parts)
        self.objectives.restore(parts)
        self.paths.restore({name.removeprefix("paths "): part for name, part in parts.items() if name.startswith("paths ")})


def _over(incidents: Incidents, now: float) -> list[Told]:
    """The open incidents, ended."""
    return [(IncidentResolved, {**one.fields(), "ended_at": now}) for one in incidents.open.values()]


__all__ = ["Control", "Signals"]
