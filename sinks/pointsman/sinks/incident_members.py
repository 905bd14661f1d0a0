"""Which alerts are told by their incident."""

from pointsman.schemas import AlertRaised, AlertResolved


def opens_incidents(alert: AlertRaised | AlertResolved) -> bool:
    """Whether an alert is of those that open an incident, which tells of it."""
    return alert.kind in ("anomaly", "slo_burn") or (alert.kind == "drift" and alert.metric is not None)


__all__ = ["opens_incidents"]
