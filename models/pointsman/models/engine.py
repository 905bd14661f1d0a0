"""Time to first token and latency of a request to an engine with a queue, from its physics and what a forest learns of the rest."""

import math
from array import array
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from .engine_clock import IterationTimes, VirtualClock
from .engine_experts import Experts
from .engine_gauges import Gauges, Hosts
from .engine_lengths import YOUNG, Lengths, quantile
from .engine_queue import DRAINS, EXPERTS, FULL, STEPS, Crowd, Queue, Underway
from .engine_reach import Reach
from .forest import RotatingForest
from .quantiles import SlidingQuantiles
from .situation import Situation

STALE_S = 10.0
CONTINUOUS_S = 30.0
PREFILL_STEP = 0.1
PACES = (4, 16, 64)
LONG_WAIT = 5.0
SHORTEST_LENGTH = 0.5
INPUTS = 12
TTFT, SPEED = 0, 1
COLUMNS = ((2, 3, 4, 5, 6, 8, 9, 10, 11), (0, 1, 2, 3, 5, 6, 7))
_TINY_S = 1e-4
_SHORTEST_S = 1e-3
_LONGEST_S = 1e3


@dataclass(frozen=True, slots=True)
class EngineForecast:
    """ln of the median TTFT and latency in ms; `near` says how like another a request is: load, ln gap, ln length and ln wait, each in e-folds of effect.

    `beyond` is ln of how many times further the load is, or was for someone still in flight, than any of which outcomes are known.
    `near` is for intervals of the TTFT; those of the latency held better by the median alone (benchmarks.latency).
    """

    ttft_ms: float
    latency_ms: float
    near: tuple[float, ...]
    beyond: float = 0.0


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What the physics says of a request at its start, in seconds and tokens."""

    slot: float
    prefill: float
    spread: float
    length: float
    decode: float
    crowded: float
    waiting: int
    in_flight: int
    load: float


def _log(seconds: float) -> float:
    return math.log(min(max(seconds, _SHORTEST_S), _LONGEST_S))


class Engine:
    """One track that is an engine with a queue, such as vLLM: hand it every sample, start and end in the order of time.

    Physics: a virtual clock counts the tokens that one running request gets, so that lengths learned under one load hold under another; the queue
    is drained in thought, first in first out, to find when a slot is free and how fast decoding goes, with and without further arrivals.
    On that stand learned corrections: experts for the wait, weighted by load, of which a forest on the log ratio is one, and a forest for the speed.
    Requests that failed or were given up must leave by `complete` or `abandon`, else they count as in flight for ever.

    Without gauges that are fresh (10 s) it goes by its own count of requests, the slots and speeds that completions reveal (`output_tokens` is needed then).
    """

    def __init__(self, seed: int = 1) -> None:
        self.hosts = Hosts()
        self.clock = VirtualClock()
        self.times = IterationTimes()
        self.lengths = Lengths()
        self.queue = Queue()
        self.experts = Experts(EXPERTS)
        self.forest = RotatingForest(INPUTS, 2, columns=COLUMNS, seed=seed)
        self.idle = SlidingQuantiles(64)
        self.gauges: Gauges | None = None
        self.sampled_at: float | None = None
        self.prefill = 0.0
        self.area = 0.0
        self.reach = Reach(PACES[1:])
        self.starts: deque[float] = deque(maxlen=PACES[-1])
        self.ends: deque[tuple[float, float]] = deque(maxlen=256)

    # what happens

    def sampled(self, now: float, gauges: Mapping[str, float], host: str = "") -> None:
        """An engine's own gauges; a sample without a number of running requests is not an engine's."""
        whole = self.hosts.sampled(host, now, gauges)
        if whole is None or (self.clock.last is not None and now < self.clock.last):
            return
        before = self.gauges.running if self.gauges is not None else 0.0
        running = 0.5 * (before + whole.running) if before > 0.0 and whole.running > 0.0 else whole.running
        if whole.generation is None:
            speed = 1.0 / self.times.at(running) if running > 0.0 and self.times.is_known else 0.0
        else:
            speed = whole.generation / running if running > 0.0 else 0.0
            if speed > 0.0:
                self.times.learn(running, speed)
        self._advance(now, running, speed)
        self._take_sides(whole)
        self.gauges, self.sampled_at = whole, now

    def start(self, request_id: str, situation: Situation) -> EngineForecast | None:
        """A request arrives: what to expect of it, or None while too little is known of the engine."""
        now = situation.now
        if not self._is_sampled(now):
            self._go_by_count(now)
        log_input = math.log1p(max(situation.input_tokens or 0, 0))
        entry = self.queue.enter(request_id, now, log_input)
        entry.area, entry.in_flight = self.area, len(self.queue) - 1
        gaps = self._gaps(now)
        self.starts.append(now)
        entry.gaps = _single(gaps[1]), _single(gaps[2])
        self.queue.note(request_id, entry, _single(self.reach.beyond(entry.in_flight, entry.gaps)))
        if len(self.lengths) < YOUNG or not self.times.is_known:
            return None
        outlook = self._outlook(entry, gaps)
        return self._forecast(entry, outlook, gaps)

    def peek(self, situation: Situation) -> EngineForecast | None:
        """What `start` would say of such a request; changes nothing."""
        kept = self.clock, self.queue, self.starts, self.gauges, self.area
        self.clock, self.queue, self.starts = self.clock.copy(), self.queue.copy(), self.starts.copy()
        try:
            return self.start("", situation)
        finally:
            self.clock, self.queue, self.starts, self.gauges, self.area = kept

    def complete(
        self, request_id: str, now: float, latency_ms: float | None, ttft_ms: float | None, *, success: bool, output_tokens: int | None = None
    ) -> None:
        """A request is over; one that failed only leaves."""
        entry = self.queue.leave(request_id)
        if entry is None:
            return
        if not self._is_sampled(now):
            self._go_by_count(now)
        if success and latency_ms is not None and latency_ms > 0.0:
            self._learn(entry, now, latency_ms / 1000.0, None if ttft_ms is None else min(ttft_ms, latency_ms) / 1000.0, output_tokens)

    def abandon(self, request_id: str, now: float) -> None:
        """A request was given up without a word of its end."""
        self.queue.leave(request_id)

    @property
    def is_beyond(self) -> bool:
        """Whether the load is beyond any of which outcomes are known (`Reach`), or was when someone started who is still in flight.

        Intervals can't be trusted then: what becomes of such loads is not known yet.
        """
        return bool(self.queue.strangers)

    def _gaps(self, now: float) -> list[float]:
        return [now - self.starts[-count] if len(self.starts) >= count else _LONGEST_S for count in PACES]

    # physics

    def _is_sampled(self, now: float) -> bool:
        return self.sampled_at is not None and now - self.sampled_at <= max(STALE_S, 4.0 * self.clock.usual_gap)

    def _advance(self, now: float, running: float, speed: float) -> None:
        gap = now - self.clock.last if self.clock.last is not None else 0.0
        self.area += max(gap, 0.0) * running
        self.clock.advance(now, speed, self.clock.last is not None and gap < CONTINUOUS_S)

    def _go_by_count(self, now: float) -> None:
        """Without gauges: as many run as there are, or slots; as fast as that many did."""
        queue, last = self.queue, self.clock.last
        if last is not None and now <= last:
            return
        running = min(len(queue), queue.slots)
        speed = 1.0 / self.times.at(running) if running and self.times.is_known else 0.0
        self._advance(now, running, speed)
        queue.admit(max(len(queue) - queue.slots, 0), self.clock.value)
        queue.foreign, queue.drains, self.gauges = 0.0, [], None

    def _take_sides(self, whole: Gauges) -> None:
        """Who waits, who runs, how many can, and how fast prompts are read while that is what others wait for."""
        queue = self.queue
        waiting = whole.waiting if whole.waiting is not None else max(len(queue) - whole.running, 0.0)
        queue.admit(int(waiting), self.clock.value)
        queue.observe(whole.running, waiting > 0.0)
        queue.foreign = max(whole.running - len(queue.running), 0.0)
        queue.drains = []
        if waiting > 0.0 and whole.running < FULL * queue.most_running and whole.prompt:
            self.prefill += (PREFILL_STEP if self.prefill > 0.0 else 1.0) * (whole.prompt - self.prefill)

    def _outlook(self, entry: Underway, gaps: Sequence[float]) -> _Outlook:
        queue, now = self.queue, entry.started
        if not queue.drains:
            queue.build(self.lengths, self.clock.now(now), self.times, entry)
        waiting = len(queue.waiting) - 1
        row = self.lengths.near([entry.log_input])[0]
        waits = queue.join(entry, row, self.times)
        slot = sum(waits) / DRAINS
        since = min(now - (self.clock.last if self.clock.last is not None else now), 2.0 * self.clock.usual_gap)
        prefill = max(queue.waiting_tokens / self.prefill - since, 0.0) if self.prefill > 0.0 else 0.0
        length = max(quantile(row, 0.5), SHORTEST_LENGTH)
        survival = self.lengths.survival(length / STEPS * (np.arange(STEPS, dtype=np.float64) + 0.5))
        crowd = Crowd(PACES[-1] / max(gaps[-1], _SHORTEST_S), PACES[-1], max(slot, prefill), survival)
        load = entry.in_flight / max(queue.most_running, 1.0)
        decode, crowded = queue.decode_s(length, self.times), queue.crowded_s(length, self.times, crowd)
        return _Outlook(slot, prefill, max(waits) - min(waits), length, decode, crowded, waiting, entry.in_flight, load)

    # learning

    def _forecast(self, entry: Underway, outlook: _Outlook, gaps: Sequence[float]) -> EngineForecast:
        wait = max(outlook.slot, outlook.prefill)
        base = max(wait, self.idle.get(0.5) if len(self.idle) else 0.0, _TINY_S)
        inputs = np.array(self._inputs(outlook, base, gaps), np.float16)
        x: list[float] = inputs.tolist()
        beside = wait + 0.5 * min(outlook.slot, outlook.prefill)
        said = (base, max(base, beside), max(base, outlook.slot + outlook.prefill), base * math.exp(self._correction(x, wait)))
        entry.inputs, entry.load, entry.is_free = inputs.tobytes(), _single(outlook.load), wait == 0.0
        entry.experts = tuple(_single(math.log(one)) for one in said)
        ttft = 0.5 * base + 0.5 * math.exp(self.experts.predict(entry.experts, entry.load))
        per_token = math.exp(self.forest.predict(x, SPEED)) if self.forest.is_ready else outlook.crowded / outlook.length
        latency = max(wait + outlook.length * per_token, ttft)
        near = (1.5 * x[3], 0.5 * x[5], 0.3 * x[1], 0.3 * x[2])
        return EngineForecast(math.log(1000.0 * ttft), math.log(1000.0 * latency), near, self.queue.beyond)

    def _correction(self, x: Sequence[float], wait: float) -> float:
        """The forest's log ratio; where there is a wait the physics knows better than leaves at loads never seen: half of it, at most ½."""
        said = self.forest.predict(x, TTFT)
        return max(-0.5, min(0.5, 0.5 * said)) if wait > 0.0 else said

    def _inputs(self, outlook: _Outlook, base: float, gaps: Sequence[float]) -> list[float]:
        gauges = self.gauges
        return [
            math.log(max(outlook.decode, _TINY_S) / outlook.length),
            math.log(outlook.length),
            _log(base),
            min(outlook.load, 1e3),
            *(_log(gap) for gap in gaps),
            math.log(max(outlook.crowded, _TINY_S) / outlook.length),
            _log(outlook.slot),
            _log(outlook.prefill),
            _log(outlook.spread),
            math.log1p(gauges.waiting if gauges is not None and gauges.waiting is not None else outlook.waiting),
        ]

    def _learn(self, entry: Underway, now: float, latency: float, ttft: float | None, output_tokens: int | None) -> None:
        wait = ttft if ttft is not None else min(math.exp(entry.base), latency) if entry.inputs else 0.0
        decode = max(latency - wait, _TINY_S)
        if not self._is_sampled(now) or (self.gauges is not None and self.gauges.generation is None):
            if not output_tokens:
                return
            self._learn_unsampled(entry, now, latency, wait, output_tokens)
            length = float(output_tokens)
        else:
            length = max(self.clock.now(now) - self.clock.at(now - latency + wait), SHORTEST_LENGTH)
        self.ends.append((now, entry.started))
        self.lengths.add(entry.log_input, length)
        self.reach.learn(entry.in_flight, entry.gaps)
        if ttft is not None and (entry.is_free or not entry.inputs):
            self.idle.update(_single(ttft))
        if entry.inputs:
            self._learn_ratios(entry, decode, length, ttft)

    def _learn_ratios(self, entry: Underway, decode: float, length: float, ttft: float | None) -> None:
        """Ratios are learned in logs; what weighs is the root of the seconds at stake: the seconds themselves would leave only the busiest to learn from."""
        log_ttft = math.log(max(ttft, _TINY_S)) if ttft is not None else entry.base
        if ttft is not None:
            self.experts.learn(entry.experts, log_ttft, entry.load)
        weights = (math.exp(0.5 * entry.base) if ttft is not None else 0.0, math.sqrt(decode) if length > 6.0 * SHORTEST_LENGTH else 0.0)
        self.forest.learn(np.frombuffer(entry.inputs, np.float16), (log_ttft - entry.base, math.log(decode / length)), weights)

    def _learn_unsampled(self, entry: Underway, now: float, latency: float, wait: float, output_tokens: int) -> None:
        """Speed by how many ran beside on average; how many ran when this one's turn came, by the rule first in, first out."""
        decode, queue = latency - wait, self.queue
        running = max((self.area - entry.area) / latency, 1.0)
        if decode > 0.0:
            self.times.learn(running, output_tokens / decode)
        turn = now - latency + wait
        beside = sum(other.started <= entry.started for group in (queue.running, queue.waiting) for other in group.values())
        beside += sum(end > turn and started <= entry.started for end, started in self.ends)
        waited_long = len(self.idle) >= YOUNG and wait > LONG_WAIT * self.idle.get(0.5)
        queue.observe(beside + 1.0, waited_long)

    # state

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "hosts": self.hosts.snapshot(),
            "clock": self.clock.snapshot(),
            "times": self.times.snapshot(),
            "lengths": self.lengths.snapshot(),
            "queue": self.queue.snapshot(),
            "experts": self.experts.snapshot(),
            "forest": self.forest.snapshot(),
            "idle": self.idle.snapshot(),
            "gauges": list(astuple(self.gauges)) if self.gauges is not None else None,
            "now": [self.sampled_at, self.prefill, self.area],
            "reach": self.reach.snapshot(),
            "starts": list(self.starts),
            "ends": [list(pair) for pair in self.ends],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self.hosts, self.clock = Hosts.restore(state["hosts"]), VirtualClock.restore(state["clock"])
        self.times, self.queue = IterationTimes.restore(state["times"]), Queue.restore(state["queue"])
        self.lengths = Lengths.restore(state["lengths"])
        self.experts.restore(state["experts"])
        self.forest.restore(state["forest"])
        self.idle.restore(state["idle"])
        self.gauges = Gauges(*state["gauges"]) if state["gauges"] is not None else None
        self.sampled_at, self.prefill, self.area = state["now"]
        self.reach.restore(state["reach"])
        self.starts = deque(state["starts"], maxlen=PACES[-1])
        self.ends = deque(((end, started) for end, started in state["ends"]), maxlen=256)


def _single(value: float) -> float:
    """Rounded to single precision, as a snapshot keeps it."""
    return array("f", (value,))[0]
