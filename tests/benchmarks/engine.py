"""A queue with N slots whose speed depends on how many run: a discrete-event model of an inference server, fitted to a recording."""

import heapq
import math
import statistics
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from pointsman.schemas import AnyInput, RequestCompleted, RequestStarted, ResourceSampled

LONGEST_GAP_S = 10.0  # between two samples of one run


@dataclass(frozen=True, slots=True)
class Fit:
    """What was measured: slots, seconds a token takes a request while so many run, and the time to a first token on a calm server."""

    slots: int
    running: tuple[float, ...]
    seconds_per_token: tuple[float, ...]
    first_token_s: float

    def pace(self, running: int) -> float:
        """Seconds a token takes while so many requests run, interpolated between what was measured.

        >>> Fit(8, (1.0, 3.0), (0.01, 0.03), 0.1).pace(2)
        0.02
        """
        place = bisect_left(self.running, running)
        if place == 0 or place == len(self.running):
            return self.seconds_per_token[min(place, len(self.running) - 1)]
        low, high = self.running[place - 1], self.running[place]
        part = (running - low) / (high - low)
        return self.seconds_per_token[place - 1] * (1.0 - part) + self.seconds_per_token[place] * part

    def capacity(self, tokens: float) -> float:
        """Requests a second of this mean length at the number running that serves most."""
        return max(running / pace for running, pace in zip(self.running, self.seconds_per_token, strict=True)) / tokens


def fit(events: Iterable[AnyInput], track: str) -> Fit:
    """Medians of running ÷ throughput in bins of round(2 log2 running), from the engine's samples; the first token from the calmest tenth.

    Gauge and requests do not count tokens alike (lengths were recorded in characters): the pace is scaled by the ratio of their totals.
    """
    bins: dict[int, list[tuple[float, float]]] = {}
    most, first, last, gauged, served = 1, list[float](), -math.inf, 0.0, 0
    for event in events:
        if isinstance(event, ResourceSampled) and event.gauges:
            running, speed = event.gauges["running"], event.gauges["generation_tokens_per_s"]
            most = max(most, int(running))
            gauged += speed * (event.occurred_at - last if event.occurred_at - last <= LONGEST_GAP_S else 0.0)
            last = event.occurred_at
            if running > 0 and speed > 0:
                bins.setdefault(round(2 * math.log2(running)), []).append((running, running / speed))
        elif isinstance(event, RequestCompleted) and event.track == track and event.ttft_ms is not None:
            first.append(event.ttft_ms / 1000.0)
            served += event.output_tokens or 0
    scale = gauged / served
    rows = [(statistics.fmean(one for one, _ in bins[key]), scale * _pace(bins[key])) for key in sorted(bins)]
    return Fit(most, tuple(one for one, _ in rows), tuple(pace for _, pace in rows), sorted(first)[len(first) // 10])


def _pace(rows: list[tuple[float, float]]) -> float:
    return sum(running for running, _ in rows) / sum(running / pace for running, pace in rows)


class Engine:
    """Processor sharing on a virtual clock of tokens: all that run get one token per `pace(running)` seconds; the others wait in line.

    >>> engine = Engine(Fit(1, (1.0,), (0.01,), 0.1))
    >>> engine.submit(0, 0.0, 100.0); engine.submit(1, 0.5, 100.0)
    >>> engine.advance(3.0)
    [(1.0, 0, 0.0), (2.0, 1, 1.0)]
    """

    def __init__(self, fitted: Fit) -> None:
        self._fit = fitted
        self._tokens = 0.0
        self._now = 0.0
        self._running: list[tuple[float, int, float]] = []
        self._waiting: deque[tuple[int, float]] = deque()

    @property
    def running(self) -> int:
        """How many are being served."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    def submit(self, number: int, now: float, tokens: float) -> None:
        """A request of so many tokens arrives; call `advance(now)` before."""
        self.advance(now)
        self._waiting.append((number, tokens))
        self._admit()

    def next_end(self) -> float:
        """When the next request ends if nothing else comes."""
        if not self._running:
            return math.inf
        return self._now + (self._running[0][0] - self._tokens) * self._fit.pace(len(self._running))

    def advance(self, to: float) -> list[tuple[float, int, float]]:
        """Move to a time; (end, request, admitted at) of what ended on the way."""
        ended = []
        while (end := self.next_end()) <= to:
            self._now, self._tokens = end, self._running[0][0]
            _, number, admitted = heapq.heappop(self._running)
            ended.append((end, number, admitted))
            self._admit()
        if self._running:
            self._tokens += (to - self._now) / self._fit.pace(len(self._running))
        self._now = to
        return ended

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._fit.slots:
            number, tokens = self._waiting.popleft()
            heapq.heappush(self._running, (self._tokens + tokens, number, self._now))


def recorded_runs(events: Iterable[AnyInput], track: str) -> dict[str, list[tuple[RequestStarted, RequestCompleted]]]:
    """The joined requests of one track by run; the run is what precedes the last dash of a request's id."""
    started: dict[str, RequestStarted] = {}
    runs: dict[str, list[tuple[RequestStarted, RequestCompleted]]] = {}
    for event in events:
        if isinstance(event, RequestStarted) and event.track == track:
            started[event.request_id] = event
        elif isinstance(event, RequestCompleted) and event.track == track and event.success and event.request_id in started:
            runs.setdefault(event.request_id.rsplit("-", 1)[0], []).append((started[event.request_id], event))
    for rows in runs.values():
        rows.sort(key=lambda row: row[0].occurred_at)
    return runs
