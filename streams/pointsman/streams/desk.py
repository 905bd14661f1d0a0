"""The desk: one thread that owns an optimizer, so that an event loop never waits for a disk.

Questions go first, then what waits to be recorded, up to 64 events in one transaction: under load the cost of a commit is shared.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pointsman.schemas import EventRejected, Reason

from .embedded import Optimizer
from .http_bodies import Posted
from .intake import accept

GROUP = 64
Answer = TypeVar("Answer")
log = logging.getLogger(__name__)


class Overloaded(Exception):
    """More waits to be recorded than may wait; try again in a moment."""


@dataclass(slots=True)
class _Job:
    posted: Sequence[Posted]
    done: "asyncio.Future[list[Reason | None]]"
    reasons: list[Reason | None] = field(default_factory=list)
    taken: int = 0


class Desk:
    """Records and asks for coroutines of the loop on which it was made; what was handed in before `close` is still recorded."""

    def __init__(self, optimizer: Optimizer, *, most_waiting: int = 20_000, clock: Callable[[], float] = time.time) -> None:
        self._optimizer = optimizer
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._most_waiting = most_waiting
        self.waiting = 0
        self._places = 0
        self._questions: deque[tuple[Callable[[Optimizer], Any], asyncio.Future[Any]]] = deque()
        self._jobs: deque[_Job] = deque()
        self._something = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="pointsman-desk", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether the thread is there to take anything."""
        return self._thread.is_alive() and not self._is_closing

    async def record(self, posted: Sequence[Posted]) -> list[Reason | None]:
        """Record events, on disk when this returns; per event why it was refused, or None. Raises `Overloaded`."""
        if not posted:
            return []
        if self.waiting + len(posted) > self._most_waiting and self.waiting:
            raise Overloaded
        job = _Job(posted, self._loop.create_future())
        self.waiting += len(posted)
        self._put(lambda: self._jobs.append(job))
        return await job.done

    async def ask(self, question: Callable[[Optimizer], Answer]) -> Answer:
        """What the optimizer says, between two transactions; raises what it raises."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._put(lambda: self._questions.append((question, future)))
        return await future

    async def close(self) -> None:
        """Finish what waits, and stop."""
        with self._something:
            self._is_closing = True
            self._something.notify()
        await asyncio.to_thread(self._thread.join)

    def _put(self, add: Callable[[], None]) -> None:
        with self._something:
            if self._is_closing:
                raise Overloaded
            add()
            self._something.notify()

    # on the thread

    def _work(self) -> None:
        while True:
            with self._something:
                while not (self._questions or self._jobs or self._is_closing):
                    self._something.wait()
                if self._is_closing and not (self._questions or self._jobs):
                    return
            while self._questions:
                self._answer(*self._questions.popleft())
            if self._jobs:
                self._record(self._group())

    def _answer(self, question: Callable[[Optimizer], Any], future: "asyncio.Future[Any]") -> None:
        try:
            answer = question(self._optimizer)
        except Exception as error:
            self._tell(_fail, [future], error)
        else:
            self._tell(_settle, [(future, answer)])

    def _group(self) -> list[tuple[_Job, Sequence[Posted]]]:
        """The next events, up to 64, with their jobs; a large job is taken in pieces."""
        group, room = [], GROUP
        while room and self._jobs:
            job = self._jobs[0]
            piece = job.posted[job.taken : job.taken + room]
            job.taken += len(piece)
            room -= len(piece)
            group.append((job, piece))
            if job.taken >= len(job.posted):
                self._jobs.popleft()
        return group

    def _record(self, group: list[tuple[_Job, Sequence[Posted]]]) -> None:
        try:
            now = self._clock()
            items = [accept(one.value, place=self._place(now), headers=one.headers, key=one.key, now=now) for _, piece in group for one in piece]
            caused = iter(self._optimizer.record_each(items))
        except Exception as error:
            log.exception("events could not be recorded")
            for job, _ in group:
                if self._jobs and self._jobs[0] is job:
                    self._jobs.popleft()
            self._tell(self._give_back, group, error)
            return
        finished = []
        for job, piece in group:
            job.reasons += [next((output.reason for output in next(caused) if isinstance(output, EventRejected)), None) for _ in piece]
            if len(job.reasons) == len(job.posted):
                finished.append(job)
        self._tell(self._hand_out, finished, sum(len(piece) for _, piece in group))

    def _place(self, now: float) -> str:
        self._places += 1
        return f"http:{now:.3f}/{self._places}"

    def _tell(self, what: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # the loop is closed: nobody waits any longer
            log.debug("an answer came after the end of the loop")

    # on the loop

    def _hand_out(self, jobs: Sequence[_Job], recorded: int) -> None:
        self.waiting -= recorded
        _settle([(job.done, job.reasons) for job in jobs])

    def _give_back(self, group: Sequence[tuple[_Job, Sequence[Posted]]], error: Exception) -> None:
        self.waiting -= sum(len(job.posted) - len(job.reasons) for job, _ in group)
        _fail([job.done for job, _ in group], error)


def _settle(answers: "Sequence[tuple[asyncio.Future[Any], Any]]") -> None:
    for future, answer in answers:
        if not future.done():
            future.set_result(answer)


def _fail(futures: "Sequence[asyncio.Future[Any]]", error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)


__all__ = ["Desk", "Overloaded"]
