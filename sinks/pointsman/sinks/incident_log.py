"""The incidents of what was heard: the newest of each, and how it came to that, from a stream that may repeat what was heard before."""

from collections import OrderedDict
from typing import NamedTuple

from pointsman.schemas import Event, IncidentOpened, IncidentResolved, IncidentUpdated

from .standing_alerts import Incident, place

MOST_OPEN = 256
MOST_OVER = 64
MOST_STEPS = 64
SEVERITIES = ("critical", "warning", "info")
INCIDENTS = (IncidentOpened, IncidentUpdated, IncidentResolved)


class Step(NamedTuple):
    """What was said of an incident at a time."""

    at: float
    said: str


class Story(NamedTuple):
    """An incident as it was told last, and the steps until then, oldest first."""

    latest: Incident
    steps: tuple[Step, ...]

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return isinstance(self.latest, IncidentResolved)


class IncidentLog:
    """Open incidents and those that ended last, of all scopes, each with its newest steps; of too many the one heard of longest ago goes, open ones counted."""

    def __init__(self, most_open: int = MOST_OPEN, most_over: int = MOST_OVER) -> None:
        self._most = {False: most_open, True: most_over}
        self._kept: dict[bool, OrderedDict[tuple[str, str], Story]] = {False: OrderedDict(), True: OrderedDict()}
        self.evicted = 0

    def add(self, event: Event) -> bool:
        """Take in an event; whether it was news of an incident."""
        if not isinstance(event, INCIDENTS):
            return False
        key = (event.scope, event.incident)
        before = self.get(*key)
        if before is not None and place(event.event_id) <= place(before.latest.event_id):
            return False
        for kept in self._kept.values():
            kept.pop(key, None)
        story = Story(event, (*(before.steps if before else ()), Step(event.occurred_at, step(event)))[-MOST_STEPS:])
        kept = self._kept[story.is_over]
        kept[key] = story
        if len(kept) > self._most[story.is_over]:
            kept.popitem(last=False)
            self.evicted += not story.is_over
        return True

    def get(self, scope: str, incident: str) -> Story | None:
        """One incident, where it is known."""
        return self._kept[False].get((scope, incident)) or self._kept[True].get((scope, incident))

    def stories(self) -> list[Story]:
        """The open ones, the worst and then the newest first; then those that are over, the one that ended last first."""
        standing = sorted(self._kept[False].values(), key=lambda story: (SEVERITIES.index(story.latest.severity), -story.latest.since))
        over = sorted(self._kept[True].values(), key=lambda story: -story.latest.occurred_at)
        return [*standing, *over]


def step(event: Incident) -> str:
    """What an event says that is new."""
    if isinstance(event, IncidentOpened):
        return "opened"
    return event.reason if isinstance(event, IncidentUpdated) else "resolved"


__all__ = ["INCIDENTS", "Incident", "IncidentLog", "Step", "Story", "step"]
