"""Places where outputs stand, read as they come: a database that may be written meanwhile, a file, Kafka, or a `pointsman serve`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from pointsman.schemas import Event, Refused, decode_output
from pointsman.schemas.settings import KafkaSettings

from .journal import reading
from .recording import read_lines
from .replay import is_database
from .topics import OUTPUT_TOPICS

POLL_S = 1.0
BATCH = 5_000

Lines = AsyncGenerator[bytes | None, None]
Kinds = tuple[type[Event], ...]


class PlaceError(ValueError):
    """Nothing can be read there; the message says what to give."""


def source(place: str, kinds: Kinds, settings: KafkaSettings, *, away: str, token: str | None = None) -> tuple[Lines, bool]:
    """Lines from a place, those of `kinds` at least, with None once what stood there is through, and whether the place is live.

    `away` is logged while a broker or a server cannot be reached; `token` is the one of a `pointsman serve`.
    """
    if place.startswith("kafka://"):
        from pointsman.sinks.follow import follow

        return follow(settings.at(place), tuple(dict.fromkeys(OUTPUT_TOPICS[kind] for kind in types(kinds))), away), True
    if place.startswith(("http://", "https://")):
        from pointsman.sinks.follow_http import follow_http

        return follow_http(place, types(kinds), token=token, consequence=away), True
    path = Path(place)
    if not path.is_file():
        raise PlaceError(f"{place}: no such file; give the database of an embedded optimizer, the outputs of a replay, kafka://host:port or http://host:port")
    return (_database(path, types(kinds)), True) if is_database(path) else (_file(path), False)


def takes_events(place: str) -> bool:
    """Whether what people say can be told there; the outputs of a replay are only read."""
    return "://" in place or is_database(Path(place))


def types(kinds: Kinds) -> tuple[str, ...]:
    """The type strings of event classes."""
    return tuple(str(getattr(kind, "TYPE", "")) for kind in kinds)


def chosen(line: bytes, kinds: Kinds) -> Event | None:
    """The event of a line, where it is of one of `kinds`; others are not decoded."""
    if not any(f'"{kind}"'.encode() in line for kind in types(kinds)):
        return None
    try:
        event = decode_output(line)
    except Refused:
        return None
    return event if isinstance(event, kinds) else None


async def _database(path: Path, wanted: Sequence[str]) -> Lines:
    """The outputs of an embedded optimizer as they come; the database is only read, and may be written meanwhile."""
    after = 0
    while True:
        after, is_all, lines = await asyncio.to_thread(_rows, path, after, wanted)
        for line in lines:
            yield line
        if is_all:
            yield None
            await asyncio.sleep(POLL_S)


def _rows(path: Path, after: int, wanted: Sequence[str]) -> tuple[int, bool, list[bytes]]:
    """The next lines of these types, the number of the last row that was looked at, and whether that is the end."""
    matching = " OR ".join("instr(line, ?)" for _ in wanted)
    quoted = [f'"{kind}"'.encode() for kind in wanted]
    with reading(path) as connection:
        (end,) = connection.execute("SELECT max(number) FROM outputs").fetchone()
        query = f"SELECT number, line FROM outputs WHERE number > ? AND number <= ? AND ({matching}) ORDER BY number LIMIT ?"
        rows = connection.execute(query, (after, end or 0, *quoted, BATCH)).fetchall()
    is_all = len(rows) < BATCH
    return max(after, end or 0) if is_all else rows[-1][0], is_all, [line for _, line in rows]


async def _file(path: Path) -> Lines:
    """The lines of an outputs file, then nothing more for ever."""
    for number, line in read_lines(path):
        yield line
        if number % 1000 == 0:
            await asyncio.sleep(0)
    yield None
    await asyncio.Event().wait()


__all__ = ["Kinds", "Lines", "PlaceError", "chosen", "source", "takes_events", "types"]
