"""Outputs as server-sent events, from a ring; whoever comes with the id of the last one it saw gets what it missed first, without a gap or a repeat."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol
from urllib.parse import quote

from pointsman.schemas import EventRejected, encode

from .ring import Ring

CHUNK_BYTES = 65_536
MOST_RESUMED = 100_000
PACE_S = 0.05
MOST_WAKES_PER_S = 500.0
PHASES = 16
BEGINNING = "0"  # before the first output; no output has this id
RETRY = b"retry: 1000\n\n"
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
class Reached:
    """A subscriber has everything up to here, as the ring counts."""

    last: int


class History(Protocol):
    """What stands before the ring."""

    def until_now(self, wanted: Filter, last_event_id: str | None) -> AsyncGenerator[bytes | Reached, None]:
        """What came after an event id, as chunks, and how far that reaches whenever it is all there is now; with what came meanwhile where it is asked on."""
        ...


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


def letter_line(letter: EventRejected) -> bytes:
    """A dead letter without the bytes that were refused, as subscribers see it."""
    return encode(letter.model_copy(update={"payload": ""}))


def here(event_id: str) -> bytes:
    """What is said first to a subscriber that begins now: the id from which it can go on, should nothing come before it leaves."""
    return b"retry: 1000\nid: " + written_id(event_id).encode() + b"\n\n" if event_id else RETRY


def told(name: str, **fields: Any) -> bytes:
    """A server-sent event about the stream itself."""
    return f"event: {name}\ndata: {json.dumps(fields)}\n\n".encode()


class EventStream:
    """Who reads a ring, each at its own place."""

    def __init__(self, ring: Ring, history: History, *, most: int = 200, heartbeat_s: float = 15.0) -> None:
        self._ring = ring
        self._history = history
        self._most = most
        self._heartbeat_s = heartbeat_s
        self._numbers = count()
        self._is_over = False
        self.subscribers = 0
        self.cut_off = 0

    def end(self) -> None:
        """Let every subscriber go: the server stops."""
        self._is_over = True
        self._ring.announce()

    async def read(self, wanted: Filter, last_event_id: str | None = None, *, follow: bool = True) -> AsyncGenerator[bytes, None]:
        """Chunks for one subscriber, until it is too slow or the server stops; without `follow` until there is no more now. Raises `TooManySubscribers`."""
        if self.subscribers >= self._most:
            raise TooManySubscribers
        self.subscribers += 1
        phase = 0.5 + (next(self._numbers) % PHASES) / PHASES  # apart, so that many subscribers never wake at one moment
        place: int | None = None
        try:
            async with aclosing(self._history.until_now(wanted, last_event_id)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, bytes):
                        yield piece
                    elif (place := self._ring.after(piece.last)) is not None:
                        break
            if follow and place is not None:
                async for chunk in self._live(place, wanted, phase):
                    yield chunk
        finally:
            self.subscribers -= 1

    async def _live(self, place: int, wanted: Filter, phase: float) -> AsyncGenerator[bytes, None]:
        while not self._is_over:
            news = self._ring.news
            frames = self._ring.since(place)
            if frames is None:
                self.cut_off += 1
                yield told("behind", message="too slow: connect again with the last id to have the rest")
                return
            place += len(frames)
            for chunk in chunks(kept.data for kept in frames if wanted.wants(kept.scope, kept.type)):
                yield chunk
            if frames:
                await asyncio.sleep(phase * max(PACE_S, self.subscribers / MOST_WAKES_PER_S))
                continue
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    await news.wait()
            except TimeoutError:
                yield b": heartbeat\n\n"


def chunks(frames: Iterable[bytes]) -> Iterator[bytes]:
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


__all__ = ["BEGINNING", "EventStream", "Filter", "History", "Reached", "TooManySubscribers", "chunks", "frame", "here", "letter_line", "told", "written_id"]
