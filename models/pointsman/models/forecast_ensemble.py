"""Weights of experts from their regret: ML-Poly with forgetting, learning rates per expert (Gaillard, Stoltz, van Erven 2014)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .packing import pack, unpack_into

Floats = NDArray[np.float64]
Rows = NDArray[np.int64] | slice  # a slice where all are meant: of that numpy makes no copies
_MOST_REGRET = 2.0


class PolynomialWeights:
    """Rows of experts, one row per forecast that is made of them; the weight of one is its gathered regret R⁺ over its gathered squared regret V.

    `regret` is the gradient trick's: slope of the loss at the mixture × (mixture − expert), in units of the series, clipped at 2.

    >>> weights = PolynomialWeights(np.zeros((1, 2)), np.full((1, 2), 0.1), np.array([0.9]))
    >>> weights.learn(np.array([0]), np.array([[1.0, -1.0]]))
    >>> weights.share(np.ones((1, 2), bool)).tolist()
    [[1.0, 0.0]]
    """

    __slots__ = ("memory", "regret", "square", "values")

    def __init__(self, regret: Floats, square: Floats, memory: Floats) -> None:
        self.regret, self.square = regret, square
        self.memory = memory.reshape(-1, *(1,) * (regret.ndim - 1))
        self.values: Floats = np.zeros_like(regret)
        self._settle()

    def learn(self, rows: Rows, regret: Floats) -> None:
        """Take in what the experts of some rows would have gained over their mixture; zero for one that slept."""
        regret = np.minimum(np.maximum(regret, -_MOST_REGRET), _MOST_REGRET)
        memory = self.memory[rows]
        self.regret[rows] = memory * self.regret[rows] + regret
        np.multiply(regret, regret, out=regret)
        self.square[rows] = memory * self.square[rows] + regret
        self._settle()

    def _settle(self) -> None:
        np.maximum(self.regret, 0.0, out=self.values)
        np.divide(self.values, self.square, out=self.values)

    def share(self, awake: NDArray[np.bool_]) -> Floats:
        """The weights of those awake, summing to one in each row; the first expert alone where none has gained anything."""
        values = np.where(awake, self.values, 0.0)
        total = np.add.reduce(values, axis=-1, keepdims=True)
        if total.all():
            return values / total
        values[..., :1] += total <= 0.0
        found: Floats = values / np.where(total > 0.0, total, 1.0)
        return found

    def snapshot(self) -> list[str]:
        """The state as plain values."""
        return [pack(self.regret), pack(self.square)]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        unpack_into(state[0], self.regret)
        unpack_into(state[1], self.square)
        self._settle()
