"""What followed states like the present one: nearest neighbours among the last 14 days of slots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .forecast_regression import CLIP
from .packing import pack, unpack_into

Floats = NDArray[np.float64]

COUNTS = (20, 60)
FEWEST = 72
DAYS = 14


@dataclass(frozen=True, slots=True)
class Nearest:
    """The changes that followed the nearest states, in order: one array (H × count) for each of the counts."""

    groups: tuple[Floats, ...]

    def quantiles(self, group: int, levels: Floats) -> Floats:
        """H × levels: quantiles within one group, for levels of every horizon."""
        changes = self.groups[group]
        most = changes.shape[1] - 1
        place = np.minimum(np.maximum(levels * (most + 2.0) - 1.0, 0.0), float(most))
        low = place.astype(np.int64)
        lines = np.arange(len(changes))[:, None]
        below = changes[lines, low]
        found: Floats = below + (place - low) * (changes[lines, np.minimum(low + 1, most)] - below)
        return found

    def medians(self) -> Floats:
        """H × 2: the medians of the nearest 20 and 60."""
        found = np.empty((len(self.groups[0]), 2))
        for group in (0, 1):
            middle = self.groups[group].shape[1] // 2
            is_even = self.groups[group].shape[1] % 2 == 0
            found[:, group] = 0.5 * (self.groups[group][:, middle - is_even] + self.groups[group][:, middle])
        return found


class Neighbours:
    """States (features × slots, shared by all horizons, and one feature of each horizon) with the change that followed, kept as float32.

    A state whose outcome isn't known is infinitely far away.
    """

    __slots__ = ("changes", "known", "own", "shared")

    def __init__(self, horizons: int, features: int, size: int) -> None:
        self.shared = np.zeros((features, size), np.float32)
        self.own = np.full((horizons, size), np.inf, np.float32)
        self.changes = np.zeros((horizons, size), np.float32)
        self.known = np.zeros(horizons, np.int64)

    def store(self, slot: int, shared: Floats) -> None:
        """Keep the state of a slot over the oldest one."""
        place = slot % self.shared.shape[1]
        self.known -= np.isfinite(self.own[:, place])
        self.shared[:, place] = shared
        self.own[:, place] = np.inf

    def learn(self, due: Sequence[tuple[int, int]], present: int, own: Sequence[float], changes: Sequence[float]) -> None:
        """What followed at some horizons: each with the slot of its state, where that is still held, the state's own feature, and the change."""
        size = self.shared.shape[1]
        for (row, slot), feature, change in zip(due, own, changes, strict=True):
            if present - slot < size:
                self.known[row] += 1
                self.own[row, slot % size] = feature
                self.changes[row, slot % size] = min(max(change, -CLIP), CLIP)

    def nearest(self, shared: Floats, own: Floats) -> "Nearest | None":
        """What followed the 20 and 60 nearest states (at most half of all) at every horizon; None while fewer than 72 are known."""
        known = int(self.known.min())
        if known < FEWEST:
            return None
        apart = self.shared - shared.astype(np.float32)[:, None]
        np.multiply(apart, apart, out=apart)
        distances = self.own - own.astype(np.float32)[:, None]
        np.multiply(distances, distances, out=distances)
        distances += apart.sum(axis=0)
        ends = [min(count, known // 2) for count in COUNTS]
        order = _first(distances, ends[-1])
        lines = np.arange(len(order))[:, None]
        changes = self.changes[lines, order].astype(np.float64)
        return Nearest(tuple(np.sort(changes[:, :end], axis=1) for end in ends))

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {"shared": pack(self.shared), "own": pack(self.own), "changes": pack(self.changes), "known": self.known.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        for array, name in ((self.shared, "shared"), (self.own, "own"), (self.changes, "changes")):
            unpack_into(state[name], array)
        self.known[:] = state["known"]


def _first(distances: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Where the so many smallest of each row stand, smallest first, of equal ones the first: numpy's partition alone leaves those to the processor.

    >>> _first(np.array([[2.0, 1.0, 2.0, 0.0, 2.0]], np.float32), 3).tolist()
    [[3, 1, 0]]
    """
    largest = np.partition(distances, count - 1, axis=1)[:, count - 1]
    found = np.empty((len(distances), count), np.int64)
    for row, (line, most) in enumerate(zip(distances, largest, strict=True)):
        near = np.flatnonzero(line <= most)
        found[row] = near[np.argsort(line[near], kind="stable")[:count]]
    return found
