"""Which incidents stand, from a stream that may repeat what was heard before."""

from pointsman.schemas import Event, IncidentResolved

from .incident_log import INCIDENTS, IncidentLog
from .standing_alerts import Change, Incident

MOST_INCIDENTS = 1_000


class StandingIncidents:
    """The open incidents of all scopes; beyond a thousand the one heard of longest ago goes.

    Another severity is another alert to whoever is told: the one before ends, and a new one begins.
    """

    def __init__(self) -> None:
        self._log = IncidentLog(MOST_INCIDENTS, MOST_INCIDENTS)

    def __len__(self) -> int:
        return len(self.incidents())

    def incidents(self) -> list[Incident]:
        """Those that stand, the worst first."""
        return [story.latest for story in self._log.stories() if not story.is_over]

    def add(self, event: Event) -> list[Change]:
        """Take in one output event, and say what changed."""
        if not isinstance(event, INCIDENTS):
            return []
        known = self._log.get(event.scope, event.incident)
        if not self._log.add(event):
            return []
        before = known.latest if known is not None and not known.is_over else None
        if isinstance(event, IncidentResolved):
            return [Change(before or event, event.ended_at)]
        is_other = before is not None and before.severity != event.severity
        return [*([Change(before, event.occurred_at)] if before is not None and is_other else []), Change(event)]


__all__ = ["StandingIncidents"]
