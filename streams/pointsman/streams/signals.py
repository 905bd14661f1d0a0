"""The signals of one scope: what watches its series, keeps its objectives, groups alerts into incidents, and follows what people say of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from pointsman.models.controls import Controls
from pointsman.models.findings import Change, Told
from pointsman.models.join import Attempt
from pointsman.models.precursors import Precursors
from pointsman.models.recurrence import Recurrence
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
    Reason,
    RequestCompleted,
    RequestStarted,
    ResourceSampled,
)

Control = AlertAcknowledged | AlertSilenced | MaintenanceScheduled | IncidentAnnotated | IncidentReported


class Signals:
    """Handed everything that happens in a scope, in order; what it returns is emitted at once, and every alert that is emitted comes back by `heard`."""

    def __init__(self, config: OptimizationConfig) -> None:
        self._settings = config.signals
        self.controls = Controls()
        self.recurrence = Recurrence()
        self.precursors = Precursors()

    def configure(self, config: OptimizationConfig) -> None:
        """From here on this configuration."""
        self._settings = config.signals

    # what happens

    def advance(self, before: float, now: float) -> list[Told]:
        """The clock moves."""
        return flat((self.controls.advance(now), self.precursors.advance(now)))

    def started(self, event: RequestStarted, now: float) -> list[Told]:
        """A request starts."""
        return []

    def completed(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> list[Told]:
        """An attempt ends; `attempt` is None where nothing is known of its start."""
        return []

    def sampled(self, event: ResourceSampled, now: float) -> list[Told]:
        """A host reports."""
        return []

    def closed(self, track: str, end: float, fields: Mapping[str, Any]) -> list[Told]:
        """A window of a track closes, with the fields of `window.closed/1`."""
        return []

    def changed(self, change: Change) -> None:
        """Something that may be the cause of what follows."""

    def told(self, event: Control) -> list[Told]:
        """What people, or other scopes, say of alerts and incidents."""
        if isinstance(event, AlertAcknowledged | AlertSilenced | MaintenanceScheduled):
            return self.controls.told(event)
        if isinstance(event, IncidentAnnotated):
            self.recurrence.annotate(event)
        return []

    def refusal(self, event: Control) -> Reason | None:
        """Why what is said can mean nothing here, if so."""
        if isinstance(event, AlertAcknowledged | AlertSilenced | MaintenanceScheduled):
            return self.controls.refusal(event)
        return None

    def dressed(self, told: Iterable[Told]) -> list[Told]:
        """Incidents with their fingerprint, the earlier ones like them, and whether people are to be told; what follows for forerunners is told after them."""
        found: list[Told] = []
        for model, fields in told:
            if model not in (IncidentOpened, IncidentUpdated, IncidentResolved):
                found.append((model, fields))
                continue
            fingerprint, similar = self.recurrence.look(fields)
            muted = self.controls.mark_incident(fields, is_end=model is IncidentResolved)
            found.append((model, {**fields, "fingerprint": fingerprint, "similar": similar, "muted": muted}))
            if model is IncidentOpened:
                found += self.precursors.opened(fields["incident"], fingerprint, self.controls.clock)
            elif model is IncidentResolved:
                self.precursors.closed(fields["incident"])
                self.recurrence.remember(fields)
        return found

    # alerts

    def muted(self, fields: Mapping[str, Any], now: float) -> str | None:
        """Whether nobody is to be told of an alert, or an incident, with these fields: `silenced`, in `maintenance`, or None."""
        return self.controls.muted(fields, now)

    def marks(self, fields: Mapping[str, Any], now: float, *, is_end: bool) -> dict[str, Any]:
        """What an alert that is emitted says of people: whether they are to be told, and who looks after it."""
        return self.controls.marks(fields, now, is_end=is_end)

    def heard(self, alert: AlertRaised | AlertResolved) -> list[Told]:
        """An alert of any kind was emitted; one that is only told again, with other marks, is no news."""
        if not self.controls.heard(alert):
            return []
        return self.precursors.heard(alert, self.controls.clock)

    # time and state

    def next_due(self) -> float | None:
        """When something is due that only time brings."""
        return min((moment for part in (self.controls, self.precursors) if (moment := part.next_due()) is not None), default=None)

    def status(self) -> dict[str, Any]:
        """What a person wants to know, as plain values."""
        return {"controls": self.controls.status(), "forerunners": self.precursors.status()}

    def snapshot(self) -> dict[str, Any]:
        """The state in named parts, as plain values."""
        return {"controls": self.controls.snapshot(), "recurrence": self.recurrence.snapshot(), "precursors": self.precursors.snapshot()}

    def restore(self, parts: Mapping[str, Any]) -> None:
        """Take up the parts of a snapshot."""
        self.controls = Controls.restore(parts["controls"])
        self.recurrence = Recurrence.restore(parts["recurrence"])
        self.precursors = Precursors.restore(parts["precursors"])


def flat(found: Iterable[Iterable[Told]]) -> list[Told]:
    """What several parts say, in their order."""
    return [one for part in found for one in part]


__all__ = ["Control", "Signals", "flat"]
