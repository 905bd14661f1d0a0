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

    def error(self, value: float) -> float:
        """How far a value is from what its eight predecessors make expect, in its own unit; nothing changes."""
        if self._rows <= LAGS or self._variance <= 0.0:
            return 0.0
        row, spread = self._row()
        return abs(self._miss(row, spread, value)) * spread

    def learn(self, value: float) -> None:
        """Take in a value."""
        if self._rows > LAGS and self._variance > 0.0:
            row, spread = self._row()
            power = 0.0
            for one in row:
                power += one * one
            step = RATE * min(max(self._miss(row, spread, value), -CLIP), CLIP) / power
            self._weights = [weight + step * one for weight, one in zip(self._weights, row, strict=True)]
        self._lags.insert(0, value)
        del self._lags[LAGS]
        self._rows += 1
        rate = 1.0 / min(self._rows, LONG)
        away = value - self._mean
        self._mean += rate * away
        self._variance = (1.0 - rate) * (self._variance + rate * away * away)

    def _row(self) -> tuple[list[float], float]:
        """The standardised lags and a one, and the standard deviation."""
        mean, spread = self._mean, math.sqrt(self._variance) + 1e-12 * abs(self._mean) + 1e-300
        row = [(lag - mean) / spread for lag in self._lags]
        row.append(1.0)
        return row, spread

    def _miss(self, row: list[float], spread: float, value: float) -> float:
        miss = (value - self._mean) / spread
        for weight, one in zip(self._weights, row, strict=True):
            miss -= weight * one
        return miss

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [list(self._weights), list(self._lags), self._mean, self._variance, self._rows]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self._weights, self._lags = list(state[0]), list(state[1])
        self._mean, self._variance, self._rows = state[2:]


__all__ = ["Shape"]
