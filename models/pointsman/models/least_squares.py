"""Recursive least squares that outliers can't bend, on inputs standardised as they come."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .packing import pack, unpack

FORGETTING = 0.9998
RIDGE = 1.0
CLIP = 4.0
LEAST_ERROR = 0.1
LARGEST_TRACE = 1e6
SLOWEST = 2e-4
THOROUGH = 1000
SAMPLED = 4


class RobustLeastSquares:
    """Linear regression by recursive least squares, each row weighted by 1 ÷ max(|error|, 0.1): nearly least absolute error (iteratively reweighted).

    Inputs are standardised by their running mean and spread, clipped to ±4, and get a constant beside them; λ = 0.9998 forgets (after about 5,000 rows),
    the ridge is 1. After 1,000 rows every fourth counts in mean and spread. Sums run over rows, in order: the same on every machine.

    >>> line = RobustLeastSquares(1)
    >>> for number in range(400):
    ...     line.learn([number % 7], 2.0 * (number % 7) + (100.0 if number % 20 == 0 else 0.0))
    >>> round(line.predict([4.0]), 1)
    8.0
    """

    __slots__ = ("_covariance", "_forgetting", "_least_error", "_mean", "_scale", "_seen", "_variance", "_weights")

    def __init__(self, inputs: int, forgetting: float = FORGETTING, least_error: float = LEAST_ERROR) -> None:
        self._forgetting = forgetting
        self._least_error = least_error
        self._weights = np.zeros(inputs + 1)
        self._covariance = np.eye(inputs + 1) / RIDGE
        self._mean = np.zeros(inputs)
        self._variance = np.zeros(inputs)
        self._scale = np.full(inputs, 1e6)
        self._seen = 0

    def predict(self, inputs: Sequence[float] | NDArray[np.float64]) -> float:
        """What these inputs make expect."""
        return float(np.add.reduce(self._weights * self._row(np.array(inputs, np.float64))))

    def slopes(self) -> list[float]:
        """How much one unit of each input moves what is expected; 0 for an input that hardly varies."""
        slopes: list[float] = np.where(self._scale < 1e3, self._weights[1:] * self._scale, 0.0).tolist()
        return slopes

    def learn(self, inputs: Sequence[float] | NDArray[np.float64], target: float, weight: float = 1.0) -> None:
        """Take in what came of these inputs; what would leave anything not finite is left out."""
        given = np.array(inputs, np.float64)
        self._seen += 1
        if self._seen <= THOROUGH or self._seen % SAMPLED == 0:
            self._standardise(given)
        row = self._row(given)
        error = target - float(np.add.reduce(self._weights * row))
        weight /= max(abs(error), self._least_error)
        gain = np.add.reduce(self._covariance * row[:, None], axis=0)
        below = self._forgetting + weight * float(np.add.reduce(gain * row))
        step = weight * error / below
        if not (math.isfinite(step) and below > 0.0):
            return
        self._weights += step * gain
        gain *= math.sqrt(weight / below)
        self._covariance -= gain[:, None] * gain
        if self._seen % SAMPLED == 0 and float(self._covariance.trace()) < LARGEST_TRACE:
            self._covariance /= self._forgetting**SAMPLED

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "seen": self._seen,
            "mean": pack(self._mean, "<f8"),
            "variance": pack(self._variance, "<f8"),
            "weights": pack(self._weights, "<f8"),
            "covariance": pack(self._covariance, "<f8"),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self._seen = state["seen"]
        self._mean, self._variance, self._weights = (unpack(state[name], "<f8") for name in ("mean", "variance", "weights"))
        self._scale = 1.0 / (np.sqrt(self._variance) + 1e-6)
        self._covariance = unpack(state["covariance"], "<f8").reshape(len(self._weights), -1)

    def _row(self, given: NDArray[np.float64]) -> NDArray[np.float64]:
        row = np.empty(len(given) + 1)
        row[0] = 1.0
        away = row[1:]
        np.subtract(given, self._mean, out=away)
        away *= self._scale
        np.minimum(row, CLIP, out=row)
        np.maximum(row, -CLIP, out=row)
        return row

    def _standardise(self, given: NDArray[np.float64]) -> None:
        """Count the inputs in the running mean and variance (Welford, fading over 20,000 rows at the slowest)."""
        rate = max(1.0 / self._seen, SLOWEST)
        away = given - self._mean
        self._mean += rate * away
        away *= away
        self._variance += rate * ((1.0 - rate) * away - self._variance)
        self._scale = 1.0 / (np.sqrt(self._variance) + 1e-6)
