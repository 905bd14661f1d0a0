"""The signals of one scope: what watches its series, keeps its objectives, groups alerts into incidents, and follows what people say of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from pointsman.models.findings import Change, Told
from pointsman.models.join import Attempt
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
        self.watch = Watch(config)

    def configure(self, config: OptimizationConfig) -> None:
        """From here on this configuration."""
        self._settings = config.signals
        self.watch.configure(config)

    # what happens

    def advance(self, before: float, now: float) -> list[Told]:
        """The clock moves."""
        return self.watch.advance(now)

    def started(self, event: RequestStarted, now: float) -> list[Told]:
        """A request starts."""
        if self._settings.enabled:
            self.watch.started(event)
        return []

    def completed(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> list[Told]:
        """An attempt ends; `attempt` is None where nothing is known of its start."""
        if not self._settings.enabled:
            return []
        return self.watch.completed(event, attempt, now)

    def assessed(self, event: QualityAssessed, now: float) -> list[Told]:
        """A judgement of an answer comes after its outcome."""
        return self.watch.assessed(event, now) if self._settings.enabled else []

    def sampled(self, event: ResourceSampled, in_flight: int, now: float) -> list[Told]:
        """A host reports while so many requests run."""
        return self.watch.sampled(event, in_flight, now) if self._settings.enabled else []

    def closed(self, track: str, end: float, fields: Mapping[str, Any]) -> list[Told]:
        """A window of a track closes, with the fields of `window.closed/1`."""
        return []

    def changed(self, change: Change) -> None:
        """Something that may be the cause of what follows."""

    def told(self, event: Control) -> list[Told]:
        """What people, or other scopes, say of alerts and incidents."""
        return []

    # alerts

    def muted(self, fields: Mapping[str, Any], now: float) -> str | None:
        """Whether nobody is to be told of an alert with these fields: `silenced`, in `maintenance`, or None."""
        return None

    def heard(self, alert: AlertRaised | AlertResolved) -> list[Told]:
        """An alert of any kind was emitted."""
        return []

    # time and state

    def next_due(self) -> float | None:
        """When something is due that only time brings."""
        return None

    def status(self) -> dict[str, Any]:
        """What a person wants to know, as plain values."""
        return {"watch": self.watch.status()}

    def snapshot(self) -> dict[str, Any]:
        """The state in named parts, as plain values."""
        return self.watch.snapshot()

    def restore(self, parts: Mapping[str, Any]) -> None:
        """Take up the parts of a snapshot."""
        self.watch.restore(parts)


def flat(found: Iterable[Iterable[Told]]) -> list[Told]:
    """What several parts say, in their order."""
    return [one for part in found for one in part]


__all__ = ["Control", "Signals", "flat"]
