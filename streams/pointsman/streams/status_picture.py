"""What a place tells of its scopes, as the terminal shows it: the status, the rings behind the sparklines, the last events."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from pointsman.schemas import (
    AlertRaised,
    AlertResolved,
    Event,
    IncidentOpened,
    IncidentResolved,
    IncidentUpdated,
    RecommendationIssued,
    ScalingRecommended,
    StrategyAdapted,
    WindowClosed,
)

from .status_figures import clock, duration, figure, safe, share

KEPT = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """One scope at one moment: `status` is what `/v1/status` says of it, `series` what `/v1/series` does, `events` the last lines, newest first."""

    scope: str
    status: dict[str, Any]
    series: dict[str, Any] = field(default_factory=dict)
    events: tuple[str, ...] = ()

    @property
    def board(self) -> dict[str, Any]:
        """The numbers of now."""
        found: dict[str, Any] = self.status.get("board") or {}
        return found


class LastEvents:
    """The last lines of every scope; at most 64 scopes and 64 lines each."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[str]] = {}

    def hear(self, event: Event) -> None:
        """Note an event, where it is one that an operator wants to see pass."""
        if (said := line_of(event)) is None:
            return
        lines = self._lines.pop(event.scope, None) or deque(maxlen=KEPT)
        lines.appendleft(f"{clock(event.occurred_at)}  {said}")
        self._lines[event.scope] = lines
        if len(self._lines) > KEPT:
            del self._lines[next(iter(self._lines))]

    def of(self, scope: str) -> tuple[str, ...]:
        """The lines of a scope, newest first."""
        return tuple(self._lines.get(scope, ()))


def line_of(event: Event) -> str | None:
    """An event in one line; None for the many that only feed the figures."""
    match event:
        case RecommendationIssued():
            said = f"recommended  {event.track} {share(event.propensity)}"
        case AlertRaised():
            said = f"ALERT  {event.severity} {event.kind} {event.subject}: {figure(event.observed)} instead of {figure(event.expected)}"
        case AlertResolved():
            said = f"resolved  {event.kind} {event.subject}"
        case IncidentOpened():
            said = f"INCIDENT  {event.severity} {event.incident}: {event.title}"
        case IncidentUpdated():
            said = f"incident  {event.severity} {event.incident}: {event.reason}"
        case IncidentResolved():
            said = f"resolved  {event.incident}: {event.title}"
        case StrategyAdapted():
            said = f"strategy  {event.previous} → {event.current}: {event.why}"
        case ScalingRecommended():
            said = f"scaling  {event.track}: {event.current} → {event.desired} {event.unit}: {event.reason}"
        case WindowClosed():
            said = (
                f"window  {event.track}: {event.count} done, {share(event.success_share)} ok, p50 {duration(event.latency_p50_ms)}, ${figure(event.cost_usd)}"
            )
        case _:
            return None
    return safe(said)


__all__ = ["LastEvents", "Picture", "line_of"]
