"""What followed states like the present one: nearest neighbours among the last 14 days of slots."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import boxed, unbox

Floats = NDArray[np.float64]

COUNTS = (20, 60, 150)
FEWEST = 72
DAYS = 14


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

    def learn(self, row: int, slot: int, own: float, change: float) -> None:
        """What followed a slot that is still held, at one horizon."""
        place = slot % self.shared.shape[1]
        self.known[row] += 1
        self.own[row, place] = own
        self.changes[row, place] = change

    def nearest(self, shared: Floats, own: Floats) -> list[Floats | None]:
        """Per horizon the changes that followed the 150 nearest states (or half of all), in groups of 20, 60 and all; None where too few are known."""
        apart = self.shared - shared.astype(np.float32)[:, None]
        common = (apart * apart).sum(axis=0)
        distances = self.own - own.astype(np.float32)[:, None]
        distances *= distances
        distances += common
        return [self._changes(row, distances[row]) if known >= FEWEST else None for row, known in enumerate(self.known.tolist())]

    def _changes(self, row: int, distances: NDArray[np.float32]) -> Floats:
        ends = [min(count, int(self.known[row]) // 2) for count in COUNTS]
        order = np.argpartition(distances, [end - 1 for end in ends])[: ends[-1]]
        return self.changes[row, order].astype(np.float64)

    def quantiles(self, row: int, changes: Floats, levels: Floats) -> Floats:
        """Groups × levels: quantiles of the changes among the nearest 20, 60 and 150."""
        found = np.empty((len(COUNTS), len(levels)))
        for group, count in enumerate(COUNTS):
            ordered = np.sort(changes[: min(count, len(changes))])
            place = np.clip(levels * (len(ordered) + 1) - 1.0, 0.0, len(ordered) - 1.0)
            low = place.astype(np.int64)
            high = np.minimum(low + 1, len(ordered) - 1)
            found[group] = ordered[low] + (place - low) * (ordered[high] - ordered[low])
        return found

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {"shared": boxed(self.shared), "own": boxed(self.own), "changes": boxed(self.changes), "known": self.known.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        for array, name in ((self.shared, "shared"), (self.own, "own"), (self.changes, "changes")):
            unbox(state[name], array)
        self.known[:] = state["known"]
