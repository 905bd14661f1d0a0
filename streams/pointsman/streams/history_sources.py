"""What a history is read from: the database of an embedded optimizer, recordings and replayed outputs as JSON lines, or Kafka.

A source gives its lines in pieces, each with the positions after it; from positions it goes on where it was. An empty piece says that there is no more for now.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol, cast

from pointsman.schemas.access import Patience
from pointsman.schemas.settings import KafkaSettings, security

from .journal import reading
from .recording import lines_of, naming, open_read
from .replay import Placed, ReplayError, is_database

PIECE = 1000
TOPICS = ("journal", "recommendations", "predictions", "windows", "alerts", "forecasts", "strategies", "objectives")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines with their places, and how far each part of the source is read with them."""

    lines: tuple[Placed, ...]
    positions: Mapping[str, int]


class Source(Protocol):
    """What can be read from any position on; its positions are kept under `name`."""

    name: str

    def pieces(self, positions: Mapping[str, int]) -> Iterator[Piece]:
        """Pieces after these positions, without end."""
        ...


class DatabaseSource:
    """Journal and outputs of an embedded database, which is only read, also while an optimizer writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with reading(path) as connection:
            first = connection.execute("SELECT line FROM journal ORDER BY position LIMIT 1").fetchone()
        self.name = _name(path, first[0] if first else b"")

    def pieces(self, positions: Mapping[str, int]) -> Iterator[Piece]:
        """The journal as far as it goes, then the outputs, and again."""
        tables = {"journal": "position", "outputs": "number"}
        reached = {part: positions.get(part, 0) for part in tables}
        with reading(self._path, timeout_s=30.0) as connection:
            while True:
                found = 0
                for part, number in tables.items():
                    query = f"SELECT {number}, line FROM {part} WHERE {number} > ? ORDER BY {number} LIMIT ?"
                    rows = connection.execute(query, (reached[part], PIECE)).fetchall()
                    if rows:
                        reached[part] = rows[-1][0]
                        yield Piece(tuple((f"{self._path.name}:{part}:{place}", line) for place, line in rows), {part: reached[part]})
                    found += len(rows)
                if not found:
                    yield Piece((), {})


class FileSource:
    """JSON lines, plain or compressed, of inputs, of outputs, or of both; the position is the count of bytes read, uncompressed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with naming(path), open_read(path) as file:
            self.name = _name(path, next((line for _, line in lines_of(file)), b""))

    def pieces(self, positions: Mapping[str, int]) -> Iterator[Piece]:
        """Lines after the position; a last line that is still being written waits."""
        place = positions.get("bytes", 0)
        while True:
            with naming(self._path), open_read(self._path) as file:
                lines = self._whole(_Counted(file, place))
                while rows := tuple(islice(lines, PIECE)):
                    place = rows[-1][0]
                    yield Piece(tuple((f"{self._path.name}:byte {end}", line) for end, line in rows), {"bytes": place})
            yield Piece((), {})

    @staticmethod
    def _whole(file: "_Counted") -> Iterator[tuple[int, bytes]]:
        """Lines with the place of their end."""
        held: tuple[int, bytes] | None = None
        for _, line in lines_of(cast(IO[bytes], file)):
            if held is not None:
                yield held
            held = (file.place, line)
        if held is not None and _is_json(held[1]):
            yield held


class _Counted:
    """A file from a place on, which counts what is read; what is compressed with zstd cannot seek."""

    def __init__(self, file: IO[bytes], place: int) -> None:
        self._readline = file.readline
        self.place = place
        if file.seekable():
            file.seek(place)
        while not file.seekable() and place > 0 and (skipped := file.read(min(place, 1 << 20))):
            place -= len(skipped)

    def readline(self, limit: int) -> bytes:
        """The next line, or the beginning of a long one."""
        line: bytes = self._readline(limit)
        self.place += len(line)
        return line


class KafkaSource:
    """The journal and the outputs on Kafka, every partition from its own offset on; a broker that is away is waited for."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self.name = f"kafka://{settings.bootstrap_servers}/{settings.topic_prefix}"

    def pieces(self, positions: Mapping[str, int]) -> Iterator[Piece]:
        """What the brokers have, as they give it."""
        from aiokafka.errors import KafkaError

        reached = dict(positions)
        patience = Patience(self._settings, "The history waits for it; the topics keep what is to come.")
        with asyncio.Runner() as runner:
            while True:
                records = self._records(reached)
                try:
                    while True:
                        piece = runner.run(_next(records))
                        patience.end()
                        reached.update(piece.positions)
                        yield piece
                except (KafkaError, OSError) as error:
                    runner.run(patience.wait(error))
                finally:
                    runner.run(_end(records))

    async def _records(self, positions: Mapping[str, int]) -> AsyncGenerator[Piece, None]:
        from aiokafka import AIOKafkaConsumer

        topics = [self._settings.topic_prefix + suffix for suffix in TOPICS]
        consumer: Any = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=self._settings.bootstrap_servers,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
            **security(self._settings),
        )
        try:
            await consumer.start()
            places = consumer.assignment()
            if missing := sorted(set(topics) - {place.topic for place in places}):
                raise ReplayError(f"kafka {self._settings.bootstrap_servers}: no topic {missing[0]}: check kafka.topic_prefix, or run `pointsman topics`")
            for place in places:
                consumer.seek(place, positions.get(_part(place), 0))
            ends = await consumer.end_offsets(places)
            while True:
                batches = await consumer.getmany(timeout_ms=300, max_records=PIECE)
                for place, records in batches.items():
                    lines = tuple((f"{place.topic}/{place.partition}/{record.offset}", record.value) for record in records if record.value is not None)
                    yield Piece(lines, {_part(place): records[-1].offset + 1})
                if not batches and all([await consumer.position(place) >= end for place, end in ends.items()]):
                    yield Piece((), {})
        finally:
            await consumer.stop()


async def _next(records: AsyncGenerator[Piece, None]) -> Piece:
    return await anext(records)


async def _end(records: AsyncGenerator[Piece, None]) -> None:
    async with aclosing(records):
        return


def _part(place: Any) -> str:
    return f"{place.topic}/{place.partition}"


def _name(path: Path, first: bytes) -> str:
    """Another file at the same path is another source: it begins with another line."""
    return f"{path.resolve()}#{hashlib.blake2b(first, digest_size=8).hexdigest()}"


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def source_of(address: str, settings: KafkaSettings) -> Source:
    """The source that an address names: `kafka://HOST:PORT` (the prefix and the security are those of the settings), a database, or JSON lines."""
    if address.startswith("kafka://"):
        return KafkaSource(settings.at(address))
    path = Path(address)
    if not path.is_file():
        raise ReplayError(f"{address}: no such file; give an embedded database, JSON lines (inputs or outputs), or kafka://HOST:PORT")
    return DatabaseSource(path) if is_database(path) else FileSource(path)


__all__ = ["DatabaseSource", "FileSource", "KafkaSource", "Piece", "Source", "source_of"]
