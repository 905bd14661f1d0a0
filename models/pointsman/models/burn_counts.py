"""Requests, and those of them that broke an objective, over sliding windows of event time."""

import math
from array import array
from itertools import pairwise
from typing import Any

from .burn_rules import scale

CELLS = ((15.0, 120), (120.0, 180), (1800.0, 144))  # seconds and number, of a month's objective: up to half an hour, six hours, three days
WINDOW_CELLS = 120
Count = tuple[int, int]


class Cells:
    """What had been counted at the beginning of each of the last cells of `width` seconds, in a ring."""

    __slots__ = ("_broken", "_requests", "at", "size", "width")

    def __init__(self, width: float, cells: int) -> None:
        self.width = width
        self.size = cells + 1
        self.at = 0
        self._requests, self._broken = array("q", bytes(8 * self.size)), array("q", bytes(8 * self.size))

    def roll(self, now: float, requests: int, broken: int) -> None:
        """The clock is at `now`, with so many counted before."""
        cell = math.floor(now / self.width)
        for passed in range(max(self.at + 1, cell - self.size + 1), cell + 1):
            self._requests[passed % self.size], self._broken[passed % self.size] = requests, broken
        self.at = max(self.at, cell)

    def before(self, cells: int) -> Count:
        """What had been counted at the beginning of the cell so many before this one."""
        place = (self.at - min(cells, self.size - 1)) % self.size
        return self._requests[place], self._broken[place]

    def snapshot(self) -> list[Any]:
        """The state as plain values: the oldest counts, and by how much each later one is more."""
        columns: list[Any] = [self.at]
        for values in (self._requests, self._broken):
            ordered = [values[(self.at + 1 + place) % self.size] for place in range(self.size)]
            columns.append([ordered[0], *(after - before for before, after in pairwise(ordered))])
        return columns

    def restore(self, state: list[Any]) -> None:
        """Take up a snapshot."""
        self.at = state[0]
        for values, steps in zip((self._requests, self._broken), state[1:], strict=True):
            total = 0
            for place, step in enumerate(steps):
                total += step
                values[(self.at + 1 + place) % self.size] = total


class Counts:
    """All that was ever counted, and from when: a window is what has come since the beginning of the cell that its own beginning lies in.

    So a window is at most a cell longer than asked for: 15 s up to half an hour, 2 min up to six hours, half an hour up to three days, a 120th of the
    objective's window for that; all times `scale` for objectives of other windows than a month. 9 KB, two additions a request.

    >>> counts = Counts(28 * 86_400.0)
    >>> for second in range(0, 7200, 10):
    ...     counts.advance(1.7e9 + second)
    ...     counts.add(is_broken=second % 100 == 0)
    >>> counts.over(300.0), counts.over(3600.0), counts.over(86_400.0), counts.whole()
    ((32, 3), (368, 36), (720, 72), (720, 72))
    """

    __slots__ = ("_next", "_rings", "_scale", "broken", "requests")

    def __init__(self, window_s: float) -> None:
        self.requests = 0
        self.broken = 0
        self._scale = scale(window_s)
        self._rings = [Cells(width * self._scale, cells) for width, cells in CELLS] + [Cells(window_s / WINDOW_CELLS, WINDOW_CELLS)]
        self._next = -math.inf

    def advance(self, now: float) -> None:
        """The clock is at `now`."""
        if now >= self._next:
            for ring in self._rings:
                ring.roll(now, self.requests, self.broken)
            self._set_next()

    def add(self, *, is_broken: bool) -> None:
        """One request, now."""
        self.requests += 1
        self.broken += is_broken

    def over(self, seconds: float) -> Count:
        """Requests and broken ones of the last so many seconds, which are a window of a rule."""
        ring, cells = self.ring(seconds)
        requests, broken = ring.before(cells)
        return self.requests - requests, self.broken - broken

    def ring(self, seconds: float) -> tuple[Cells, int]:
        """The finest cells that reach so far back, and how many of them that is."""
        ring = next(ring for ring, (width, cells) in zip(self._rings, CELLS, strict=False) if seconds <= width * cells * self._scale * 1.001)
        return ring, round(seconds / ring.width)

    def whole(self) -> Count:
        """Requests and broken ones of the objective's window."""
        requests, broken = self._rings[-1].before(WINDOW_CELLS)
        return self.requests - requests, self.broken - broken

    def leaving(self) -> list[tuple[float, int]]:
        """How many of the broken requests the window will hold until when: (epoch seconds, broken requests), in order of time."""
        ring = self._rings[-1]
        found = []
        for cells in range(WINDOW_CELLS, -1, -1):
            found.append(((ring.at - cells + WINDOW_CELLS + 1) * ring.width, self.broken - ring.before(cells)[1]))
        return found

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.requests, self.broken, *(ring.snapshot() for ring in self._rings)]

    def restore(self, state: list[Any]) -> None:
        """Take up a snapshot."""
        self.requests, self.broken = state[:2]
        for ring, found in zip(self._rings, state[2:], strict=True):
            ring.restore(found)
        self._set_next()

    def _set_next(self) -> None:
        self._next = min((ring.at + 1) * ring.width for ring in self._rings) if self._rings[0].at else -math.inf


__all__ = ["CELLS", "WINDOW_CELLS", "Cells", "Count", "Counts"]
