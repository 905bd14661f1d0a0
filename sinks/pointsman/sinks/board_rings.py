"""Rings of rows under one cap: a few keys have long rings, many keys share what there is."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from pointsman.schemas import Interval

Key = TypeVar("Key", str, tuple[str, str], tuple[str, str, str, float])
Row = tuple[Any, ...]
MOST_ROWS = 240
MOST_POINTS = 4096
MOST_SAMPLED = 128


class Rings(Generic[Key]):
    """Per key the newest rows by their first field; a row whose first field is there already takes its place.

    At most `most_keys` keys, the one longest without news goes; at most 240 rows a key, and fewer where many keys share 4,096.

    >>> rings = Rings[str](most_keys=2)
    >>> for at in (1.0, 3.0, 2.0, 3.0):
    ...     rings.put("a", (at, len(rings.rows("a"))))
    >>> rings.rows("a")
    [(1.0, 0), (2.0, 2), (3.0, 3)]
    """

    __slots__ = ("_most_keys", "_rings", "evicted")

    def __init__(self, most_keys: int) -> None:
        self._most_keys = most_keys
        self._rings: OrderedDict[Key, deque[Row]] = OrderedDict()
        self.evicted = 0

    def put(self, key: Key, row: Row) -> None:
        """Add a row at its place."""
        ring = self._rings.get(key)
        if ring is None:
            ring = self._rings[key] = deque()
            if len(self._rings) > self._most_keys:
                self._rings.popitem(last=False)
                self.evicted += 1
        else:
            self._rings.move_to_end(key)
        place = len(ring)
        while place and ring[place - 1][0] >= row[0]:
            place -= 1
        if place < len(ring) and ring[place][0] == row[0]:
            ring[place] = row
        else:
            ring.insert(place, row)
        while len(ring) > min(MOST_ROWS, MOST_POINTS // len(self._rings)):
            ring.popleft()

    def rows(self, key: Key) -> list[Row]:
        """The rows of a key, oldest first."""
        return list(self._rings.get(key, ()))

    def last(self, key: Key) -> Row | None:
        """The newest row of a key."""
        ring = self._rings.get(key)
        return ring[-1] if ring else None

    def __iter__(self) -> Iterator[tuple[Key, list[Row]]]:
        """Keys and rows, sorted."""
        return ((key, list(self._rings[key])) for key in sorted(self._rings))


class Sampled:
    """At most 128 intervals with their times, evenly chosen out of all that came: when it is full, every second one goes and every second one is let in."""

    __slots__ = ("_count", "_rows", "_stride")

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, float, float]] = []
        self._count = 0
        self._stride = 1

    def add(self, at: float, interval: Interval) -> None:
        """Take in one interval."""
        self._count += 1
        if self._count % self._stride:
            return
        self._rows.append((at, interval.median, interval.lower, interval.upper))
        if len(self._rows) >= MOST_SAMPLED:
            del self._rows[::2]
            self._stride *= 2

    def take(self, start: float, end: float) -> tuple[float | None, float | None, float | None]:
        """The medians of the medians and ends of what lies in [start, end); everything before `end` goes."""
        found = [row for row in self._rows if start <= row[0] < end]
        self._rows = [row for row in self._rows if row[0] >= end]
        self._count, self._stride = 0, 1
        return middle([row[1] for row in found]), middle([row[2] for row in found]), middle([row[3] for row in found])


def middle(values: list[float]) -> float | None:
    """The median; None of nothing.

    >>> middle([3.0, 1.0, 2.0]), middle([1.0, 2.0]), middle([])
    (2.0, 1.5, None)
    """
    if not values:
        return None
    values = sorted(values)
    half = len(values) // 2
    return values[half] if len(values) % 2 else 0.5 * (values[half - 1] + values[half])


__all__ = ["Rings", "Row", "Sampled", "middle"]
