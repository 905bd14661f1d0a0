"""The newest outputs, ready to be sent: one bounded ring that every subscriber reads at its own place, so that a slow one costs others nothing."""

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """One output as it is sent; `last` counts everything emitted up to the end of what it was emitted with."""

    last: int
    scope: str
    type: str
    data: bytes


class Ring:
    """Frames in their order, the oldest dropped beyond a limit of bytes. `extend` may be called on any thread, all else on the loop where it was made."""

    def __init__(self, last: int = 0, kept_bytes: int = 16_000_000) -> None:
        self._loop = asyncio.get_running_loop()
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._frames: deque[Frame] = deque()
        self._first = 0
        self._bytes = 0
        self._dropped = last
        self._is_announced = False
        self.news = asyncio.Event()

    def extend(self, frames: Sequence[Frame]) -> None:
        """Take in frames, and wake whoever waits for them."""
        with self._lock:
            self._frames.extend(frames)
            self._bytes += sum(len(frame.data) for frame in frames)
            while self._bytes > self._kept_bytes and len(self._frames) > 1:
                gone = self._frames.popleft()
                self._bytes -= len(gone.data)
                self._first += 1
                self._dropped = gone.last
            if self._is_announced:
                return
            self._is_announced = True
        try:
            self._loop.call_soon_threadsafe(self.announce)
        except RuntimeError:  # the loop has ended, and its subscribers with it
            return

    def announce(self) -> None:
        """Wake whoever waits on `news`."""
        with self._lock:
            self._is_announced = False
        self.news.set()
        self.news = asyncio.Event()

    def after(self, last: int) -> int | None:
        """The place at which frames with a greater `last` begin; None where the first of them was dropped."""
        with self._lock:
            if self._dropped > last:
                return None
            behind = 0
            for kept in reversed(self._frames):
                if kept.last <= last:
                    break
                behind += 1
            return self._first + len(self._frames) - behind

    def since(self, place: int) -> list[Frame] | None:
        """The frames from a place on; None where the first of them was dropped."""
        with self._lock:
            behind = self._first + len(self._frames) - place
            if behind > len(self._frames):
                return None
            return [self._frames[index] for index in range(-behind, 0)]


__all__ = ["Frame", "Ring"]
