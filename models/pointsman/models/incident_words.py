"""Incidents in words: their titles, amounts as people read them, times of the day."""

from collections.abc import Sequence

from pointsman.schemas import IncidentAlert, Suspect

LIKELY = 0.2


def clock_time(at: float) -> str:
    """The time of the day in UTC.

    >>> clock_time(1_700_000_000.0)
    '22:13:20'
    """
    second = int(at % 86_400.0)
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


def amount(value: float) -> str:
    """Three digits, more where it is a large number.

    >>> amount(0.12345), amount(123456.7)
    ('0.123', '123457')
    """
    return f"{value:.3g}" if abs(value) < 1000.0 else f"{value:.0f}"


def title(alert: IncidentAlert, suspects: Sequence[Suspect]) -> str:
    """One sentence: what is off, of what, since when, and who is suspected."""
    of = f" of {alert.host or alert.track}" if alert.host or alert.track else ""
    said = f"{alert.metric or alert.kind}{of} {_off(alert)} since {clock_time(alert.since)}"
    if suspects and suspects[0].score >= LIKELY:
        said += f"; suspected: {suspects[0].kind} {suspects[0].name}"
    return said


def _off(alert: IncidentAlert) -> str:
    if alert.kind == "slo_burn":
        return f"burns its error budget {amount(alert.observed)} x as fast as it may"
    if alert.expected > 0.0 and (0.05 <= alert.observed / alert.expected <= 0.8 or 1.25 <= alert.observed / alert.expected <= 20.0):
        return f"is {alert.observed / alert.expected:.2g} x what is usual"
    return f"is {amount(alert.observed)} where {amount(alert.expected)} is usual"


__all__ = ["LIKELY", "amount", "clock_time", "title"]
