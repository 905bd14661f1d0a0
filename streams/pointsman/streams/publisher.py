"""Posted events on their way to Kafka: validated as at intake, published in order, answered when every replica has them."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pointsman.schemas import Event, EventRejected, Reason
from pointsman.schemas.access import AccessError
from pointsman.schemas.settings import KafkaSettings

from .backend import Away
from .desk import Overloaded
from .http_bodies import Posted
from .intake import accept
from .writer import WriteError, Writer

GROUP = 2_000
WAIT_S = 5.0
MANY = 50


@dataclass(slots=True)
class _Job:
    events: list[Event]
    done: "asyncio.Future[None]"


class Publisher:
    """Writes what waits together, as one group after the other; a broker that is away is waited for, but nobody waits longer than 5 s for an answer."""

    def __init__(self, settings: KafkaSettings, *, most_waiting: int = 20_000, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._most_waiting = most_waiting
        self._topics = {name: settings.topic_prefix + name for name in ("events", "dead-letters", "journal")}
        self._writer = Writer(settings, self._topics.values())
        self._jobs: deque[_Job] = deque()
        self._something = asyncio.Event()
        self._since: float | None = None
        self._has_started = False
        self._places = 0
        self._name = uuid.uuid4().hex[:8]
        self.waiting = 0

    async def record(self, posted: Sequence[Posted]) -> list[Reason | None]:
        """Publish events, and what is refused to the dead letters; per event why, or None. Raises `Overloaded`, and `Away` where Kafka does not answer in time.

        What was on its way then may still arrive: whoever sends it again with the same ids changes nothing.
        """
        if not posted:
            return []
        if self.waiting + len(posted) > self._most_waiting and self.waiting:
            raise Overloaded
        if not self._has_started or (self._since is not None and time.monotonic() - self._since > WAIT_S):
            raise self._away()
        events = await asyncio.to_thread(self._accepted, posted) if len(posted) > MANY else self._accepted(posted)
        job = _Job(events, asyncio.get_running_loop().create_future())
        self.waiting += len(events)
        self._jobs.append(job)
        self._something.set()
        try:
            await asyncio.wait_for(asyncio.shield(job.done), WAIT_S)
        except TimeoutError:
            raise self._away() from None
        return [event.reason if isinstance(event, EventRejected) else None for event in events]

    def partition(self, scope: str) -> int:
        """The journal's partition of a scope; raises `Away` before the broker was ever there."""
        if not self._has_started:
            raise self._away()
        return self._writer.partition(self._topics["journal"], scope.encode("utf-8", "replace"))

    async def run(self) -> None:
        """Write for ever; raises `AccessError` where the broker does not let this client in."""
        try:
            await self._writer.start_when_there()
            self._has_started = True
            while True:
                await self._something.wait()
                self._something.clear()
                while self._jobs:
                    await self._write(self._group())
        finally:
            await self._writer.stop()

    async def finish(self, within_s: float) -> None:
        """Wait until nothing waits, for at most so long."""
        end = time.monotonic() + within_s
        while self.waiting and self._has_started and time.monotonic() < end:
            await asyncio.sleep(0.02)

    def _group(self) -> list[_Job]:
        group, size = [], 0
        while self._jobs and size < GROUP:
            group.append(self._jobs.popleft())
            size += len(group[-1].events)
        return group

    async def _write(self, group: list[_Job]) -> None:
        self._since = time.monotonic()
        try:
            await self._writer.write(
                self._writer.row(self._topics["dead-letters" if isinstance(event, EventRejected) else "events"], event) for job in group for event in job.events
            )
            error = None
        except (WriteError, AccessError) as refusal:
            error = Away(str(refusal))
        self._since = None
        self.waiting -= sum(len(job.events) for job in group)
        for job in group:
            if error is None:
                job.done.set_result(None)
            else:
                job.done.set_exception(error)
                job.done.exception()  # whoever asked may have gone

    def _accepted(self, posted: Sequence[Posted]) -> list[Event]:
        now = self._clock()
        return [accept(one.value, place=self._place(now), headers=one.headers, key=one.key, now=now) for one in posted]

    def _place(self, now: float) -> str:
        self._places += 1
        return f"http-{self._name}:{now:.3f}/{self._places}"

    def _away(self) -> Away:
        return Away(f"kafka {self._settings.bootstrap_servers} does not answer: send it again with the same event_id in a moment")


__all__ = ["Publisher"]
