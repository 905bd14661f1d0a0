"""What `pointsman incidents` prints."""

from typing import TYPE_CHECKING

import click

from pointsman.schemas import Event, encode
from pointsman.sinks.incident_log import INCIDENTS, Incident, IncidentLog, Story, step

from .places import PlaceError
from .status_figures import safe
from .when import When

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_OVER = 1_000


class ToldIncidents:
    """Keeps the incidents until the place is read; prints them, or the one that was asked for, and then every change."""

    def __init__(self, when: When, scope: str | None, incident: str | None, *, as_json: bool, is_followed: bool, place: str | None = None) -> None:
        self._when = when
        self._place = place
        self._scope = scope
        self._incident = incident
        self._as_json = as_json
        self._is_followed = is_followed
        self._log = IncidentLog(most_open=MOST_OVER, most_over=MOST_OVER)

    def hear(self, event: Event, is_news: bool) -> None:
        """Take in one event of an incident; print it where it is news."""
        if not isinstance(event, INCIDENTS) or self._scope not in (None, event.scope):
            return
        if self._log.add(event) and is_news and self._incident in (None, event.incident):
            self._print_one(event)

    def caught_up(self) -> None:
        """What stood there is through. Raises `PlaceError` where the incident that was asked for is not there."""
        stories = self._log.stories()
        found = [story for story in stories if self._incident in (None, story.latest.incident)]
        if self._incident is not None and not found and not self._is_followed:
            known = ", ".join(safe(story.latest.incident) for story in stories[:10]) or "none yet"
            raise PlaceError(f"there is no incident {safe(self._incident)!r}; there are {known}")
        if self._as_json:
            for story in found:
                click.echo(encode(story.latest))
        else:
            self._show(found)

    def _show(self, found: list[Story]) -> None:
        from .alerts_screen import has_room
        from .incidents_screen import incident_page, incidents_lines, incidents_table

        if self._incident is None:
            listed = incidents_table if has_room() else incidents_lines
            self._print(listed(found, self._when) if found else "no incident yet")
            return
        for number, story in enumerate(found):
            self._print("" if number else None)
            self._print(incident_page(story, self._when, self._place))

    def _print_one(self, event: Incident) -> None:
        if self._as_json:
            click.echo(encode(event))
            return
        from .incidents_screen import incident_line

        self._print(incident_line(event, step(event), self._when))

    @staticmethod
    def _print(shown: "RenderableType | None") -> None:
        from rich.console import Console

        if shown is not None:
            Console(highlight=False, markup=False, emoji=False).print(shown, crop=False)


__all__ = ["INCIDENTS", "ToldIncidents"]
