"""The virtual clock of an engine that shares its speed: processor sharing in virtual time (Kleinrock 1967, fair queueing: Demers et al. 1989)."""

import math
from bisect import bisect_left
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .packing import pack, unpack

HISTORY = 512
SLOWEST_STEP = 0.02
MOST_RUNNING = 4096


class IterationTimes:
    """Seconds per token of one running request, by how many run: one average per half octave of that number.

    What is averaged is the speed, tokens per second and request; averaging its inverse is biased by what few tokens an idle moment has.

    >>> times = IterationTimes()
    >>> times.learn(4.0, 50.0)
    >>> times.at(4.0)
    0.02
    """

    __slots__ = ("_counts", "_speeds", "_table")

    def __init__(self) -> None:
        self._speeds: dict[int, float] = {}
        self._counts: dict[int, int] = {}
        self._table: list[float] = []

    @property
    def is_known(self) -> bool:
        """Whether any speed was seen."""
        return bool(self._speeds)

    @staticmethod
    def _bin(running: float) -> int:
        return round(2.0 * math.log2(max(running, 1.0)))

    def learn(self, running: float, speed: float) -> None:
        """A sample: this many ran, each at `speed` tokens per second."""
        place = self._bin(running)
        self._counts[place] = count = min(self._counts.get(place, 0) + 1, 1 << 30)
        old = self._speeds.get(place, speed)
        self._speeds[place] = old + max(1.0 / count, SLOWEST_STEP) * (speed - old)
        self._table = []

    def at(self, running: float) -> float:
        """Seconds per token where this many run; the nearest number that was seen stands in for one that was not."""
        place = self._bin(running)
        speed = self._speeds.get(place)
        if speed is None:
            speed = self._speeds[min(self._speeds, key=lambda seen: (abs(seen - place), seen))]
        return 1.0 / speed

    def table(self, most: int) -> list[float]:
        """The same for 0, 1, ... requests, at least `most`."""
        if len(self._table) <= most:
            self._table = [self.at(running) for running in range(min(max(2 * most, 64), 2 * MOST_RUNNING) + 1)]
        return self._table

    def snapshot(self) -> list[list[float]]:
        """The state as plain values."""
        return [[place, speed, self._counts[place]] for place, speed in self._speeds.items()]

    @classmethod
    def restore(cls, state: list[list[float]]) -> "IterationTimes":
        """The times that left this snapshot."""
        times = cls()
        times._speeds = {int(place): speed for place, speed, _ in state}
        times._counts = {int(place): int(count) for place, _, count in state}
        return times


class VirtualClock:
    """V(t): the tokens that a request running all the time would have been given. A request's length in V does not depend on the load it met."""

    __slots__ = ("_moments", "_values", "last", "speed", "usual_gap", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.speed = 0.0
        self.last: float | None = None
        self.usual_gap = 0.0
        self._moments: list[float] = []
        self._values: list[float] = []

    def advance(self, now: float, speed: float, is_continuous: bool) -> None:
        """A sample: since the last one each running request was given `speed` tokens per second."""
        if self.last is not None and is_continuous:
            gap = now - self.last
            self.value += gap * speed
            self.usual_gap = gap if self.usual_gap == 0.0 else self.usual_gap + 0.1 * (min(gap, 4.0 * self.usual_gap) - self.usual_gap)
        self.speed, self.last = speed, now
        self._moments.append(now)
        self._values.append(self.value)
        if len(self._moments) > HISTORY:  # the older half at half the resolution: a long request still finds its beginning
            half = HISTORY // 2
            self._moments[:half], self._values[:half] = self._moments[:half:2], self._values[:half:2]

    def now(self, now: float) -> float:
        """V at a moment after the last sample: as fast as then, for two usual gaps."""
        if self.last is None:
            return 0.0
        return self.value + min(max(now - self.last, 0.0), 2.0 * self.usual_gap) * self.speed

    def at(self, moment: float) -> float:
        """V at any moment that the history covers."""
        place = bisect_left(self._moments, moment)
        if place == len(self._moments):
            return self.now(moment)
        if place == 0:
            return self._values[0]
        before, after = self._moments[place - 1], self._moments[place]
        share = (moment - before) / (after - before) if after > before else 1.0
        return self._values[place - 1] + (self._values[place] - self._values[place - 1]) * share

    def copy(self) -> "VirtualClock":
        """One that goes on by itself."""
        clock = VirtualClock()
        clock.value, clock.speed, clock.last, clock.usual_gap = self.value, self.speed, self.last, self.usual_gap
        clock._moments, clock._values = self._moments.copy(), self._values.copy()
        return clock

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        history: NDArray[np.float64] = np.array([self._moments, self._values])
        return {"now": [self.value, self.speed, self.last, self.usual_gap], "history": pack(history.ravel(), "<f8")}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "VirtualClock":
        """The clock that left this snapshot."""
        clock = cls()
        clock.value, clock.speed, clock.last, clock.usual_gap = state["now"]
        history = unpack(state["history"], "<f8").tolist()
        half = len(history) // 2
        clock._moments, clock._values = history[:half], history[half:]
        return clock
