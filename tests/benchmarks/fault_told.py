"""The alerts that a perfect watch would raise of an injected fault: with them, whether the cause is named depends on the ranking alone."""

from collections.abc import Mapping
from typing import Any

from pointsman.schemas import AlertRaised

LATE_S = 30.0
METRICS: Mapping[str, tuple[str, float, float]] = {
    "latency": ("latency_ms", 2000.0, 1000.0),
    "drift": ("latency_ms", 2000.0, 1000.0),
    "throttled": ("latency_ms", 2000.0, 1000.0),
    "configuration": ("latency_ms", 2000.0, 1000.0),
    "tokens": ("cost_usd", 0.004, 0.001),
    "errors": ("error", 0.25, 0.01),
    "version": ("error", 0.25, 0.01),
}


def perfect(said: Mapping[str, Any], busiest: str, scope: str) -> list[AlertRaised]:
    """The alerts of a fault, half a minute after its onset: of its track (of `busiest` where it is of none), and of its host."""
    kind, track, host = said["fault"], said.get("track") or busiest, said.get("host")
    found = []
    if host is not None:
        metric = said.get("gauge", "throttled")
        found.append(_alert(scope, said["start"], "anomaly", metric, 1.0, 0.0, host=host))
    if kind in METRICS:
        found.append(_alert(scope, said["start"], "drift" if kind == "drift" else "anomaly", *METRICS[kind], track=track))
    return found


def _alert(scope: str, since: float, kind: str, metric: str, observed: float, expected: float, **of: str) -> AlertRaised:
    (subject,) = of.values()
    fields = {"fingerprint": f"told/{subject}/{metric}", "subject": subject, "metric": metric, "observed": observed, "expected": expected, **of}
    at = since + LATE_S
    fields |= {"event_id": f"told/{subject}/{metric}", "scope": scope, "caused_by": "told", "occurred_at": at, "since": since}
    return AlertRaised.model_validate({**fields, "kind": kind, "severity": "warning", "score": 1.0})


__all__ = ["LATE_S", "perfect"]
