"""Recordings: JSON lines, plain or compressed (`.gz`, `.zst`), read with line numbers and written through a buffer."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from pointsman.schemas.codec import MAX_EVENT_BYTES


class RecordingError(ValueError):
    """A file that cannot be read as what its name says; the message says which, why and what to do."""


class Overlong(bytes):
    """The beginning of a line that is longer than any event may be; `length` is the line's true length."""

    length: int


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What goes wrong in reading a file says which file that is."""
    try:
        yield
    except EOFError:
        raise RecordingError(f"{path}: a compressed file that ends too early: copy or record it again") from None
    except UnicodeDecodeError as error:
        raise RecordingError(f"{path}: not text in UTF-8 (byte {error.start}): give a text file, compressed only as its name says (.gz, .zst)") from None
    except (OSError, zlib.error) as error:
        if isinstance(error, gzip.BadGzipFile | zlib.error):
            raise RecordingError(f"{path}: not gzip, or damaged: name it as what it is, or copy it again") from None
        error.filename = error.filename or str(path)
        raise
    except Exception as error:
        if type(error).__module__.startswith(("zstd", "zstandard")):
            raise RecordingError(f"{path}: not Zstandard, or damaged: name it as what it is, or copy it again") from None
        raise


class _Named(io.FileIO):
    """A file being written whose errors, a full disk for one, say which file that is."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = error.filename or str(self.name)
            raise


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
    raw = io.BufferedWriter(_Named(path, "wb"), 1 << 20)
    if path.suffix == ".gz":
        file = gzip.GzipFile(path, "wb", fileobj=raw, mtime=0)
        file.myfileobj = raw  # type: ignore[assignment]  # so that it is closed with it
        return cast(IO[bytes], file)
    if path.suffix == ".zst":
        import zstandard

        return cast(IO[bytes], zstandard.ZstdCompressor().stream_writer(raw, closefd=True))
    return raw


def read_lines(path: Path | str) -> Iterator[tuple[int, bytes]]:
    """The lines of a recording with their numbers from 1; blank lines are skipped but counted."""
    with naming(Path(path)), open_read(Path(path)) as file:
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


__all__ = ["Overlong", "RecordingError", "lines_of", "naming", "open_read", "open_write", "read_lines"]
