"""The queue of an engine, first in first out into a bounded number of slots, and how it will drain."""

import heapq
import math
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import added, dot
from .engine_clock import IterationTimes
from .engine_lengths import Lengths, remaining
from .packing import pack, unpack

GOLDEN = 0.6180339887498949
DRAINS = 3
HELD = 3
EXPERTS = 4
STEPS = 16
FULL = 0.95
MOST_IN_FLIGHT = 4096


@dataclass(slots=True)
class Underway:
    """A request in flight and what was said of it; all but the first two groups are kept with single precision.

    `started`, `admitted` (V when it left the queue) and `area` (requests running × s) by then; `level` draws its length among its neighbours';
    the rest as logarithms of seconds: what each expert said of its TTFT; `load` (in flight ÷ slots), `gaps` of the last 16 and 64 starts, `in_flight`
    beside it, `beyond` known loads.
    """

    started: float
    log_input: float
    level: float
    admitted: float = 0.0
    area: float = 0.0
    experts: tuple[float, ...] = (0.0,) * EXPERTS
    load: float = 0.0
    gaps: tuple[float, float] = (0.0, 0.0)
    in_flight: int = 0
    is_free: bool = False
    beyond: float = 0.0
    inputs: bytes = b""

    @property
    def base(self) -> float:
        """ln of the seconds that the queue's own physics says."""
        return self.experts[0]

    def exact(self) -> list[float]:
        """What is kept with double precision."""
        return [self.started, self.log_input, self.level, self.admitted, self.area]

    def rough(self) -> list[float]:
        """What is kept with single precision."""
        return [*self.experts, self.load, *self.gaps, float(self.in_flight), float(self.is_free), self.beyond]

    @classmethod
    def read(cls, exact: list[float], rough: list[float], inputs: bytes) -> "Underway":
        """The request of a snapshot."""
        started, log_input, level, admitted, area = exact
        load, fast, steady, in_flight, is_free, beyond = rough[EXPERTS:]
        return cls(started, log_input, level, admitted, area, tuple(rough[:EXPERTS]), load, (fast, steady), int(in_flight), bool(is_free), beyond, inputs)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who may come yet: `pace` per second, `most` at all, since `ahead_s` before the admission that is looked at.

    `survival` is the share of lengths beyond 0, 1, ... of STEPS equal parts of the own length.
    """

    pace: float
    most: float
    ahead_s: float
    survival: NDArray[np.float64]


class Drain:
    """One possible future of the queue: what runs ends in the order of its remaining lengths, each end lets the next one in.

    `finishing` is a heap of virtual ends, in tokens from when the drain was built; `virtual` and `seconds` are when the last one let in started.
    """

    __slots__ = ("finishing", "seconds", "virtual")

    def __init__(self, finishing: list[float], seconds: float = 0.0, virtual: float = 0.0) -> None:
        self.finishing, self.seconds, self.virtual = finishing, seconds, virtual
        heapq.heapify(finishing)

    def push(self, length: float, slots: int, times: list[float]) -> None:
        """One more at the end of the queue."""
        finishing = self.finishing
        while len(finishing) >= slots:
            running = len(finishing)
            end = heapq.heappop(finishing)
            self.seconds += (end - self.virtual) * times[running]
            self.virtual = end
        heapq.heappush(finishing, self.virtual + length)


class Queue:
    """Requests of one track that wait and run, in the order of their arrival."""

    __slots__ = ("drains", "evicted", "foreign", "held", "most_running", "running", "started", "strangers", "waiting", "waiting_tokens")

    def __init__(self) -> None:
        self.waiting: dict[str, Underway] = {}
        self.running: dict[str, Underway] = {}
        self.drains: list[Drain] = []
        self.strangers: dict[str, float] = {}
        self.most_running = 0.0
        self.held = 0
        self.foreign = 0.0
        self.started = 0
        self.evicted = 0
        self.waiting_tokens = 0.0

    def __len__(self) -> int:
        return len(self.waiting) + len(self.running)

    def enter(self, request_id: str, now: float, log_input: float) -> Underway:
        """A request arrives and waits."""
        if len(self) >= MOST_IN_FLIGHT:
            self.leave(next(iter(self.running or self.waiting)))
            self.evicted += 1
        self.started += 1
        entry = self.waiting[request_id] = Underway(now, log_input, (self.started * GOLDEN) % 1.0)
        return entry

    def leave(self, request_id: str) -> Underway | None:
        """A request is over, however it ended."""
        self.strangers.pop(request_id, None)
        return self.running.pop(request_id, None) or self.waiting.pop(request_id, None)

    def note(self, request_id: str, entry: Underway, beyond: float) -> None:
        """So far beyond known loads a request starts."""
        entry.beyond = beyond
        if beyond > 0.0:
            self.strangers[request_id] = beyond

    @property
    def beyond(self) -> float:
        """The farthest that any in flight started beyond known loads; 0 where none did."""
        return max(self.strangers.values(), default=0.0)

    def admit(self, waiting: int, virtual: float) -> None:
        """Let the oldest in until this many wait."""
        for request_id in list(islice(self.waiting, max(len(self.waiting) - waiting, 0))):
            self.running[request_id] = replace(self.waiting.pop(request_id), admitted=virtual)

    def observe(self, running: float, is_full: bool) -> None:
        """So many ran at once; as many as ever, while others waited, says how many slots there are."""
        if running > self.most_running:
            self.held = self.held if running <= 1.02 * self.most_running else 0
            self.most_running = running
        if is_full and running >= FULL * self.most_running:
            self.held = min(self.held + 1, 1 << 30)

    @property
    def slots(self) -> int:
        """How many can run at once beside what is not ours; as good as endless until that was seen."""
        return max(round(self.most_running - self.foreign), 1) if self.held >= HELD else 2 * MOST_IN_FLIGHT

    def build(self, lengths: Lengths, virtual: float, times: IterationTimes, newest: Underway) -> None:
        """Draw the drains anew, without the newest: each request's length given how far it is, at other levels in each drain."""
        waiting = [entry for entry in self.waiting.values() if entry is not newest]
        entries = [*self.running.values(), *waiting]
        self.waiting_tokens = added(math.expm1(entry.log_input) for entry in waiting)
        rows = lengths.near([entry.log_input for entry in entries]) if entries else np.empty((0, 1), np.float32)
        ran = len(self.running)
        progress = np.array([virtual - entry.admitted for entry in entries[:ran]] + [-1.0] * (len(entries) - ran))
        levels = np.array([entry.level for entry in entries])
        slots, table = self.slots, times.table(len(entries) + 1)
        self.drains = []
        for number in range(DRAINS):
            left = remaining(rows, progress, (levels + number / DRAINS) % 1.0) - (progress < 0.0)
            drain = Drain(left[:ran].tolist())
            for length in left[ran:].tolist():
                drain.push(length, slots, table)
            self.drains.append(drain)

    def join(self, entry: Underway, row: NDArray[np.float32], times: IterationTimes) -> list[float]:
        """Put a new one at the end of every drain: seconds until it gets a slot, in each."""
        slots, table = self.slots, times.table(len(self) + 1)
        levels = (entry.level + np.arange(DRAINS) / DRAINS) % 1.0
        drawn = remaining(np.repeat(row[None], DRAINS, axis=0), np.zeros(DRAINS), levels).tolist()
        for drain, length in zip(self.drains, drawn, strict=True):
            drain.push(length, slots, table)
        self.waiting_tokens += math.expm1(entry.log_input)
        return [drain.seconds for drain in self.drains]

    def decode_s(self, length: float, times: IterationTimes) -> float:
        """Seconds for this many tokens from admission on, if nobody else came: as others finish before, it goes faster."""
        drain = self.drains[0]
        ends = np.sort(np.array(drain.finishing)) - drain.virtual
        ends = ends[ends < length]
        table = np.array(times.table(len(drain.finishing) + 1))
        running = np.maximum(len(drain.finishing) - np.arange(len(ends) + 1), 1)
        steps = np.diff(np.concatenate([[0.0], ends, [length]]))
        return float(np.cumsum(steps * table[running])[-1])

    def crowded_s(self, length: float, times: IterationTimes, crowd: "Crowd") -> float:
        """The same if others go on to arrive (a fluid): those that a free slot lets in slow it down until they are through."""
        drain = self.drains[0]
        ends = np.sort(np.array(drain.finishing)) - drain.virtual
        part = length / STEPS
        before = (len(ends) - np.searchsorted(ends, part * np.arange(STEPS), side="right")).tolist()
        slots, table, survival = self.slots, times.table(len(ends) + 1), crowd.survival.tolist()
        entered: list[float] = []
        pool = min(crowd.pace * crowd.ahead_s, crowd.most)
        to_come, seconds = crowd.most - pool, 0.0
        for step in range(STEPS):
            others = dot(entered, survival[step:0:-1])
            coming = min(pool, max(slots - before[step] - others, 0.0))
            spent = part * table[min(max(round(before[step] + others + coming), 1), len(table) - 1)]
            fresh = min(crowd.pace * spent, to_come)
            to_come -= fresh
            pool += fresh - coming
            seconds += spent
            entered.append(coming)
        return seconds

    def copy(self) -> "Queue":
        """One that goes on by itself; requests in flight are the same, nothing but their admission changes them."""
        queue = Queue()
        for name in Queue.__slots__:
            setattr(queue, name, getattr(self, name))
        queue.waiting, queue.running, queue.strangers = self.waiting.copy(), self.running.copy(), self.strangers.copy()
        queue.drains = [Drain(drain.finishing.copy(), drain.seconds, drain.virtual) for drain in self.drains]
        return queue

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        entries = [*self.running.items(), *self.waiting.items()]
        return {
            "ids": [name for name, _ in entries],
            "ran": len(self.running),
            "exact": pack(np.array([entry.exact() for _, entry in entries], np.float64), "<f8"),
            "rough": pack(np.array([entry.rough() for _, entry in entries], np.float64), "<f4"),
            "inputs": [len(entry.inputs) for _, entry in entries],
            "bytes": pack(np.frombuffer(b"".join(entry.inputs for _, entry in entries), np.uint8), "<u1"),
            "drains": [[pack(np.array(drain.finishing), "<f8"), drain.seconds, drain.virtual] for drain in self.drains],
            "now": [self.most_running, self.held, self.foreign, self.started, self.evicted, self.waiting_tokens],
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "Queue":
        """The queue that left this snapshot."""
        queue = cls()
        names = state["ids"]
        exact, rough = (unpack(state[name], kind).reshape(max(len(names), 1), -1).tolist() for name, kind in (("exact", "<f8"), ("rough", "<f4")))
        inputs, at = unpack(state["bytes"], "<u1").tobytes(), 0
        for place, (name, size) in enumerate(zip(names, state["inputs"], strict=True)):
            where = queue.running if place < state["ran"] else queue.waiting
            where[name] = entry = Underway.read(exact[place], rough[place], inputs[at : at + size])
            queue.note(name, entry, entry.beyond)
            at += size
        queue.drains = [Drain(unpack(text, "<f8").tolist(), seconds, virtual) for text, seconds, virtual in state["drains"]]
        queue.most_running, queue.held, queue.foreign, queue.started, queue.evicted, queue.waiting_tokens = state["now"]
        return queue
