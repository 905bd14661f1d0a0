"""Robust recursive least squares of few inputs, in plain numbers: up to some eight they cost less than an array's calls."""

import math
from collections.abc import Sequence
from typing import Any

from .least_squares import CLIP, FORGETTING, LARGEST_TRACE, LEAST_ERROR, RIDGE, SAMPLED, SLOWEST, THOROUGH


class SmallLeastSquares:
    """What `RobustLeastSquares` does, of few inputs; sums run from the left.

    >>> line = SmallLeastSquares(1)
    >>> for number in range(400):
    ...     line.learn([number % 7], 2.0 * (number % 7) + (100.0 if number % 20 == 0 else 0.0))
    >>> round(line.predict([4.0]), 1)
    8.0
    """

    __slots__ = ("_covariance", "_mean", "_scale", "_seen", "_variance", "_weights")

    def __init__(self, inputs: int) -> None:
        self._weights = [0.0] * (inputs + 1)
        self._covariance = [[float(row == column) / RIDGE for column in range(inputs + 1)] for row in range(inputs + 1)]
        self._mean = [0.0] * inputs
        self._variance = [0.0] * inputs
        self._scale = [1e6] * inputs
        self._seen = 0

    def predict(self, inputs: Sequence[float]) -> float:
        """What these inputs make expect."""
        total = 0.0
        for weight, one in zip(self._weights, self._row(inputs), strict=True):
            total += weight * one
        return total

    def slopes(self) -> list[float]:
        """How much one unit of each input moves what is expected; 0 for an input that hardly varies."""
        return [weight * scale if scale < 1e3 else 0.0 for weight, scale in zip(self._weights[1:], self._scale, strict=True)]

    def learn(self, inputs: Sequence[float], target: float) -> None:
        """Take in what came of these inputs; what would leave anything not finite is left out."""
        self._seen += 1
        if self._seen <= THOROUGH or self._seen % SAMPLED == 0:
            self._standardise(inputs)
        row = self._row(inputs)
        error, below, gain = target, 0.0, list[float]()
        for weight, one, held in zip(self._weights, row, self._covariance, strict=True):
            error -= weight * one
            total = 0.0
            for other, factor in zip(held, row, strict=True):
                total += other * factor
            gain.append(total)
            below += total * one
        below = FORGETTING * max(abs(error), LEAST_ERROR) + below
        step = error / below
        if not (math.isfinite(step) and below > 0.0):
            return
        self._weights = [weight + step * one for weight, one in zip(self._weights, gain, strict=True)]
        for place, one in enumerate(gain):
            share = one / below
            self._covariance[place] = [other - share * factor for other, factor in zip(self._covariance[place], gain, strict=True)]
        if self._seen % SAMPLED == 0:
            self._forget()

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "seen": self._seen,
            "mean": list(self._mean),
            "variance": list(self._variance),
            "weights": list(self._weights),
            "covariance": [list(row) for row in self._covariance],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self._seen = state["seen"]
        self._mean, self._variance, self._weights = (list(state[name]) for name in ("mean", "variance", "weights"))
        self._scale = [1.0 / (math.sqrt(one) + 1e-6) for one in self._variance]
        self._covariance = [list(row) for row in state["covariance"]]

    def _row(self, inputs: Sequence[float]) -> list[float]:
        row = [1.0]
        for one, mean, scale in zip(inputs, self._mean, self._scale, strict=True):
            away = (one - mean) * scale
            row.append(away if -CLIP < away < CLIP else math.copysign(CLIP, away))
        return row

    def _standardise(self, inputs: Sequence[float]) -> None:
        """Count the inputs in the running mean and variance (Welford, fading over 20,000 rows at the slowest)."""
        rate = max(1.0 / self._seen, SLOWEST)
        for place, one in enumerate(inputs):
            away = one - self._mean[place]
            self._mean[place] += rate * away
            self._variance[place] += rate * ((1.0 - rate) * away * away - self._variance[place])
            self._scale[place] = 1.0 / (math.sqrt(self._variance[place]) + 1e-6)

    def _forget(self) -> None:
        trace = 0.0
        for place, row in enumerate(self._covariance):
            trace += row[place]
        if trace < LARGEST_TRACE:
            factor = FORGETTING**-SAMPLED
            self._covariance = [[factor * one for one in row] for row in self._covariance]
