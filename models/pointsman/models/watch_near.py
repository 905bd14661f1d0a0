"""What outcomes like this one had in common that a line through their features does not say: the median residual of the nearest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .packing import pack, unpack

KEPT = 512
NEAREST = 15
BLOCK = 16


class Near:
    """The last 512 places, features on scales on which 1 is as far for each, with the residuals of several metrics (not a number where one had none).

    >>> near = Near(1, 1)
    >>> for number in range(64):
    ...     near.learn((float(number % 2),), (10.0 * (number % 2),))
    ...     near.settle(keep=True)
    >>> near.ask((1.0,)), near.ask((0.1,))
    ([10.0], [0.0])
    """

    __slots__ = ("_next", "_places", "_residuals", "_seen", "_waiting")

    def __init__(self, features: int, metrics: int) -> None:
        self._places = np.zeros((features, KEPT), np.float32)
        self._residuals = np.full((metrics, KEPT), np.nan, np.float32)
        self._seen = self._next = 0
        self._waiting: list[tuple[Sequence[float], Sequence[float]]] = []

    @property
    def is_full(self) -> bool:
        """Whether a block waits to be settled."""
        return len(self._waiting) >= BLOCK

    def ask(self, place: Sequence[float]) -> list[float]:
        """The medians of the 15 nearest, all that are as near as the last of them; 0 while fewer are known."""
        if self._seen <= NEAREST:
            return [0.0] * len(self._residuals)
        away = self._places[:, : self._seen] - np.array(place, np.float32)[:, None]
        away *= away
        apart = np.add.reduce(away, axis=0)
        edge = np.partition(apart, NEAREST - 1)[NEAREST - 1]
        found: NDArray[np.float32] = self._residuals[:, : self._seen][:, apart <= edge]
        return [_median(one) for one in found.tolist()]

    def learn(self, place: Sequence[float], residuals: Sequence[float]) -> None:
        """Let an outcome wait."""
        self._waiting.append((place, residuals))

    def settle(self, *, keep: bool) -> None:
        """Take in the block that waits, or drop it."""
        for place, residuals in self._waiting if keep else ():
            self._places[:, self._next] = place
            self._residuals[:, self._next] = residuals
            self._next = (self._next + 1) % KEPT
            self._seen = min(self._seen + 1, KEPT)
        self._waiting = []

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        held = self._seen
        rows = [[pack(row[:held]) for row in table] for table in (self._places, self._residuals)]
        waiting = [[list(place), [None if one != one else one for one in residuals]] for place, residuals in self._waiting]
        return [*rows, held, self._next, waiting]

    @classmethod
    def restore(cls, state: list[Any]) -> "Near":
        """The state of a snapshot."""
        made = cls(len(state[0]), len(state[1]))
        made._seen, made._next = state[2], state[3]
        for table, rows in ((made._places, state[0]), (made._residuals, state[1])):
            for place, text in enumerate(rows):
                table[place, : made._seen] = unpack(text, "<f4")
        made._waiting = [(tuple(place), tuple(np.nan if one is None else one for one in residuals)) for place, residuals in state[4]]
        return made


def _median(values: list[float]) -> float:
    """The median of those that are numbers."""
    known = sorted(one for one in values if one == one)
    return 0.5 * (known[(len(known) - 1) // 2] + known[len(known) // 2]) if known else 0.0


__all__ = ["Near"]
