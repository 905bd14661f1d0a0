"""How long answers are, in virtual tokens, by how long their inputs were: nearest neighbours, and what is left of one that already runs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .packing import pack, unpack

CAPACITY = 1024
COUNTS = (4, 16, 64)
MOST = 32
YOUNG = 5
FADING = 0.01


class Lengths:
    """The last 1,024 lengths, ordered by log input length and then by age.

    Alike are all inputs as near as the n-th nearest; of many, 32 are taken evenly over the order, so that none of several at the same distance
    is preferred. n is 4, 16 or 64, whichever had the lowest error of its medians of late: 4 where inputs come again and their answers are alike,
    64 where the input's length tells little.
    """

    __slots__ = ("_ages", "_errors", "_inputs", "_lengths", "added")

    def __init__(self) -> None:
        self._inputs: NDArray[np.float32] = np.empty(0, np.float32)
        self._ages: NDArray[np.int64] = np.empty(0, np.int64)
        self._lengths: NDArray[np.float32] = np.empty(0, np.float32)
        self._errors = [0.0] * len(COUNTS)
        self.added = 0

    def __len__(self) -> int:
        return len(self._inputs)

    def add(self, log_input: float, length: float) -> None:
        """A request of this input was this long."""
        if len(self._inputs) >= YOUNG:
            for place, count in enumerate(COUNTS):
                error = abs(quantile(self.near([log_input], count)[0], 0.5) - length)
                self._errors[place] += FADING * (error - self._errors[place])
        if len(self._inputs) >= CAPACITY:
            self._remove(int(np.argmin(self._ages)))
        place = int(np.searchsorted(self._inputs, np.float32(log_input), side="right"))
        self._inputs = np.insert(self._inputs, place, log_input)
        self._ages = np.insert(self._ages, place, self.added)
        self._lengths = np.insert(self._lengths, place, length)
        self.added += 1

    def _remove(self, place: int) -> None:
        self._inputs = np.delete(self._inputs, place)
        self._ages = np.delete(self._ages, place)
        self._lengths = np.delete(self._lengths, place)

    @property
    def count(self) -> int:
        """How many neighbours are asked."""
        return COUNTS[min(range(len(COUNTS)), key=lambda place: (self._errors[place], -place))]

    def survival(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of all lengths beyond each of these."""
        return 1.0 - np.searchsorted(np.sort(self._lengths), edges) / len(self._lengths)

    def near(self, log_inputs: Sequence[float], count: int | None = None) -> NDArray[np.float32]:
        """For each input a row of the lengths of its neighbours in rising order, filled up with infinity; at least `YOUNG` lengths must be known."""
        size = len(self._inputs)
        low, high = self._around(np.asarray(log_inputs, np.float32), min(count or self.count, size))
        taken = np.minimum(high - low, MOST)
        steps = (np.arange(MOST) + 0.5) * ((high - low) / taken)[:, None]
        places = np.minimum(low[:, None] + steps.astype(np.int64), size - 1)
        rows = np.where(np.arange(MOST) < taken[:, None], self._lengths[places], np.float32(np.inf))
        rows.sort(axis=1)
        return rows

    def _around(self, asked: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the inputs begin and end that are as near as the n-th nearest: it is at one end of some n in a row."""
        inputs = self._inputs
        first = np.searchsorted(inputs, asked)[:, None] + np.arange(-count, 1)
        first = np.clip(first, 0, len(inputs) - count)
        reach = np.maximum(np.abs(asked[:, None] - inputs[first]), np.abs(asked[:, None] - inputs[first + count - 1])).min(axis=1)
        return np.searchsorted(inputs, asked - reach), np.searchsorted(inputs, asked + reach, side="right")

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        ages = self._ages - (self.added - CAPACITY)
        return {"inputs": pack(self._inputs, "<f4"), "ages": pack(ages, "<i2"), "lengths": pack(self._lengths, "<f4"), "now": [self.added, *self._errors]}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "Lengths":
        """The lengths that left this snapshot."""
        lengths = cls()
        lengths.added, *lengths._errors = state["now"]
        lengths._inputs, lengths._lengths = unpack(state["inputs"], "<f4"), unpack(state["lengths"], "<f4")
        lengths._ages = unpack(state["ages"], "<i2").astype(np.int64) + (lengths.added - CAPACITY)
        return lengths


def quantile(row: NDArray[np.float32], level: float) -> float:
    """The quantile of a row of neighbours, between two of them by their distance."""
    count = int(np.searchsorted(row, np.float32(np.inf)))
    at = level * (count - 1)
    low = math.floor(at)
    high = min(low + 1, count - 1)
    return float(row[low]) + (at - low) * (float(row[high]) - float(row[low]))


def remaining(rows: NDArray[np.float32], progress: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each of several running requests has still to go: the quantile of its neighbours' lengths given that it is longer than its progress.

    Medians of what is alike, progress or not, would make every long request look nearly done (survivorship); one longer than all alike
    is taken to have a twentieth of its progress before it.
    """
    counts = np.isfinite(rows).sum(axis=1)
    shorter = (rows <= progress[:, None]).sum(axis=1)
    longer = counts - shorter
    places = np.minimum(shorter + (levels * longer).astype(np.int64), np.maximum(counts - 1, 0))
    drawn = rows[np.arange(len(rows)), places].astype(np.float64)
    return np.where(longer > 0, drawn - progress, 0.05 * progress)
