"""Whether a gauge that used to move has stopped."""

import math
from typing import Any

from .watch_series import Step

SURE = 10.0
STUCK_S = 30.0
FEWEST_MOVES = 40
MOVED_SHARE = 0.3
LONGER = 3
MEMORY = 1000.0


class Stillness:
    """Repeats in a row while requests run, each as rare as repeats were so far, and in a run three times as long as any before.

    Repeats of the lowest and of the highest value say nothing: an idle gauge is 0, a full one at its limit. A gauge that moves at fewer than 3 in 10 samples
    is never stuck.

    >>> stillness = Stillness()
    >>> moves = [stillness.observe(float(number), float(number % 7), is_busy=True) for number in range(100)]
    >>> [stillness.observe(100.0 + number, 3.0, is_busy=True) for number in range(40)].count("raised"), stillness.since
    (1, 100.0)
    """

    __slots__ = ("_begun", "_count", "_high", "_longest", "_low", "_moves", "_repeats", "_still", "last", "standing")

    def __init__(self) -> None:
        self._moves = self._repeats = 0.0
        self._still = 0.0
        self._count = 0
        self._low, self._high = math.inf, -math.inf
        self._begun = 0.0
        self._longest = 0
        self.last: float | None = None
        self.standing = False

    @property
    def since(self) -> float:
        """When the value was last seen to move."""
        return self._begun

    @property
    def surprise(self) -> float:
        """-log10 of the probability of so many repeats."""
        return self._still

    def observe(self, at: float, value: float, *, is_busy: bool) -> Step | None:
        """Take in a value; repeats count only while requests run."""
        before, self.last = self.last, value
        if before is None or value != before:
            return self._move(at, value, counts=is_busy and before is not None)
        if not is_busy or value <= self._low or value >= self._high:
            return None
        usual = (self._repeats + 1.0) / (self._repeats + self._moves + 2.0)
        self._count += 1
        if not self.standing:
            self._repeats += 1.0
        if self._moves < FEWEST_MOVES or usual > 1.0 - MOVED_SHARE:
            return None
        self._still -= math.log10(usual)
        if not self.standing and self._still > SURE and at - self._begun >= STUCK_S and self._count > LONGER * (self._longest + 1):
            self.standing = True
            return "raised"
        return None

    def _move(self, at: float, value: float, *, counts: bool) -> Step | None:
        if not self.standing:
            self._longest = max(self._longest, self._count)
        self._begun, self._still, self._count = at, 0.0, 0
        self._low, self._high = min(self._low, value), max(self._high, value)
        if counts:
            self._moves += 1.0
            if self._moves + self._repeats > MEMORY:
                self._moves, self._repeats = 0.5 * self._moves, 0.5 * self._repeats
        was, self.standing = self.standing, False
        return "resolved" if was else None

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        ends = [self._low, self._high] if self.last is not None else None
        return [self._moves, self._repeats, self._still, self._count, self._longest, ends, self._begun, self.last, self.standing]

    @classmethod
    def restore(cls, state: list[Any]) -> "Stillness":
        """The state of a snapshot."""
        made = cls()
        made._moves, made._repeats, made._still, made._count, made._longest = state[:5]
        if state[5] is not None:
            made._low, made._high = state[5]
        made._begun, made.last, made.standing = state[6:]
        return made


__all__ = ["Stillness"]
