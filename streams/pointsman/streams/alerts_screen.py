"""Alerts as a table, and each change as a line."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pointsman.schemas import AlertRaised, AlertResolved
from pointsman.sinks.incident_log import SEVERITIES

from .status_figures import NONE, figure, safe, span
from .when import When

COLOURS = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
QUIET, GOOD = "dim", "green"
WIDE = 110
Alert = AlertRaised | AlertResolved


def alerts_table(alerts: Iterable[Alert], when: When, *, is_wide: bool) -> Table:
    """One line for each, the worst first, then the newest; muted ones are dim and say why. `is_wide`: as told, in their order, with their ends."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=QUIET)
    for title in ("severity", "scope", "alert", "kind", "observed", "expected", "since", "lasted", ""):
        table.add_column(title, justify="right" if title in ("observed", "expected", "lasted") else "left", overflow="fold")
    shown = alerts if is_wide else sorted(alerts, key=lambda alert: (SEVERITIES.index(alert.severity), -alert.since))
    for alert in shown:
        is_over = isinstance(alert, AlertResolved)
        colour = QUIET if alert.muted else GOOD if is_over else COLOURS[alert.severity]
        table.add_row(
            Text("resolved" if is_over else alert.severity, colour),
            safe(alert.scope),
            safe(alert.fingerprint),
            alert.kind,
            figure(alert.observed),
            _expected(alert),
            when.text(alert.since),
            span(max(0.0, alert.occurred_at - alert.since)) if is_over else "",
            Text(f"muted: {alert.muted}" if alert.muted else "", QUIET),
            style=QUIET if alert.muted else "",
        )
    return table


def alert_line(alert: Alert, when: When) -> Text:
    """A change in one line."""
    is_over = isinstance(alert, AlertResolved)
    said = f"  {safe(alert.scope)}  {alert.kind} {safe(alert.fingerprint)}: {figure(alert.observed)}, expected {_expected(alert)}"
    muted = f"  (muted: {alert.muted})" if alert.muted else ""
    return Text.assemble(
        (f"{when.text(alert.occurred_at)}  ", QUIET),
        ("resolved" if is_over else alert.severity, GOOD if is_over else COLOURS[alert.severity]),
        (said + muted, QUIET if alert.muted else ""),
    )


def _expected(alert: Alert) -> str:
    if alert.lower is None and alert.upper is None:
        return figure(alert.expected)
    return f"{figure(alert.expected)} ({_bound(alert.lower)}–{_bound(alert.upper)})"


def _bound(value: float | None) -> str:
    return NONE if value is None else figure(value)


def has_room() -> bool:
    """Whether the terminal has room for tables of names and times; else each is told in a line or two."""
    return Console().width >= WIDE


__all__ = ["COLOURS", "GOOD", "QUIET", "alert_line", "alerts_table", "has_room"]
