"""What each track gives for a request with features x: ridge regressions of several targets, one per track, around one for all of them.

The shared one sees [x, 3 e_a], e_a marking the track: what holds for requests everywhere is learned once, from all traffic. A track's own
regression has the shared one as its prior: with A = (alpha I + sum x x')^-1 and phi = A sum x y, its weights are phi + alpha A theta, theta those of
the shared one (the exact posterior mean under the prior N(theta, 1/alpha)). Both are updated by recursive least squares.
"""

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import packed, unpacked
from .context import CONSTANT, SIZE, Vector
from .decision import TARGETS

QUALITY, LOG_COST, LOG_LATENCY, SUCCESS = range(len(TARGETS))
SHARED = 5.0
OWN = 45.0
MARK = 3.0
LEVEL = 0.15
LEVEL_OUTCOMES = 50
NOISE = (0.02, 0.1, 0.1, 0.02)
MEMORY = 500.0
EVERY = 64
FORGETTING = 0.9998**-EVERY
MOST_UNSURE = 0.9

Matrix = NDArray[np.float32]


def product(matrix: Matrix, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """A symmetric matrix times a vector, added up row by row: BLAS adds in an order that depends on the processor."""
    total: NDArray[np.float32] = np.add.reduce(matrix * x[:, None], axis=0)
    return total


class Ridge:
    """Recursive least squares with several targets on one covariance, in single precision."""

    __slots__ = ("alpha", "covariance", "weights")

    def __init__(self, size: int, alpha: float) -> None:
        self.alpha = alpha
        self.covariance: Matrix = np.eye(size, dtype=np.float32) / np.float32(alpha)
        self.weights: Matrix = np.zeros((len(TARGETS), size), np.float32)

    def learn(self, x: NDArray[np.float32], values: NDArray[np.float32], seen: NDArray[np.float32]) -> None:
        """One outcome; a target with `seen` 0 was not observed."""
        along = product(self.covariance, x)
        scale = np.float32(1.0 / (1.0 + max(float(np.add.reduce(along * x)), 0.0)))
        errors = (values - np.add.reduce(self.weights * x, axis=1)) * seen * scale
        self.weights += errors[:, None] * along
        along *= np.sqrt(scale)
        self.covariance -= along[:, None] * along

    def learn_late(self, x: NDArray[np.float32], target: int, value: float) -> None:
        """A target of an outcome whose other targets were learned before: the covariance has its x already."""
        along = product(self.covariance, x)
        error = np.float32(value) - np.add.reduce(self.weights[target] * x)
        self.weights[target] += error * along

    def snapshot(self) -> list[str]:
        """The state as text."""
        return [packed(self.covariance), base64.b64encode(self.weights.astype("<f4").tobytes()).decode("ascii")]

    def restore(self, covariance: str, weights: str) -> None:
        """Take up the state of a snapshot."""
        self.covariance = unpacked(covariance)
        self.weights = np.frombuffer(base64.b64decode(weights), "<f4").astype(np.float32).reshape(len(TARGETS), -1)

    def forget(self) -> None:
        """Count what was learned 64 outcomes ago a little less, so that about the last 5,000 decide; never less sure than at the start."""
        if float(np.add.reduce(self.covariance.diagonal())) < MOST_UNSURE * len(self.covariance) / self.alpha:
            self.covariance *= np.float32(FORGETTING)

    def is_sound(self) -> bool:
        """Whether every number is finite."""
        return bool(np.isfinite(self.weights).all() and np.isfinite(self.covariance).all())


class Arm:
    """One track's own regression, and how sure it is."""

    __slots__ = ("count", "noise", "ridge", "seen")

    def __init__(self) -> None:
        self.ridge = Ridge(SIZE, OWN)
        self.count = 0
        self.seen = [0] * len(TARGETS)
        self.noise = list(NOISE)


class Bandit:
    """All tracks of a scope. Values are given relative to each track's prior, in the order of `TARGETS`, None where not observed."""

    __slots__ = ("arms", "count", "levels", "levels_seen", "noise", "shared")

    def __init__(self, tracks: Sequence[str]) -> None:
        self.arms: dict[str, Arm] = {}
        self.shared = Ridge(SIZE, SHARED)
        self.levels = [0.0] * len(TARGETS)
        self.levels_seen = [0] * len(TARGETS)
        self.noise = list(NOISE)
        self.count = 0
        for track in tracks:
            self.add(track)

    def add(self, track: str) -> None:
        """A track appears: its mark joins the shared regression."""
        self.arms[track] = Arm()
        size = SIZE + len(self.arms)
        grown = Ridge(size, SHARED)
        grown.covariance[: size - 1, : size - 1] = self.shared.covariance
        grown.weights[:, : size - 1] = self.shared.weights
        self.shared = grown

    def remove(self, track: str) -> None:
        """A track disappears, and its mark with it."""
        place = SIZE + list(self.arms).index(track)
        del self.arms[track]
        self.shared.covariance = np.delete(np.delete(self.shared.covariance, place, 0), place, 1)
        self.shared.weights = np.delete(self.shared.weights, place, 1)

    def predict(self, track: str, x: Vector) -> list[float]:
        """What to expect of one request, relative to the track's prior."""
        weights = self.weights(track)
        return [level + float(entry) for level, entry in zip(self.levels, np.add.reduce(weights * x.astype(np.float32), axis=1), strict=True)]

    def weights(self, track: str, marks: Sequence[float] | None = None) -> NDArray[np.float32]:
        """The weights of all targets for one track: phi + alpha A theta, its mark's weight added to the constant's (or `marks` in its stead)."""
        arm = self.arms[track]
        theta = self.shared.weights[:, :SIZE].copy()
        place = SIZE + list(self.arms).index(track)
        theta[:, CONSTANT] += np.float32(MARK) * self.shared.weights[:, place] if marks is None else np.asarray(marks, np.float32)
        prior = np.add.reduce(arm.ridge.covariance[None] * theta[:, :, None], axis=1)
        total: NDArray[np.float32] = arm.ridge.weights + np.float32(OWN) * prior
        return total

    def mark(self, track: str, target: int) -> float:
        """The level of a track beside the others, as the shared regression has it."""
        return MARK * float(self.shared.weights[target, SIZE + list(self.arms).index(track)])

    def learn(self, track: str, x: Vector, values: Sequence[float | None]) -> None:
        """Take in one outcome."""
        arm = self.arms[track]
        relative, seen = [0.0] * len(TARGETS), [0.0] * len(TARGETS)
        for place, value in enumerate(values):
            if value is None:
                continue
            self._level(place, value)
            relative[place], seen[place] = value - self.levels[place], 1.0
            arm.seen[place] += 1
        y, mask = np.array(relative, np.float32), np.array(seen, np.float32)
        z = self._marked(track, x)
        self.shared.learn(z, y, mask)
        arm.ridge.learn(z[:SIZE], y, mask)
        arm.count += 1
        self.count += 1
        if not self.count % EVERY:
            self.shared.forget()
        if not arm.count % EVERY:
            arm.ridge.forget()
            if not (self.shared.is_sound() and arm.ridge.is_sound()):
                self._start_again(track)

    def learn_late(self, track: str, x: Vector, target: int, value: float) -> None:
        """One target of an outcome learned before, for example a judgement that took minutes."""
        arm = self.arms[track]
        self._level(target, value)
        z, relative = self._marked(track, x), value - self.levels[target]
        self.shared.learn_late(z, target, relative)
        arm.ridge.learn_late(z[:SIZE], target, relative)
        arm.seen[target] += 1

    def observe_error(self, track: str, target: int, error: float) -> None:
        """How far a prediction made before the outcome was off: the noise of a target, for all tracks and for one."""
        squared = min(error * error, 0.25)
        for noise, memory in ((self.noise, min(self.count + 10.0, MEMORY)), (self.arms[track].noise, min(self.arms[track].count + 10.0, 200.0))):
            noise[target] = max(noise[target] + (squared - noise[target]) / memory, 1e-4)

    def level_spread(self, track: str, target: int) -> float:
        """The standard deviation that a track's level still has: `LEVEL` at first, less with every outcome."""
        return LEVEL / math.sqrt(1.0 + self.arms[track].seen[target] * LEVEL * LEVEL / self.noise[target])

    def is_silent(self, target: int) -> bool:
        """Whether nobody reports this target: then there is nothing to be unsure of."""
        return self.count >= LEVEL_OUTCOMES and self.levels_seen[target] == 0

    def _level(self, place: int, value: float) -> None:
        """The level that all weights are relative to: the mean of the first outcomes, then fixed."""
        if self.levels_seen[place] < LEVEL_OUTCOMES:
            self.levels_seen[place] += 1
            self.levels[place] += (value - self.levels[place]) / self.levels_seen[place]

    def _marked(self, track: str, x: Vector) -> NDArray[np.float32]:
        z = np.zeros(SIZE + len(self.arms), np.float32)
        z[:SIZE] = x
        z[SIZE + list(self.arms).index(track)] = MARK
        return z

    def _start_again(self, track: str) -> None:
        self.arms[track] = Arm()
        self.shared = Ridge(SIZE + len(self.arms), SHARED)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values and packed arrays: per track, and under no name what they share."""
        parts: dict[str, Any] = {name: [*arm.ridge.snapshot(), arm.count, arm.seen, arm.noise] for name, arm in self.arms.items()}
        return parts | {"": [*self.shared.snapshot(), self.levels, self.levels_seen, self.noise, self.count]}

    @classmethod
    def restore(cls, shared: list[Any], arms: dict[str, list[Any]]) -> "Bandit":
        """The bandit that left this snapshot."""
        bandit = cls(())
        for name, (covariance, weights, count, seen, noise) in arms.items():
            arm = bandit.arms[name] = Arm()
            arm.ridge.restore(covariance, weights)
            arm.count, arm.seen, arm.noise = count, seen, noise
        bandit.shared.restore(shared[0], shared[1])
        bandit.levels, bandit.levels_seen, bandit.noise, bandit.count = shared[2:]
        return bandit
