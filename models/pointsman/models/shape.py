"""An autoregression of eight lags, learned as it goes: what the shape of the last rows makes expect."""

import math
from array import array
from typing import Any

LAGS = 8
LONG = 2000
RATE, CLIP = 0.05, 3.0


class Shape:
    """Normalised least mean squares (Nagumo and Noda 1967) on standardised values; errors are clipped at three standard deviations of the values."""

    __slots__ = ("_lags", "_mean", "_rows", "_variance", "_weights")

    def __init__(self) -> None:
        self._weights = array("d", [0.5] + [0.0] * LAGS)
        self._lags = array("d", bytes(8 * LAGS))
        self._mean = self._variance = 0.0
        self._rows = 0

    def miss(self, value: float) -> float:
        """How far a value is from what its eight predecessors make expect, in standard deviations; nothing changes."""
        spread = self.spread
        if spread == 0.0:
            return 0.0
        mean, made = self._mean, 0.0
        *weights, constant = self._weights
        for weight, lag in zip(weights, self._lags, strict=True):
            made += weight * (lag - mean)
        return (value - mean - made) / spread - constant

    @property
    def spread(self) -> float:
        """The standard deviation of the values; 0 while there is nothing to say."""
        if self._rows <= LAGS or self._variance <= 0.0:
            return 0.0
        return math.sqrt(self._variance) + 1e-12 * abs(self._mean) + 1e-300

    def learn(self, value: float, miss: float) -> None:
        """Take in a value that missed by so much."""
        spread, mean, lags = self.spread, self._mean, self._lags
        if spread > 0.0:
            row = [(lag - mean) / spread for lag in lags]
            power = 1.0
            for one in row:
                power += one * one
            step = RATE * min(max(miss, -CLIP), CLIP) / power
            row.append(1.0)
            self._weights = array("d", [weight + step * one for weight, one in zip(self._weights, row, strict=True)])
        lags.insert(0, value)
        del lags[LAGS]
        self._rows += 1
        rate = 1.0 / min(self._rows, LONG)
        away = value - mean
        self._mean += rate * away
        self._variance = (1.0 - rate) * (self._variance + rate * away * away)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [list(self._weights), list(self._lags), self._mean, self._variance, self._rows]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self._weights, self._lags = array("d", state[0]), array("d", state[1])
        self._mean, self._variance, self._rows = state[2:]


__all__ = ["Shape"]
