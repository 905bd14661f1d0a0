"""Recursive least squares of the coming change in logarithms, robust by weights, with forgetting; one per horizon and memory, learned at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .forecast_ensemble import Rows
from .packing import pack, unpack_into

Floats = NDArray[np.float64]

CLIP = 3.0
_MOST_CHANGE = 2.0
_ROBUST = 0.3
_LARGEST_P = 2.0
_FIRST_P = 0.02
_YOUNG = 50


class ChangeRegression:
    """H horizons × M memories of b in change = b·x, no intercept: zero coefficients say that nothing changes.

    The gain is P x / (λ s² / w + x'P x), s the typical change (so that the prior has no unit) and w = R / max(|r|, 0.3 R) the weight of least absolute
    deviations, R the mean |r|; P is cut back where an entry of its diagonal is above 2.

    >>> model = ChangeRegression(np.array([1.0]), np.array([0.99]), np.array([0.0]))
    >>> for _ in range(200):
    ...     model.learn(np.array([0]), np.array([[0.2]]), np.array([0.1]))
    >>> round(float(model.predict(np.array([[0.2]]))[0, 0]), 2)
    0.1
    """

    __slots__ = ("coefficients", "error", "inverse", "memory", "size", "typical")

    def __init__(self, horizons: Floats, memories: Floats, prior: Floats) -> None:
        shape = len(horizons), len(memories), len(prior)
        self.memory = memories[None, :]
        self.coefficients: Floats = np.broadcast_to(prior, shape).copy()
        self.inverse: Floats = np.eye(len(prior)) * (_FIRST_P / np.sqrt(horizons))[:, None, None, None] * np.ones((1, len(memories), 1, 1))
        self.error: Floats = np.zeros(shape[:2])
        self.typical: Floats = np.zeros(len(horizons))
        self.size: Floats = np.zeros(len(horizons))

    def predict(self, x: Floats) -> Floats:
        """H × features → H × memories: the change, at most a factor of e²."""
        change = np.add.reduce(self.coefficients * x[:, None, :], axis=-1)
        found: Floats = np.minimum(np.maximum(change, -_MOST_CHANGE), _MOST_CHANGE)
        return found

    def learn(self, rows: Rows, x: Floats, change: Floats) -> None:
        """Take in what followed, for some horizons: rows × features, and the change there was."""
        change = np.minimum(np.maximum(change, -CLIP), CLIP)
        self.size[rows] += 1.0
        rate = np.maximum(1.0 / self.size[rows], 1.0 / _YOUNG)
        self.typical[rows] += rate * (np.abs(change) - self.typical[rows])
        inputs, inverse = x[:, None, :], self.inverse[rows]
        wrong = change[:, None] - np.add.reduce(self.coefficients[rows] * inputs, axis=-1)
        off = np.abs(wrong)
        self.error[rows] += rate[:, None] * (off - self.error[rows])
        error = self.error[rows]
        weight = error / np.maximum(np.maximum(off, _ROBUST * error), 1e-300)
        if not error.all():
            weight = np.where(error > 0.0, weight, 1.0)
        ahead = np.add.reduce(inverse * inputs[:, :, None, :], axis=-1)
        unit = np.maximum(self.typical[rows], 1e-9)[:, None]
        gain = ahead / (self.memory * unit * unit / weight + np.add.reduce(ahead * inputs, axis=-1))[..., None]
        self.coefficients[rows] += gain * wrong[..., None]
        inverse = (inverse - gain[..., :, None] * ahead[..., None, :]) / self.memory[..., None, None]
        largest = np.maximum.reduce(inverse.diagonal(0, -2, -1), axis=-1)
        if (largest > _LARGEST_P).any():
            inverse *= np.minimum(1.0, _LARGEST_P / np.maximum(largest, 1e-300))[..., None, None]
        self.inverse[rows] = inverse

    def snapshot(self) -> list[str]:
        """The state as plain values."""
        return [pack(array) for array in (self.coefficients, self.inverse, self.error, self.typical, self.size)]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        for array, text in zip((self.coefficients, self.inverse, self.error, self.typical, self.size), state, strict=True):
            unpack_into(text, array)
