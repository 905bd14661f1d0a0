"""Two forecasters of one series at one horizon: which of them has erred less of late."""

from collections import deque
from typing import Any

MEMORY = 24
YOUNG = 6
MOST_PENDING = 96


class Rivals:
    """Mean absolute errors with a memory of 24 outcomes; the first leads until the second has beaten it over six at least.

    >>> rivals = Rivals(rows=1)
    >>> for value in range(10):
    ...     rivals.learn(float(value))
    ...     rivals.say(value + 5.0, value + 1.0)
    >>> rivals.leader
    1
    """

    __slots__ = ("_errors", "_outcomes", "_pending", "_rows")

    def __init__(self, rows: int) -> None:
        self._rows = min(rows, MOST_PENDING)
        self._errors = [0.0, 0.0]
        self._outcomes = 0
        self._pending: deque[tuple[float, float] | None] = deque(maxlen=self._rows)

    @property
    def leader(self) -> int:
        """0 or 1."""
        return int(self._outcomes >= YOUNG and self._errors[1] < self._errors[0])

    def learn(self, value: float | None) -> None:
        """A row has come, None where nobody measured it; it resolves what was said of it."""
        due = self._pending[0] if len(self._pending) == self._rows else None
        if due is not None and value is not None:
            self._outcomes += 1
            rate = max(1.0 / self._outcomes, 1.0 / MEMORY)
            self._errors = [error + rate * (abs(value - one) - error) for error, one in zip(self._errors, due, strict=True)]
        self._pending.append(None)

    def say(self, first: float, second: float) -> None:
        """What both expect of the row that comes `rows` after the last one learned."""
        if self._pending:
            self._pending[-1] = (first, second)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self._rows, list(self._errors), self._outcomes, [list(said) if said is not None else None for said in self._pending]]

    @classmethod
    def restore(cls, state: list[Any]) -> "Rivals":
        """The rivals that left this snapshot."""
        rivals = cls(state[0])
        rivals._errors, rivals._outcomes = list(state[1]), state[2]
        rivals._pending.extend((said[0], said[1]) if said is not None else None for said in state[3])
        return rivals


__all__ = ["Rivals"]
