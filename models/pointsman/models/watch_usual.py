"""What is usual for one metric of such a request under such a load: a line through few features, refitted in blocks, that outliers can't bend."""

import math
from collections.abc import Sequence
from typing import Any

from .arrays import dot

BLOCK = 16
MEMORY = 4000.0
RIDGE = 1e-4
CLIP = 3.0


class Usual:
    """Ridge regression on rows of plain numbers, the first of them 1; rows wait in a block of 16 and are taken in, or dropped, together.

    Old rows fade over some 4,000. A row that is further than 3 spreads from its expectation counts as one at that distance. Sums run from the left.

    >>> usual = Usual(2)
    >>> for number in range(160):
    ...     usual.learn((1.0, float(number % 7)), 2.0 * (number % 7), 0.0, 0.0)
    ...     if usual.is_full:
    ...         usual.settle(keep=True)
    >>> round(usual.expect((1.0, 4.0)), 1)
    8.0
    """

    __slots__ = ("_inverse", "_moments", "_products", "_waiting", "_weights", "inputs", "rows")

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.rows = 0.0
        self._products = [[0.0] * inputs for _ in range(inputs)]
        self._moments = [0.0] * inputs
        self._weights = [0.0] * inputs
        self._inverse = [[0.0] * inputs for _ in range(inputs)]
        self._waiting: list[tuple[Sequence[float], float]] = []

    @property
    def is_full(self) -> bool:
        """Whether a block waits to be settled."""
        return len(self._waiting) >= BLOCK

    def expect(self, row: Sequence[float]) -> float:
        """The expectation of a row."""
        return dot(row, self._weights)

    def leverage(self, row: Sequence[float]) -> float:
        """How far a row is from those that were seen: its squared distance over their number, 0 in their midst."""
        return max(dot(row, [dot(held, row) for held in self._inverse]), 0.0)

    def learn(self, row: Sequence[float], value: float, expected: float, spread: float) -> None:
        """Let a row wait; `spread` is that of the residuals, 0 where neither it nor what was expected is known."""
        if spread > 0.0:
            most = CLIP * spread
            value = min(max(value, expected - most), expected + most)
        self._waiting.append((row, value))

    def settle(self, *, keep: bool) -> None:
        """Take in the block that waits, or drop it."""
        if keep:
            self._fade(1.0 - len(self._waiting) / MEMORY)
            for row, value in self._waiting:
                self._add(row, value)
            self._solve()
        self._waiting = []

    def _fade(self, share: float) -> None:
        self.rows *= share
        self._products = [[share * one for one in held] for held in self._products]
        self._moments = [share * one for one in self._moments]

    def _add(self, row: Sequence[float], value: float) -> None:
        self.rows += 1.0
        for place, one in enumerate(row):
            held = self._products[place]
            for other, factor in enumerate(row):
                held[other] += one * factor
            self._moments[place] += one * value

    def _solve(self) -> None:
        """Invert the products by Gauss-Jordan elimination; they are positive definite, so no pivot is looked for."""
        size = self.inputs
        left = [list(held) for held in self._products]
        for place in range(1, size):  # not the level: what is usual must not depend on the unit
            left[place][place] += RIDGE * self.rows * (left[place][place] / self.rows + 1e-3)
        right = [[float(row == column) for column in range(size)] for row in range(size)]
        for place in range(size):
            pivot = left[place][place]
            if not (math.isfinite(pivot) and pivot > 0.0):
                return
            left[place] = [one / pivot for one in left[place]]
            right[place] = [one / pivot for one in right[place]]
            for other in range(size):
                factor = left[other][place]
                if other != place and factor != 0.0:
                    left[other] = [one - factor * two for one, two in zip(left[other], left[place], strict=True)]
                    right[other] = [one - factor * two for one, two in zip(right[other], right[place], strict=True)]
        self._inverse = right
        self._weights = [dot(held, self._moments) for held in right]

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        waiting = [[list(row), value] for row, value in self._waiting]
        return [self.inputs, self.rows, self._products, self._moments, self._weights, self._inverse, waiting]

    @classmethod
    def restore(cls, state: list[Any]) -> "Usual":
        """The state of a snapshot."""
        made = cls(state[0])
        made.rows = state[1]
        made._products, made._inverse = [list(held) for held in state[2]], [list(held) for held in state[5]]
        made._moments, made._weights = list(state[3]), list(state[4])
        made._waiting = [(tuple(row), value) for row, value in state[6]]
        return made


__all__ = ["BLOCK", "Usual"]
