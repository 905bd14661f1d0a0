"""How many requests a second reach a track, in event time, and whether that leaves time for every model."""

import math
from typing import Any

MEMORY_S = 30.0
BUSY = 50.0
QUIET = 25.0


class Pace:
    """A rate that fades over 30 s: busy from 50 requests a second on, until it is below 25.

    >>> pace = Pace()
    >>> for number in range(6000):
    ...     pace.observe(number / 100.0)
    >>> pace.is_busy, round(pace.rate)
    (True, 86)
    >>> pace.observe(120.0)
    >>> pace.is_busy
    False
    """

    __slots__ = ("_last", "is_busy", "rate")

    def __init__(self) -> None:
        self.rate = 0.0
        self.is_busy = False
        self._last = 0.0

    def observe(self, now: float) -> None:
        """A request starts."""
        elapsed = max(now - self._last, 0.0)
        self.rate = self.rate * math.exp(-elapsed / MEMORY_S) + 1.0 / MEMORY_S
        self._last = max(now, self._last)
        self.is_busy = self.rate >= (QUIET if self.is_busy else BUSY)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.rate, self.is_busy, self._last]

    @classmethod
    def restore(cls, state: list[Any]) -> "Pace":
        """The pace that left this snapshot."""
        pace = cls()
        pace.rate, pace.is_busy, pace._last = state
        return pace
