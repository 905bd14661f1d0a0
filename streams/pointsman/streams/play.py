"""`pointsman serve --demo`: recorded traffic played into the server, faster than it was, by the way that posted events take."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .desk import GROUP, Desk, Overloaded
from .http_bodies import Posted

SPEED = 15.0
TICK_S = 1.0
RETRY_S = 0.05
Recorded = tuple[float, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Play:
    """A recording whose times are moved so that it ends when the play does: until then its clock is behind the wall's and catches up.

    So no event is ahead of the wall clock, and when the last one has come the scope is at now, where live traffic goes on. With `speed` 0 it goes as fast
    as the fold allows, and the recording ends at the moment at which the play began.
    """

    events: Sequence[Recorded]
    speed: float
    began: float
    wall: Callable[[], float] = time.time

    @property
    def span_s(self) -> float:
        """How long the recording was."""
        return self.events[-1][0] - self.events[0][0]

    @property
    def lasts_s(self) -> float:
        """How long the play takes at least."""
        return self.span_s / self.speed if self.speed else 0.0

    @property
    def shift_s(self) -> float:
        """By how much the times are moved."""
        return self.began + self.lasts_s - self.events[-1][0]

    def announced(self) -> str:
        """What is played, and how long that takes, as a sentence."""
        takes = f"in {self.lasts_s:.0f} seconds" if self.speed else "as fast as it is learned from"
        return f"playing {self.span_s / 60.0:.0f} minutes of recorded traffic {takes}; then the server stays up"

    def clock(self) -> float:
        """The event clock of this moment; the wall clock from the end on."""
        now = self.wall()
        return min(now, self.began + self.lasts_s - self.span_s + (now - self.began) * self.speed) if self.speed else now

    async def run(self, desk: Desk) -> None:
        """Post every event when its time has come, then mind the time as a live optimizer does, until cancelled."""
        waiting: list[Posted] = []
        for at, fields in self.events:
            due = self._due_in(at)
            if waiting and (due > 0.0 or len(waiting) >= GROUP):
                await _post(desk, waiting)
                waiting, due = [], self._due_in(at)
            if due > 0.0:
                await asyncio.sleep(due)
            waiting.append(Posted(json.dumps(fields | {"occurred_at": at + self.shift_s}).encode()))
        await _post(desk, waiting)
        while True:
            await asyncio.sleep(TICK_S)
            await desk.ask(lambda optimizer: optimizer.tick_due())

    def _due_in(self, at: float) -> float:
        return (at - self.events[0][0]) / self.speed - (self.wall() - self.began) if self.speed else 0.0


async def _post(desk: Desk, events: Sequence[Posted]) -> None:
    while True:
        try:
            await desk.record(events)
            return
        except Overloaded:
            if not desk.is_open:
                return
            await asyncio.sleep(RETRY_S)


__all__ = ["SPEED", "Play"]
