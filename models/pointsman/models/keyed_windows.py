"""Rolling windows by key in little memory: 32-bit tags in order, int16 values, the least recently used key goes first."""

import base64
import sys
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np


class KeyedWindows:
    """For each of at most `most` keys the last `size` values (whole numbers in ±32,767) and when it was last asked for.

    A key takes 2 · size + 24 bytes. Nothing depends on which tag a key has.

    >>> windows = KeyedWindows(size=4, most=2)
    >>> for value in (5, 1, 3, 2, 4):
    ...     place = windows.learn(7, value, now=0.0)
    >>> place = windows.touch(7, now=1.0)
    >>> windows.median[place], windows.last[place], windows.count[place], windows.since
    (2.5, 4, 4, 1.0)
    >>> windows.touch(8, 2.0), windows.touch(9, 3.0), windows.evicted
    (1, 0, 1)
    """

    __slots__ = (
        "_most",
        "_next",
        "_places",
        "_size",
        "_tags",
        "_values",
        "_width",
        "centres",
        "count",
        "drift",
        "evicted",
        "last",
        "median",
        "since",
        "spread",
        "used",
    )

    def __init__(self, size: int, most: int, width: int = 0) -> None:
        self._size = size
        self._most = most
        self._width = width
        self._tags = array("I")
        self._places = array("H")
        self._values = array("h")
        self._next = array("B")
        self.count = array("B")
        self.median = array("f")
        self.spread = array("h")
        self.last = array("h")
        self.drift = array("f")
        self.centres = array("f")
        self.used = array("d")
        self.since = -1.0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._tags)

    def touch(self, tag: int, now: float) -> int:
        """The place of a key, made where there is none; `since` is then how long it had not been asked for, -1 where it is new."""
        at = bisect_left(self._tags, tag)
        if at < len(self._tags) and self._tags[at] == tag:
            place = self._places[at]
            self.since = max(now - self.used[place], 0.0)
        else:
            place, self.since = self._add(tag), -1.0
        self.used[place] = now
        return place

    def find(self, tag: int, now: float) -> int:
        """The same for a mere question: nothing is noted, and the place is -1 where there is no such key."""
        at = bisect_left(self._tags, tag)
        if at == len(self._tags) or self._tags[at] != tag:
            self.since = -1.0
            return -1
        place = self._places[at]
        self.since = max(now - self.used[place], 0.0)
        return place

    def learn(self, tag: int, value: int, now: float) -> int:
        """Take in a value of a key; its place."""
        at = bisect_left(self._tags, tag)
        if at < len(self._tags) and self._tags[at] == tag:
            place = self._places[at]
        else:
            place = self._add(tag)
            self.used[place] = now
        start, count, following = place * self._size, self.count[place], self._next[place]
        self._values[start + following] = value
        self._next[place] = (following + 1) % self._size
        if count < self._size:
            self.count[place] = count = count + 1
        ordered = sorted(self._values[start : start + count])
        self.median[place] = 0.5 * (ordered[(count - 1) // 2] + ordered[count // 2])
        if self._width:
            self.spread[place] = min(ordered[(3 * count) // 4] - ordered[count // 4], 32_767)
        self.last[place] = value
        return place

    def centre(self, place: int, row: Sequence[float]) -> list[float]:
        """How far a row of `width` numbers lies from the key's mean rows so far; it counts in the mean from then on."""
        start, rate = place * self._width, max(1.0 / max(self.count[place], 1), 0.05)
        away = [one - mean for one, mean in zip(row, self.centres[start : start + self._width], strict=True)]
        for at, one in enumerate(away, start):
            self.centres[at] += rate * one
        return away

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values, arrays little-endian in base64."""
        return {"evicted": self.evicted} | {name: text_of(getattr(self, name)) for name in _ARRAYS}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self.evicted = state["evicted"]
        for name in _ARRAYS:
            setattr(self, name, read_array(getattr(self, name).typecode, state[name]))

    def _add(self, tag: int) -> int:
        if len(self._tags) >= self._most:
            place = int(np.frombuffer(self.used).argmin())
            gone = int((np.frombuffer(self._places, np.uint16) == place).argmax())
            del self._tags[gone], self._places[gone]
            self.evicted += 1
            self.count[place] = self._next[place] = 0
            self.drift[place] = self.median[place] = 0.0
            self.spread[place] = self.last[place] = 0
            self.centres[place * self._width : (place + 1) * self._width] = array("f", [0.0] * self._width)
        else:
            place = len(self._tags)
            self._values.extend([0] * self._size)
            self.centres.extend([0.0] * self._width)
            for row in (self._next, self.count, self.median, self.spread, self.last, self.drift, self.used):
                row.append(0)
        at = bisect_left(self._tags, tag)
        self._tags.insert(at, tag)
        self._places.insert(at, place)
        return place


_ARRAYS = ("_next", "_places", "_tags", "_values", "centres", "count", "drift", "last", "median", "spread", "used")


def text_of(numbers: "array[Any]") -> str:
    """The numbers of an array, little-endian in base64."""
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def read_array(typecode: str, text: str) -> "array[Any]":
    """The numbers that `text_of` wrote."""
    numbers: array[Any] = array(typecode, base64.b64decode(text))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
