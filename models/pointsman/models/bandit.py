"""One arm of the contextual bandit: a recursive ridge regression with four targets on one shared covariance.

With x the features of a request: k = C x / (f + x' C x), W += (y - W x) k', C = (C - k (C x)') / f, f the forgetting
(recursive least squares). Directions that no request excites would grow without end under forgetting, so f = 1 while the
trace of C is above that of the prior.
"""

import math
from itertools import chain
from typing import Any

from .decision import FEATURES, dot

TARGETS = ("quality", "log_latency", "cost", "success")
FORGETTING = 0.995
PRIOR = 1.0


class Arm:
    """What one track gives for a request with features x; starts at its declared prior."""

    __slots__ = ("count", "covariance", "levels", "seen", "weights")

    def __init__(self, levels: list[float]) -> None:
        size = len(FEATURES)
        self.levels = levels
        self.weights = [[0.0] * size for _ in TARGETS]
        self.covariance = [[PRIOR if row == column else 0.0 for column in range(size)] for row in range(size)]
        self.seen = [0] * len(TARGETS)
        self.count = 0

    def learn(self, x: list[float], values: list[float | None]) -> None:
        """Take in one outcome; a target that is None was not observed."""
        covariance = self.covariance
        direction = [dot(row, x) for row in covariance]
        trace = 0.0
        for place, row in enumerate(covariance):
            trace += row[place]
        forgetting = FORGETTING if trace < PRIOR * len(x) else 1.0
        scale = 1.0 / (forgetting + dot(x, direction))
        for place, value in enumerate(values):
            if value is None:
                continue
            weights = self.weights[place]
            step = (value - self.levels[place] - dot(weights, x)) * scale
            self.weights[place] = [weight + step * entry for weight, entry in zip(weights, direction, strict=True)]
            self.seen[place] += 1
        for place, along in enumerate(direction):
            factor = along * scale
            self.covariance[place] = [(entry - factor * other) / forgetting for entry, other in zip(covariance[place], direction, strict=True)]
        self.count += 1
        if not math.isfinite(scale) or not all(map(math.isfinite, chain.from_iterable(self.weights))):
            self.__init__(self.levels)  # type: ignore[misc]

    def combine(self, shares: list[float]) -> tuple[float, list[float]]:
        """Offset and weights of the utility that is this linear combination of the targets."""
        return dot(shares, self.levels), [dot(shares, column) for column in zip(*self.weights, strict=True)]

    def predict(self, place: int, x: list[float]) -> float:
        """The expected value of one target."""
        return self.levels[place] + dot(self.weights[place], x)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.levels, self.weights, self.covariance, self.seen, self.count]

    @classmethod
    def restore(cls, state: list[Any]) -> "Arm":
        """The arm that left this snapshot."""
        arm = cls(state[0])
        arm.weights, arm.covariance, arm.seen, arm.count = state[1:]
        return arm
