"""How rare a value is among the last 6,000: one number that means the same for every statistic of every series."""

import math
from bisect import bisect_left, insort
from typing import Any

import numpy as np

from .packing import pack, unpack

BLOCKS, ROWS, KEPT = 12, 500, 24
WARM_UP = 100
TAIL_SHARE, FEWEST = 0.004, 5
LEAST_SLOPE = 0.1
BINS, PER_OCTAVE = 64, 2
_LOG10 = 1.0 / math.log(10.0)


class Surprise:
    """-log10 of the probability of a value at least as large, for values from 0 on.

    Exact among the largest, of which each block of 500 rows keeps 24; by a histogram of half octaves in the body; beyond the k-th largest by Hill's estimate
    of a Pareto tail (Hill 1975), k = 0.4 % of the rows. Ties count as at least as large. The first 100 values are no surprise.

    >>> surprise = Surprise()
    >>> for value in range(1000):
    ...     surprise.learn(float(value % 10))
    >>> surprise.say(5.0) < 1.0, surprise.say(1000.0) > 4.0
    (True, True)
    """

    __slots__ = ("_blocks", "_body", "_bound", "_exact_from", "_is_stale", "_largest", "_rows", "_seen", "_slope", "_tail", "_unit", "_weight")

    def __init__(self) -> None:
        self._blocks: list[list[float]] = [[]]
        self._rows = [0]
        self._largest: list[float] = []
        self._seen = 0
        self._body = [0.0] * BINS
        self._weight = 0.0
        self._unit = 0.0
        self._tail, self._bound, self._slope, self._exact_from = 0, 0.0, LEAST_SLOPE, 0.0
        self._is_stale = True

    def say(self, value: float) -> float:
        """How surprising a value would be; nothing changes."""
        return self._said(value) if self._seen >= WARM_UP else 0.0

    def learn(self, value: float) -> None:
        """Count a value."""
        if self._unit == 0.0 and value > 0.0:
            self._unit = value
        self._count(self._place(value))
        self._keep(value)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [[pack(np.array(block)) for block in self._blocks], list(self._rows), pack(np.array(self._body)), self._weight, self._unit]

    @classmethod
    def restore(cls, state: list[Any]) -> "Surprise":
        """The state of a snapshot."""
        made = cls()
        made._blocks, made._rows, made._body = [unpack(block, "<f8").tolist() for block in state[0]], list(state[1]), unpack(state[2], "<f8").tolist()
        made._weight, made._unit = state[3], state[4]
        made._largest = sorted(value for block in made._blocks for value in block)
        made._seen = sum(made._rows)
        return made

    def _place(self, value: float) -> int:
        """The bin of the body that a value belongs to; the first is for zeros."""
        if value <= 0.0 or self._unit == 0.0:
            return 0
        return min(max(int(PER_OCTAVE * math.log2(value / self._unit)) + BINS // 2, 1), BINS - 1)

    def _said(self, value: float) -> float:
        largest, seen = self._largest, self._seen
        tail = min(max(int(TAIL_SHARE * seen), FEWEST), len(largest) - 1)
        if self._is_stale or tail != self._tail:
            self._fit(tail)
        if value > self._bound > 0.0:
            return math.log10((seen + 1.0) / (tail + 1.0)) + math.log(value / self._bound) / self._slope * _LOG10
        if value > self._exact_from:
            return math.log10((seen + 1.0) / (len(largest) - bisect_left(largest, value) + 1.0))
        above = 1.0 + sum(self._body[self._place(value) :])  # exact in any order: counts and their halves
        return -math.log10(max(above / (self._weight + 1.0), (tail + 1.0) / (seen + 1.0)))

    def _fit(self, tail: int) -> None:
        """The bound of the tail, its slope, and from where on every value is kept."""
        largest = self._largest
        self._tail, self._bound = tail, largest[len(largest) - tail]
        if self._bound > 0.0:
            total = 0.0
            for value in largest[len(largest) - tail :]:
                total += math.log(value / self._bound)
            self._slope = max(total / tail, LEAST_SLOPE)
        self._exact_from = max((block[0] for block in self._blocks if len(block) == KEPT), default=0.0)
        self._is_stale = False

    def _count(self, place: int) -> None:
        if self._weight >= BLOCKS * ROWS:
            self._body = [0.5 * count for count in self._body]
            self._weight *= 0.5
        self._body[place] += 1.0
        self._weight += 1.0

    def _keep(self, value: float) -> None:
        if self._rows[-1] >= ROWS:
            self._turn()
        block = self._blocks[-1]
        self._rows[-1] += 1
        self._seen += 1
        if len(block) == KEPT:
            if value <= block[0]:
                return
            del self._largest[bisect_left(self._largest, block[0])]
            del block[0]
        insort(block, value)
        insort(self._largest, value)
        self._is_stale = True

    def _turn(self) -> None:
        """Begin a block, and forget the oldest of twelve."""
        if len(self._blocks) == BLOCKS:
            for value in self._blocks.pop(0):
                del self._largest[bisect_left(self._largest, value)]
            self._seen -= self._rows.pop(0)
        self._blocks.append([])
        self._rows.append(0)
        self._is_stale = True


__all__ = ["WARM_UP", "Surprise"]
