"""An autoregression of eight lags, learned as it goes: what the shape of the last rows makes expect."""

import math
from typing import Any

LAGS = 8
LONG = 2000
RATE, CLIP = 0.05, 3.0


class Shape:
    """Normalised least mean squares (Nagumo and Noda 1967) on standardised values; errors are clipped at three standard deviations of the values."""

    __slots__ = ("_lags", "_mean", "_rows", "_variance", "_weights")

    def __init__(self) -> None:
        self._weights = [0.5] + [0.0] * LAGS
        self._lags = [0.0] * LAGS
        self._mean = self._variance = 0.0
        self._rows = 0

    def step(self, value: float) -> float:
        """How far a value is from what its eight predecessors make expect, in its own unit; then learn it."""
        spread, error = math.sqrt(self._variance) + 1e-12 * abs(self._mean) + 1e-300, 0.0
        if self._rows > LAGS and self._variance > 0.0:
            mean = self._mean
            row = [(lag - mean) / spread for lag in self._lags]
            row.append(1.0)
            error, power = (value - mean) / spread, 1.0
            for weight, one in zip(self._weights, row, strict=True):
                error -= weight * one
                power += one * one
            step = RATE * min(max(error, -CLIP), CLIP) / power
            self._weights = [weight + step * one for weight, one in zip(self._weights, row, strict=True)]
        self._lags.insert(0, value)
        del self._lags[LAGS]
        self._rows += 1
        rate = 1.0 / min(self._rows, LONG)
        away = value - self._mean
        self._mean += rate * away
        self._variance = (1.0 - rate) * (self._variance + rate * away * away)
        return abs(error) * spread

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [list(self._weights), list(self._lags), self._mean, self._variance, self._rows]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self._weights, self._lags = list(state[0]), list(state[1])
        self._mean, self._variance, self._rows = state[2:]


__all__ = ["Shape"]
