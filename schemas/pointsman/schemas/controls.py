"""What people and the operator's programs tell a scope of its alerts and incidents."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .envelope import Count, Identifier, InputEvent, Money, ShortText, Time
from .outputs import AlertKind, Severity
from .signals import Suspect

Note = Annotated[str, Field(max_length=2000)]
Pattern = Identifier
Names = Annotated[tuple[Identifier, ...], Field(max_length=64)]


class AlertAcknowledged(InputEvent):
    """Somebody looks after an alert, or after an incident with all its alerts."""

    TYPE: ClassVar[str] = "alert.acknowledged/1"
    type: Literal["alert.acknowledged/1"] = "alert.acknowledged/1"
    fingerprint: Identifier | None = None
    incident: Identifier | None = None
    by: ShortText | None = None
    note: Note | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if (self.fingerprint is None) == (self.incident is None):
            raise ValueError("name either the fingerprint of an alert or an incident")
        return self


class AlertSilenced(InputEvent):
    """Until `until` nobody is told of alerts that match every pattern given (`*` and `?` stand for anything); a time that has passed lifts the silence."""

    TYPE: ClassVar[str] = "alert.silenced/1"
    type: Literal["alert.silenced/1"] = "alert.silenced/1"
    until: Time
    fingerprint: Pattern | None = None
    subject: Pattern | None = None
    kind: AlertKind | None = None
    by: ShortText | None = None
    note: Note | None = None

    @model_validator(mode="after")
    def _matches_something(self) -> Self:
        if self.fingerprint is None and self.subject is None and self.kind is None:
            raise ValueError("say what is silenced: a fingerprint, a subject or a kind; fingerprint * is everything")
        return self


class MaintenanceScheduled(InputEvent):
    """From `start` to `end` these tracks and hosts, or everything, are worked on: nobody is told of their alerts, and nothing is learned as normal."""

    TYPE: ClassVar[str] = "maintenance.scheduled/1"
    type: Literal["maintenance.scheduled/1"] = "maintenance.scheduled/1"
    start: Time
    end: Time
    tracks: Names = ()
    hosts: Names = ()
    by: ShortText | None = None
    note: Note | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise ValueError("a maintenance window ends after it starts")
        return self


class IncidentAnnotated(InputEvent):
    """A person's note on an incident, and, where it is known, what ended it."""

    TYPE: ClassVar[str] = "incident.annotated/1"
    type: Literal["incident.annotated/1"] = "incident.annotated/1"
    incident: Identifier
    note: Note | None = None
    resolution: Note | None = None
    cause: ShortText | None = None
    by: ShortText | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.note is None and self.resolution is None and self.cause is None:
            raise ValueError("an annotation has a note, a resolution or a cause")
        return self


class IncidentReported(InputEvent):
    """An incident of another scope, told to the operator's scope, which alone may read of several."""

    TYPE: ClassVar[str] = "incident.reported/1"
    type: Literal["incident.reported/1"] = "incident.reported/1"
    reporter: Identifier
    incident: Identifier
    state: Literal["opened", "updated", "resolved"]
    severity: Severity
    since: Time
    ended_at: Time | None = None
    tracks: Names = ()
    hosts: Names = ()
    suspects: Annotated[tuple[Suspect, ...], Field(max_length=5)] = ()
    requests: Count = 0
    cost_usd: Money = 0.0


__all__ = ["AlertAcknowledged", "AlertSilenced", "IncidentAnnotated", "IncidentReported", "MaintenanceScheduled"]
