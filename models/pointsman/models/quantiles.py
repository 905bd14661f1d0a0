"""Quantiles in bounded space: a mergeable log-bucket sketch, and a sliding window."""

import math
from bisect import bisect_left, insort
from collections import deque
from typing import Any

RELATIVE_ERROR = 0.01
_GAMMA = math.log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR))


class QuantileSketch:
    """Counts per logarithmic bucket: any quantile within 1 % (DDSketch, Masson et al. 2019); values at or below 0.001 share one.

    >>> sketch = QuantileSketch()
    >>> for value in range(1, 101):
    ...     sketch.update(float(value))
    >>> round(sketch.get(0.5)), round(sketch.get(0.95))
    (50, 95)
    """

    __slots__ = ("buckets", "count")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0

    def update(self, value: float) -> None:
        """Count one value."""
        bucket = math.ceil(math.log(value) / _GAMMA) if value > 0.001 else -10_000
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1

    def merge(self, other: "QuantileSketch") -> None:
        """Count what another sketch counted."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.count += other.count

    def get(self, quantile: float) -> float:
        """The value below which `quantile` (0..1) of the counted lie; 0 where nothing was counted."""
        rank = max(math.ceil(quantile * self.count), 1)
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return 0.0 if bucket == -10_000 else 2.0 * math.exp(bucket * _GAMMA) / (1.0 + math.exp(_GAMMA))
        return 0.0

    def snapshot(self) -> list[list[int]]:
        """The buckets in order."""
        return [[bucket, self.buckets[bucket]] for bucket in sorted(self.buckets)]

    @classmethod
    def restore(cls, state: list[list[int]]) -> "QuantileSketch":
        """The sketch that left this snapshot."""
        sketch = cls()
        sketch.buckets = {bucket: count for bucket, count in state}
        sketch.count = sum(sketch.buckets.values())
        return sketch


class SlidingQuantiles:
    """The last `size` values, kept in order: exact quantiles with linear interpolation.

    >>> window = SlidingQuantiles(3)
    >>> for value in (9.0, 1.0, 2.0, 3.0):
    ...     window.update(value)
    >>> window.get(0.5)
    2.0
    """

    __slots__ = ("ordered", "recent", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.recent: deque[float] = deque()
        self.ordered: list[float] = []

    def __len__(self) -> int:
        return len(self.ordered)

    def update(self, value: float) -> None:
        """Take a value in and let the oldest go."""
        if len(self.recent) == self.size:
            del self.ordered[bisect_left(self.ordered, self.recent.popleft())]
        self.recent.append(value)
        insort(self.ordered, value)

    def get(self, quantile: float) -> float:
        """The `quantile` (0..1) of the values held; 0 where there are none."""
        ordered = self.ordered
        if not ordered:
            return 0.0
        place = quantile * (len(ordered) - 1)
        low = int(place)
        if low + 1 == len(ordered):
            return ordered[low]
        return ordered[low] + (place - low) * (ordered[low + 1] - ordered[low])

    def snapshot(self) -> list[float]:
        """The values, oldest first."""
        return list(self.recent)

    def restore(self, state: list[Any]) -> None:
        """Hold these values, oldest first."""
        self.recent = deque(state)
        self.ordered = sorted(state)
