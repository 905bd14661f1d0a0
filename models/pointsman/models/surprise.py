"""How rare a value is among the last 6,000: one number that means the same for every statistic of every series."""

import math
from array import array
from bisect import bisect_left
from typing import Any

import numpy as np

from .packing import pack, unpack

BLOCKS, ROWS, KEPT = 12, 500, 12
WARM_UP = 100
TAIL_SHARE, FEWEST = 0.004, 5
LEAST_SLOPE, FARTHEST = 0.1, 4.0  # one value however far off makes no heavy tail
BINS, PER_OCTAVE = 64, 2
_LOG10 = 1.0 / math.log(10.0)


class Surprise:
    """-log10 of the probability of a value at least as large, for values from 0 on that single precision holds exactly.

    Exact among the largest, of which each block of 500 rows keeps 12; by a histogram of half octaves in the body; beyond the k-th largest by Hill's estimate
    of a Pareto tail (Hill 1975), k = 0.4 % of the rows. Ties count as at least as large. The first 100 values are no surprise.

    >>> surprise = Surprise()
    >>> for value in range(1000):
    ...     surprise.learn(float(value % 10))
    >>> surprise.say(5.0) < 1.0, surprise.say(1000.0) > 4.0
    (True, True)
    """

    __slots__ = (
        "_asked",
        "_block",
        "_blocks",
        "_body",
        "_bound",
        "_exact_from",
        "_floor",
        "_is_stale",
        "_largest",
        "_place",
        "_rows",
        "_seen",
        "_slope",
        "_tail",
        "_unit",
        "_weight",
    )

    def __init__(self) -> None:
        self._largest = array("f")  # of all blocks, ascending, and beside each the block it is of
        self._blocks = bytearray()
        self._block = self._rows = self._seen = 0
        self._body = array("f", bytes(4 * BINS))
        self._weight = self._unit = 0.0
        self._floor = -1.0  # the smallest of a block that is full: what is not above it is not kept
        self._tail, self._bound, self._slope, self._exact_from = 0, 0.0, LEAST_SLOPE, 0.0
        self._is_stale = True
        self._asked, self._place = -1.0, 0

    def say(self, value: float) -> float:
        """How surprising a value would be; nothing changes."""
        seen = self._seen
        if seen < WARM_UP:
            return 0.0
        tail = int(TAIL_SHARE * seen) if seen > FEWEST / TAIL_SHARE else FEWEST
        if self._is_stale or tail != self._tail:
            self._fit(tail)
        if value > self._bound > 0.0:
            return math.log10((seen + 1.0) / (tail + 1.0)) + math.log(value / self._bound) / self._slope * _LOG10
        if value > self._exact_from:
            largest = self._largest
            return math.log10((seen + 1.0) / (len(largest) - bisect_left(largest, value) + 1.0))
        share = (1.0 + sum(self._body[self._placed(value) :])) / (self._weight + 1.0)  # exact in any order: counts and their halves
        least = (tail + 1.0) / (seen + 1.0)
        return -math.log10(share if share > least else least)

    def learn(self, value: float) -> None:
        """Count a value."""
        if self._unit == 0.0 < value:
            self._unit, self._asked = value, -1.0
        if self._weight >= BLOCKS * ROWS:
            self._body = array("f", [0.5 * count for count in self._body])
            self._weight *= 0.5
        self._body[self._place if value == self._asked else self._placed(value)] += 1.0
        self._weight += 1.0
        if self._rows == ROWS:
            self._turn()
        self._rows += 1
        self._seen += 1
        if value > self._floor:
            self._keep(value)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        kept = [pack(np.array(part)) for part in (self._largest, np.frombuffer(self._blocks, np.uint8), self._body)]
        return [*kept, self._block, self._rows, self._seen, self._weight, self._unit]

    @classmethod
    def restore(cls, state: list[Any]) -> "Surprise":
        """The state of a snapshot."""
        made = cls()
        made._largest, made._body = (array("f", unpack(part, "<f4").tolist()) for part in (state[0], state[2]))
        made._blocks = bytearray(unpack(state[1], "u1").tobytes())
        made._block, made._rows, made._seen, made._weight, made._unit = state[3:]
        made._raise_floor()
        return made

    def _placed(self, value: float) -> int:
        """The bin of the body that a value belongs to; the first is for zeros."""
        if value != self._asked:
            self._asked, self._place = value, 0
            if value > 0.0 < self._unit:
                place = int(PER_OCTAVE * math.log2(value / self._unit)) + BINS // 2
                self._place = 1 if place < 1 else BINS - 1 if place >= BINS else place
        return self._place

    def _fit(self, tail: int) -> None:
        """The bound of the tail, its slope, and from where on every value is kept."""
        largest = self._largest[-tail:]
        self._tail, self._bound = tail, largest[0]
        if self._bound > 0.0:
            total = 0.0
            for value in largest:
                total += min(math.log(value / self._bound), FARTHEST)
            self._slope = max(total / tail, LEAST_SLOPE)
        full = (self._blocks.find(block) for block in range(BLOCKS) if block != self._block)
        self._exact_from = max((self._largest[place] for place in full if place >= 0), default=0.0)
        self._exact_from = max(self._exact_from, self._floor)
        self._is_stale = False

    def _keep(self, value: float) -> None:
        """Among the largest of its block, in the place of the smallest where the block is full."""
        largest, blocks = self._largest, self._blocks
        if self._floor >= 0.0:
            lowest = blocks.find(self._block)
            del largest[lowest], blocks[lowest]
        place = bisect_left(largest, value)
        largest.insert(place, value)
        blocks.insert(place, self._block)
        self._raise_floor()
        if value > self._bound:
            self._is_stale = True

    def _raise_floor(self) -> None:
        if self._blocks.count(self._block) == KEPT:
            self._floor = self._largest[self._blocks.find(self._block)]
            self._exact_from = max(self._exact_from, self._floor)

    def _turn(self) -> None:
        """Begin a block, and forget the oldest of twelve."""
        self._block = (self._block + 1) % BLOCKS
        if self._seen == BLOCKS * ROWS:
            kept = [place for place, block in enumerate(self._blocks) if block != self._block]
            self._largest = array("f", [self._largest[place] for place in kept])
            self._blocks = bytearray([self._blocks[place] for place in kept])
            self._seen -= ROWS
        self._rows, self._floor, self._is_stale = 0, -1.0, True


__all__ = ["WARM_UP", "Surprise"]
