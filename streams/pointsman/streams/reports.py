"""Reports of a gateway's calls: queued without waiting, turned into events and handed to a place by a thread of their own.

Whatever happens to the place, a call never waits and never sees an exception: what does not fit the queue is dropped and counted.
"""

import atexit
import contextlib
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from pydantic import ValidationError

from pointsman.models.sketch import describe
from pointsman.schemas import AnyInput, RequestCompleted, RequestStarted, explain
from pointsman.sinks.router_view import View

from .litellm_places import FIRST_WAIT_S, LONGEST_WAIT_S, PAUSE_S, Place

log = logging.getLogger(__name__)
BATCH = 500
LOOK_S = 1.0
SLICE = 8  # about half a millisecond
GATHER_S = 0.02  # reports come in pairs and bursts: waking for each would take the interpreter from the calls


@dataclass(frozen=True, slots=True)
class Report:
    """One event to be: its class, its fields, and the text that is sketched and dropped."""

    kind: type[RequestStarted] | type[RequestCompleted]
    fields: dict[str, Any]
    text: str | None = None


class Reports:
    """The queue and its thread, which starts with the first report, in the process that makes it."""

    def __init__(self, open_place: Callable[[], Place], most_waiting: int, close_s: float) -> None:
        self.sent = 0
        self.invalid = 0
        self._open_place = open_place
        self._most_waiting = most_waiting
        self._close_s = close_s
        self._drafts: deque[Report] = deque()
        self._gone: deque[Callable[[], None]] = deque()
        self._waiting: deque[AnyInput] = deque()
        self._lost = 0
        self._place: Place | None = None
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_away = False
        self._wait, self._next = FIRST_WAIT_S, 0.0

    @property
    def view(self) -> View | None:
        """The policy, once the place is open."""
        return self._place.view if self._place is not None else None

    @property
    def dropped(self) -> int:
        """Reports that did not fit, were no valid event, or could not be handed on; after the end also what still waits."""
        left = self.waiting if self._closing.is_set() else 0
        return self._lost + self.invalid + left + (self._place.dropped if self._place is not None else 0)

    @property
    def rejected(self) -> int:
        """Reports that the place refused; it keeps them as dead letters."""
        return self._place.rejected if self._place is not None else 0

    @property
    def waiting(self) -> int:
        """Reports that are not handed over yet."""
        return len(self._drafts) + len(self._waiting)

    def start(self) -> None:
        """Open the place, on the thread; a call does so with its first report."""
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._closing.is_set():
                    self._thread = threading.Thread(target=self._run, name="pointsman-reports", daemon=True)
                    self._thread.start()
                    atexit.register(_close, weakref.ref(self))

    def put(self, report: Report) -> None:
        """Queue a report, or drop and count it."""
        self.start()
        if self.waiting >= self._most_waiting or self._closing.is_set():
            self._drop(1)
            return
        self._drafts.append(report)
        if not self._wake.is_set():
            self._wake.set()

    def when_gone(self, owner: object, tell: Callable[[], None]) -> None:
        """Call this on the thread, within a second, once nobody holds the owner any more."""
        # A finaliser may run in the middle of anything, even of waking the thread: it takes no lock.
        weakref.finalize(owner, self._gone.append, tell).atexit = False

    def close(self, timeout_s: float | None = None) -> None:
        """Hand over what waits, for at most this long, and end the thread; what is left is counted as dropped."""
        limit = self._close_s if timeout_s is None else timeout_s
        if self._thread is None or self._closing.is_set():
            return
        self._deadline = time.monotonic() + limit
        self._closing.set()
        self._wake.set()
        self._thread.join(limit + 1.0)
        atexit.unregister(_close)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self._wait if self._waiting or self._place is None else LOOK_S)
            if not (self._wake.is_set() or self._gone or self._waiting or self._place is None):
                continue
            self._closing.wait(GATHER_S)
            self._wake.clear()
            self._turn()
        while self.waiting and time.monotonic() < self._deadline and not self._is_away:
            self._turn()
        self._finish()

    def _finish(self) -> None:
        if self.waiting:
            log.warning("%d reports were not handed over at the end and are lost", self.waiting)
        if self._place is not None:
            with contextlib.suppress(Exception):
                self._place.close(max(self._deadline - time.monotonic(), 0.0))

    def _turn(self) -> None:
        """Make events of the drafts, so that no text waits for a place that is away, and hand over what can be."""
        while self._gone:
            self._gone.popleft()()
        self._make_all()
        if time.monotonic() < self._next:
            return
        try:
            if self._place is None:
                self._place = self._open_place()
            while self._waiting:
                events = list(islice(self._waiting, BATCH))
                self._place.send(events)
                for _ in events:
                    self._waiting.popleft()
                self.sent += len(events)
                if self._drafts or self._closing.is_set():
                    break
        except Exception as error:
            self._away(error)
        else:
            self._back()

    def _make_all(self) -> None:
        """A burst with pauses, so that a call never waits for more than a slice of it; none where as many come in as go out, or at the end."""
        for number in count(1):
            if not self._drafts:
                return
            self._make(self._drafts.popleft())
            if number % SLICE == 0 and len(self._drafts) < BATCH and not self._closing.is_set():
                time.sleep(PAUSE_S)

    def _make(self, report: Report) -> None:
        try:
            fields = dict(report.fields)
            describe(fields, report.text)
            self._waiting.append(report.kind(**fields))
        except ValidationError as error:
            self.invalid += 1
            if self.invalid == 1:
                log.warning("a report is no valid event and is dropped, as are further ones: %s", explain(error))

    def _away(self, error: Exception) -> None:
        if not self._is_away:
            log.warning("pointsman is away: %s: %s. The calls go on; reports wait, and what does not fit is dropped", type(error).__name__, str(error)[:300])
        self._is_away = True
        self._next = time.monotonic() + self._wait
        self._wait = min(2.0 * self._wait, LONGEST_WAIT_S)

    def _back(self) -> None:
        if self._is_away:
            log.warning("pointsman is back; %d reports were dropped so far", self.dropped)
        self._is_away, self._wait, self._next = False, FIRST_WAIT_S, 0.0

    def _drop(self, lost: int) -> None:
        if not self._lost and not self._closing.is_set():
            log.warning("%d reports wait for pointsman: further ones are dropped and counted", self._most_waiting)
        self._lost += lost


def _close(reference: "weakref.ref[Reports]") -> None:
    reports = reference()
    if reports is not None:
        reports.close()


__all__ = ["Report", "Reports"]
