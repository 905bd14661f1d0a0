"""What `pointsman alerts` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pointsman.schemas import AlertRaised, AlertResolved, Event, encode
from pointsman.sinks.incident_log import SEVERITIES
from pointsman.sinks.standing_alerts import StandingAlerts

from .when import When

if TYPE_CHECKING:
    from rich.console import RenderableType

KINDS = (AlertRaised, AlertResolved)


class ToldAlerts:
    """Keeps what stands, or all, until the place is read; prints that, and then every change."""

    def __init__(self, when: When, scope: str | None, *, is_all: bool, as_json: bool, min_severity: str = "info") -> None:
        self._when = when
        self._scope = scope
        self._least = SEVERITIES.index(min_severity)
        self._is_all = is_all
        self._as_json = as_json
        self._standing = StandingAlerts(with_muted=True)
        self._told: list[AlertRaised | AlertResolved] = []

    def hear(self, event: Event, is_news: bool) -> None:
        """Take in one alert; print it where it is news."""
        if not isinstance(event, KINDS) or self._scope not in (None, event.scope):
            return
        changes = self._standing.add(event)
        if not changes:
            return
        if is_news and self._is_severe(event):
            self._print_one(event)
        elif self._is_all:
            self._told.append(event)

    def caught_up(self) -> None:
        """What stood there is through."""
        known: Sequence[AlertRaised | AlertResolved] = self._told if self._is_all else self._standing.alerts()
        found = [alert for alert in known if self._is_severe(alert)]
        if self._as_json:
            for alert in found:
                click.echo(encode(alert))
            return
        self._show(found)
        if less := len(known) - len(found):
            self._print(f"{less} less severe {'is' if less == 1 else 'are'} not shown: --min-severity info shows all")
        self._told.clear()

    def _show(self, found: Sequence[AlertRaised | AlertResolved]) -> None:
        from .alerts_screen import alert_line, alerts_table, has_room

        if not found:
            self._print("no alert was raised" if self._is_all else "no alert stands")
        elif has_room():
            self._print(alerts_table(found, self._when, is_wide=self._is_all))
        else:
            for alert in found:
                self._print(alert_line(alert, self._when))

    def _is_severe(self, alert: AlertRaised | AlertResolved) -> bool:
        return SEVERITIES.index(alert.severity) <= self._least

    def _print_one(self, alert: AlertRaised | AlertResolved) -> None:
        if self._as_json:
            click.echo(encode(alert))
            return
        from .alerts_screen import alert_line

        self._print(alert_line(alert, self._when))

    @staticmethod
    def _print(shown: "RenderableType") -> None:
        from rich.console import Console

        Console(highlight=False, markup=False, emoji=False, soft_wrap=False).print(shown)


__all__ = ["KINDS", "ToldAlerts"]
