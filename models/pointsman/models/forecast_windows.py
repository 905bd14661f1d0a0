"""Sliding windows of normalised residuals, many at once, always in order: quantiles of all of them by one look-up."""

import math
from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .packing import pack, unpack_into

Floats = NDArray[np.float64]


class SortedWindows:
    """Rows (horizons) of groups (kinds of residual), each with the last `sizes[i]` values in order for every i; float32, empty places are infinite.

    >>> windows = SortedWindows(1, 1, (2, 3))
    >>> for value in (3.0, 1.0, 2.0):
    ...     windows.learn(0, np.array([value]))
    >>> windows.quantiles(np.array([[0.5]])).tolist()
    [[[[1.5]], [[2.0]]]]
    """

    __slots__ = ("count", "groups", "ordered", "rings", "rows", "sizes", "starts", "views")

    def __init__(self, rows: int, groups: int, sizes: tuple[int, ...]) -> None:
        self.rows, self.groups, self.sizes = rows, groups, np.array(sizes)
        self.rings = np.full((rows, max(sizes), groups), np.inf, np.float32)
        lengths = np.broadcast_to(self.sizes[:, None], (rows, len(sizes), groups))
        self.ordered = np.full(int(lengths.sum()), np.inf, np.float32)
        self.starts = (np.cumsum(lengths) - lengths.reshape(-1)).reshape(lengths.shape)
        self.count = np.zeros(rows, np.int64)
        whole: Any = self.ordered.data  # numpy's own slices cost five times as much at this size
        self.views = [[[whole[start : start + size] for start in starts] for size, starts in zip(sizes, row, strict=True)] for row in self.starts.tolist()]

    def learn(self, row: int, values: Floats) -> None:
        """Take one value into each group of a row; the oldest leaves each window."""
        ring, count = self.rings[row], int(self.count[row])
        kept = values.astype(np.float32)
        entering = kept.tolist()
        for size, views in zip(self.sizes.tolist(), self.views[row], strict=True):
            leaving = ring[(count - size) % len(ring)].tolist() if count >= size else [math.inf] * self.groups
            for view, old, new in zip(views, leaving, entering, strict=True):
                _replace(view, old, new)
        ring[count % len(ring)] = kept
        self.count[row] = count + 1

    def quantiles(self, levels: Floats) -> Floats:
        """Rows × sizes × groups × levels, for levels of each row; zero where a row has nothing."""
        held = np.minimum(self.count[:, None], self.sizes)[:, :, None]
        most = np.maximum(held - 1, 0)
        place = levels[:, None, :] * (held + 1.0)
        place -= 1.0
        place = np.minimum(np.maximum(place, 0.0, out=place), most, out=place)
        low = place.astype(np.int64)
        both = np.empty((2, *low.shape), np.int64)
        both[0] = low
        np.minimum(low + 1, most, out=both[1])
        below, above = self.ordered.take(both[:, :, :, None, :] + self.starts[..., None]).astype(np.float64)
        if not held.all():
            below, above = np.nan_to_num(below, posinf=0.0), np.nan_to_num(above, posinf=0.0)
        found: Floats = below + (place - low)[:, :, None, :] * (above - below)
        return found

    def snapshot(self) -> list[str]:
        """The values in the order they came; their order by size follows."""
        return [pack(self.rings), pack(self.count)]

    def restore(self, state: list[str]) -> None:
        """Take up the state of a snapshot."""
        unpack_into(state[0], self.rings)
        unpack_into(state[1], self.count)
        self.ordered[:] = np.inf
        for row, count in enumerate(self.count.tolist()):
            for size, starts in zip(self.sizes.tolist(), self.starts[row].tolist(), strict=True):
                last = [(count - 1 - back) % self.rings.shape[1] for back in range(min(size, count))]
                for group, start in enumerate(starts):
                    self.ordered[start : start + len(last)] = np.sort(self.rings[row, last, group])


def _replace(view: "memoryview[float]", old: float, new: float) -> None:
    """In an ordered window put one value for another: what lies between moves by one place."""
    begin = bisect_left(view, old)
    if new > old:
        end = bisect_right(view, new, begin)
        view[begin : end - 1] = view[begin + 1 : end]
        view[end - 1] = new
    else:
        end = bisect_left(view, new, 0, begin)
        view[end + 1 : begin + 1] = view[end:begin]
        view[end] = new
