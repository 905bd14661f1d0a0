"""Outputs as server-sent events: one bounded ring of frames that every subscriber reads at its own place, so that a slow one costs others nothing.

Whoever comes with the id of the last event it saw is brought up to the ring from the database first, page by page, without a gap or a repeat.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote, unquote

from pointsman.schemas import Event, EventRejected, encode

from .desk import Desk

PAGE = 500
CHUNK_BYTES = 65_536
MOST_RESUMED = 100_000
PACE_S = 0.05
MOST_WAKES_PER_S = 500.0
PHASES = 16
BEGINNING = "0"  # no output has this id: each has slashes in it
PRINTABLE = "".join(chr(code) for code in range(33, 127) if chr(code) != "%")


class TooManySubscribers(Exception):
    """There is no room for another subscriber."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which outputs a subscriber wants: of one scope, of some types, or all."""

    scope: str | None = None
    types: frozenset[str] = frozenset()

    def wants(self, scope: str, kind: str) -> bool:
        """Whether an output of this scope and type is wanted."""
        return (self.scope is None or scope == self.scope) and (not self.types or kind in self.types)


@dataclass(frozen=True, slots=True)
class Frame:
    """One output, ready to be sent, and the number of the last output of its transaction."""

    last: int
    scope: str
    type: str
    data: bytes


def written_id(event_id: str) -> str:
    """An event id as `id:` carries it: as it is where it is printable ASCII, percent-encoded elsewhere.

    >>> written_id("chat/12/0"), written_id("a b/1/0")
    ('chat/12/0', 'a%20b/1/0')
    """
    return quote(event_id, safe=PRINTABLE)


def frame(event_id: str, line: bytes) -> bytes:
    """One output as a server-sent event.

    >>> frame("chat/12/0", b"{}")
    b'id: chat/12/0\\ndata: {}\\n\\n'
    """
    return b"id: " + written_id(event_id).encode() + b"\ndata: " + line + b"\n\n"


def told(name: str, **fields: Any) -> bytes:
    """A server-sent event about the stream itself."""
    return f"event: {name}\ndata: {json.dumps(fields)}\n\n".encode()


class EventStream:
    """The ring, and who reads it. `heard` is called by the optimizer's thread, everything else on the loop."""

    def __init__(self, desk: Desk, last: int, *, kept_bytes: int = 16_000_000, most: int = 200, heartbeat_s: float = 15.0) -> None:
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self._kept_bytes = kept_bytes
        self._most = most
        self._heartbeat_s = heartbeat_s
        self._lock = threading.Lock()
        self._frames: deque[Frame] = deque()
        self._first = 0
        self._bytes = 0
        self._dropped = last
        self._last_id = ""
        self._is_announced = False
        self._news = asyncio.Event()
        self._numbers = count()
        self._is_over = False
        self.subscribers = 0
        self.cut_off = 0

    def heard(self, last: int, outputs: Sequence[tuple[Event, bytes]]) -> None:
        """Take in what one transaction caused, and drop the oldest beyond the limit of bytes."""
        with self._lock:
            for event, line in outputs:
                kind = str(getattr(event, "type", ""))
                if isinstance(event, EventRejected):
                    data = b"data: " + encode(event.model_copy(update={"payload": ""})) + b"\n\n"
                else:
                    data = frame(event.event_id, line)
                    self._last_id = event.event_id
                self._frames.append(Frame(last, event.scope, kind, data))
                self._bytes += len(data)
            while self._bytes > self._kept_bytes and len(self._frames) > 1:
                gone = self._frames.popleft()
                self._bytes -= len(gone.data)
                self._first += 1
                self._dropped = gone.last
            if self._is_announced:
                return
            self._is_announced = True
        try:
            self._loop.call_soon_threadsafe(self._announce)
        except RuntimeError:  # the loop has ended, and its subscribers with it
            return

    def _announce(self) -> None:
        with self._lock:
            self._is_announced = False
        self._news.set()
        self._news = asyncio.Event()

    def end(self) -> None:
        """Let every subscriber go: the server stops."""
        self._is_over = True
        self._announce()

    async def read(self, wanted: Filter, last_event_id: str | None = None, *, follow: bool = True) -> AsyncGenerator[bytes, None]:
        """Chunks for one subscriber, until it is too slow or the server stops; without `follow` until there is no more now. Raises `TooManySubscribers`."""
        if self.subscribers >= self._most:
            raise TooManySubscribers
        self.subscribers += 1
        phase = 0.5 + (next(self._numbers) % PHASES) / PHASES  # apart, so that many subscribers never wake at one moment
        try:
            after, place, note = await self._beginning(last_event_id)
            yield note
            while place is None:
                rows = await self._page(after)
                for chunk in _chunks(_row(line, wanted) for _, line in rows):
                    yield chunk
                after = rows[-1][0] if rows else after
                place = self._place(after) if len(rows) < PAGE else None
            async for chunk in self._live(place, wanted, phase) if follow else _nothing():
                yield chunk
        finally:
            self.subscribers -= 1

    async def _beginning(self, last_event_id: str | None) -> tuple[int, int | None, bytes]:
        """The number after which to begin, the place in the ring where that is its end, and what to say first."""
        end, (number, newest) = await self._desk.ask(lambda optimizer: (self._end(), optimizer.last_output()))
        here = f"retry: 1000\nid: {written_id(newest)}\n\n".encode() if newest else b"retry: 1000\n\n"
        if not last_event_id:
            return number, end, here
        given = unquote(last_event_id)
        found = 0 if given == BEGINNING else await self._desk.ask(lambda optimizer: optimizer.output_number(given))
        if found is None:
            said = "this id is not known here: what came after it is not repeated"
            return number, end, here + told("lost", last_event_id=last_event_id, message=said)
        if number - found > MOST_RESUMED:
            said = f"too far behind: the newest {MOST_RESUMED} are repeated"
            return number - MOST_RESUMED, None, told("lost", last_event_id=last_event_id, outputs=number - found - MOST_RESUMED, message=said)
        return found, None, b"retry: 1000\n\n"

    def _end(self) -> int:
        with self._lock:
            return self._first + len(self._frames)

    async def _page(self, after: int) -> list[tuple[int, bytes]]:
        return await self._desk.ask(lambda optimizer: optimizer.outputs_page(after, PAGE))

    def _place(self, after: int) -> int | None:
        """Where in the ring the outputs after a number begin; None where the ring begins later."""
        with self._lock:
            if self._dropped > after:
                return None
            behind = 0
            for kept in reversed(self._frames):
                if kept.last <= after:
                    break
                behind += 1
            return self._first + len(self._frames) - behind

    async def _live(self, place: int, wanted: Filter, phase: float) -> AsyncGenerator[bytes, None]:
        while not self._is_over:
            news = self._news
            frames = self._since(place)
            if frames is None:
                self.cut_off += 1
                yield told("behind", message="too slow: connect again with the last id to have the rest")
                return
            place += len(frames)
            for chunk in _chunks(kept.data for kept in frames if wanted.wants(kept.scope, kept.type)):
                yield chunk
            if frames:
                await asyncio.sleep(phase * max(PACE_S, self.subscribers / MOST_WAKES_PER_S))
                continue
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    await news.wait()
            except TimeoutError:
                yield b": heartbeat\n\n"

    def _since(self, place: int) -> list[Frame] | None:
        with self._lock:
            behind = self._first + len(self._frames) - place
            if behind > len(self._frames):
                return None
            return [self._frames[index] for index in range(-behind, 0)]


async def _nothing() -> AsyncGenerator[bytes, None]:
    return
    yield b""


def _row(line: bytes, wanted: Filter) -> bytes:
    fields = json.loads(line)
    return frame(fields["event_id"], line) if wanted.wants(fields["scope"], fields["type"]) else b""


def _chunks(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Frames joined into pieces of about 64 KB, so that little waits for a reader that has stopped reading."""
    piece, size = [], 0
    for data in frames:
        piece.append(data)
        size += len(data)
        if size >= CHUNK_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
    if size:
        yield b"".join(piece)


__all__ = ["EventStream", "Filter", "Frame", "TooManySubscribers", "frame", "told", "written_id"]
