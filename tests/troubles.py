"""Builders of incidents and alerts of the scope `chat`, as the core would tell them."""

from typing import Any, TypeVar

from events import START

from pointsman.schemas import AlertRaised, AlertResolved, IncidentOpened, IncidentResolved, IncidentUpdated, OutputEvent

Incident = TypeVar("Incident", IncidentOpened, IncidentUpdated, IncidentResolved)
Alert = TypeVar("Alert", AlertRaised, AlertResolved)
SUSPECTS: list[dict[str, Any]] = [
    {
        "kind": "track",
        "name": "local",
        "track": "local",
        "metric": "latency_ms",
        "score": 0.81,
        "since": START,
        "evidence": "latency 2.1 times its usual since 22:13",
    },
    {"kind": "version", "name": "v2 <canary>", "score": 0.4, "evidence": "first seen 40 s before"},
]


def incident(kind: type[Incident], sequence: int, name: str = "incident-1", at: float = 0.0, **fields: Any) -> Incident:
    """An incident of the latency of `local`, as it is told `at` seconds after the start."""
    scope = fields.pop("scope", "chat")
    member = {"fingerprint": "local/latency_ms/anomaly", "kind": "anomaly", "severity": "warning", "metric": "latency_ms", "track": "local"}
    given: dict[str, Any] = {
        **_envelope(scope, sequence, at),
        "incident": name,
        "severity": "warning",
        "title": "latency of local",
        "since": START,
        "alerts": [member | {"since": START, "score": 0.99, "observed": 1860.0, "expected": 812.0}],
        "suspects": SUSPECTS,
        "tracks": ["local"],
        "requests": 120,
        "requests_share": 0.4,
        "cost_usd": 0.25,
        "fingerprint": "4f2a",
    }
    if kind is IncidentUpdated:
        given["reason"] = "20 more requests"
    if kind is IncidentResolved:
        given["ended_at"] = START + at
    return kind.model_validate(given | fields)


def opened(sequence: int, name: str = "incident-1", at: float = 0.0, **fields: Any) -> IncidentOpened:
    """It is opened."""
    return incident(IncidentOpened, sequence, name, at, **fields)


def updated(sequence: int, name: str = "incident-1", at: float = 0.0, **fields: Any) -> IncidentUpdated:
    """More is known of it."""
    return incident(IncidentUpdated, sequence, name, at, **fields)


def resolved(sequence: int, name: str = "incident-1", at: float = 0.0, **fields: Any) -> IncidentResolved:
    """It is over."""
    return incident(IncidentResolved, sequence, name, at, **fields)


def alert(kind: type[Alert], sequence: int, at: float = 0.0, /, **fields: Any) -> Alert:
    """The CPU of `gpu-1` beyond its bound, or back within it."""
    scope = fields.pop("scope", "chat")
    given = {"fingerprint": "gpu-1/cpu_percent", "kind": "constraint", "severity": "warning", "subject": "gpu-1", "observed": 95.0, "expected": 80.0}
    return kind.model_validate(_envelope(scope, sequence, at) | {"since": START - 60.0} | given | fields)


def anomaly(kind: type[Alert], sequence: int, at: float = 0.0, /, **fields: Any) -> Alert:
    """The latency of `local` far from its usual: an alert that opens an incident."""
    given = {"fingerprint": "local/latency_ms/anomaly", "kind": "anomaly", "subject": "local", "metric": "latency_ms", "track": "local", "observed": 1860.0}
    return alert(kind, sequence, at, **(given | {"expected": 812.0, "lower": 400.0, "upper": 1300.0} | fields))


def course() -> list[OutputEvent]:
    """An alert, its incident, an update, and the end of both."""
    return [
        anomaly(AlertRaised, 1),
        opened(2),
        updated(3, at=30.0, severity="critical"),
        anomaly(AlertResolved, 4, 300.0),
        resolved(5, at=900.0, severity="critical"),
    ]


def _envelope(scope: str, sequence: int, at: float) -> dict[str, Any]:
    return {"event_id": f"{scope}/{sequence}/0", "scope": scope, "occurred_at": START + at, "caused_by": "e"}


__all__ = ["SUSPECTS", "alert", "anomaly", "course", "incident", "opened", "resolved", "updated"]
