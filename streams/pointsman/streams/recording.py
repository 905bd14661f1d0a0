"""Recordings: JSON lines, plain or compressed (`.gz`, `.zst`), read with line numbers and written through a buffer."""

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from pointsman.schemas.codec import MAX_EVENT_BYTES


class Overlong(bytes):
    """The beginning of a line that is longer than any event may be; `length` is the line's true length."""

    length: int


def open_read(path: Path) -> IO[bytes]:
    """Open a recording for reading; the ending of its name says how it is compressed."""
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if path.suffix == ".zst":
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
        return io.BufferedReader(cast(io.RawIOBase, reader), 1 << 20)
    return path.open("rb", buffering=1 << 20)


def open_write(path: Path) -> IO[bytes]:
    """Open a recording for writing, over whatever is there; gzip carries no time, so the same lines give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.GzipFile(path, "wb", mtime=0))
    if path.suffix == ".zst":
        import zstandard

        return cast(IO[bytes], zstandard.ZstdCompressor().stream_writer(path.open("wb"), closefd=True))
    return path.open("wb", buffering=1 << 20)


def read_lines(path: Path | str) -> Iterator[tuple[int, bytes]]:
    """The lines of a recording with their numbers from 1; blank lines are skipped but counted."""
    with open_read(Path(path)) as file:
        yield from lines_of(file)


def lines_of(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines of an open file; of an over-long line only the beginning is kept, whatever its length."""
    limit = MAX_EVENT_BYTES + 2
    number = 0
    while line := file.readline(limit):
        number += 1
        if len(line) == limit and not line.endswith(b"\n"):
            yield number, _skip_rest(file, line, limit)
        elif line := line.strip():
            yield number, line


def _skip_rest(file: IO[bytes], head: bytes, limit: int) -> bytes:
    length = len(head)
    while more := file.readline(limit):
        length += len(more)
        if more.endswith(b"\n"):
            length -= 1
            break
    line = Overlong(head)
    line.length = length
    return line


__all__ = ["Overlong", "lines_of", "open_read", "open_write", "read_lines"]
