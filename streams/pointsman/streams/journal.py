"""The embedded journal: one SQLite file (WAL) with journal, outputs, dead letters and snapshots, committed together."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Literal

from .emitted import EmittedLog

APPLICATION_ID = 0x504D414E  # "PMAN"
FORMAT = 2
SnapshotTable = Literal["snapshots", "shadows"]
SHADOWS: SnapshotTable = "shadows"
_MAGIC = b"SQLite format 3\x00"
_TABLES = """
CREATE TABLE journal (position INTEGER PRIMARY KEY, scope TEXT NOT NULL, line BLOB NOT NULL);
CREATE TABLE outputs (number INTEGER PRIMARY KEY, position INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, line BLOB NOT NULL);
CREATE TABLE snapshots (scope TEXT NOT NULL, part TEXT NOT NULL, line BLOB NOT NULL, PRIMARY KEY (scope, part)) WITHOUT ROWID;
CREATE TABLE dead_letters (number INTEGER PRIMARY KEY, line BLOB NOT NULL);
CREATE TABLE saved (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class JournalError(Exception):
    """A file that cannot be used as a journal; the message says why and what to do. The file is left as it was."""


class JournalBusy(JournalError):
    """A file that another process has open: what is to be written there is to be told to that process."""


class Journal:
    """Appends and reads; every method between `begin` and `commit` is one transaction."""

    def __init__(self, connection: sqlite3.Connection, lock: IO[bytes] | None = None) -> None:
        self._connection = connection
        self._lock = lock
        self.emitted = EmittedLog(connection)

    @classmethod
    def open(cls, path: str) -> "Journal":
        """Open or create; raises `JournalError` for a corrupt, foreign or newer file, without touching it."""
        if path != ":memory:" and Path(path).is_dir():
            raise JournalError(f"{path}: is a folder: give the path of a file in it")
        is_new = path == ":memory:" or not Path(path).exists() or Path(path).stat().st_size == 0
        lock = None if path == ":memory:" else _lock(path)
        try:
            with explaining(Path(path)):
                return cls(cls._connect(path, is_new), lock)
        except BaseException:
            if lock is not None:
                lock.close()
            raise

    @staticmethod
    def _connect(path: str, is_new: bool) -> sqlite3.Connection:
        if not is_new:
            _check(path)
        try:
            connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            if is_new:  # before WAL, so that the header in the main file says whose it is from the first commit on
                connection.executescript(f"BEGIN; {_TABLES} PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT}; COMMIT;")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        except sqlite3.Error as error:
            raise JournalError(f"{path}: cannot be opened ({error}): check the folder and its permissions") from error
        return connection

    def begin(self) -> None:
        """Start a transaction."""
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it last."""
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo it."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def append(self, rows: list[tuple[int, str, bytes]]) -> None:
        """Add events (position, scope, line); the first position is the one after the end."""
        self._connection.executemany("INSERT INTO journal (position, scope, line) VALUES (?, ?, ?)", rows)

    def dead_letters(self) -> Iterator[bytes]:
        """What was refused, in order."""
        for (line,) in self._connection.execute("SELECT line FROM dead_letters ORDER BY number"):
            yield line

    def newest_dead_letters(self, most: int) -> Iterator[bytes]:
        """The newest of what was refused, in order."""
        for (line,) in self._connection.execute(
            "SELECT line FROM dead_letters WHERE number > (SELECT max(number) FROM dead_letters) - ? ORDER BY number", (most,)
        ):
            yield line

    def keep_shadows(self) -> None:
        """Make room for a shadow's snapshots; the other tables stay as they are."""
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS {SHADOWS} (scope TEXT NOT NULL, part TEXT NOT NULL, line BLOB, PRIMARY KEY (scope, part))")

    def save(self, scope: str, parts: dict[str, bytes], table: SnapshotTable = "snapshots") -> None:
        """Replace the snapshot of a scope; parts that did not change are not written again."""
        known: dict[str, bytes] = dict(self._connection.execute(f"SELECT part, line FROM {table} WHERE scope = ?", (scope,)))
        self._connection.executemany(f"DELETE FROM {table} WHERE scope = ? AND part = ?", [(scope, part) for part in known if part not in parts])
        changed = [(scope, part, line) for part, line in parts.items() if known.get(part) != line]
        self._connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", changed)

    def snapshots(self, table: SnapshotTable = "snapshots") -> dict[str, dict[str, bytes]]:
        """The parts of every scope's snapshot."""
        found: dict[str, dict[str, bytes]] = {}
        for scope, part, line in self._connection.execute(f"SELECT scope, part, line FROM {table}"):
            found.setdefault(scope, {})[part] = line
        return found

    def note(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        self._connection.execute("INSERT OR REPLACE INTO saved VALUES (?, ?)", (name, value))

    def noted(self, name: str) -> str | None:
        """The value kept under a name."""
        row = self._connection.execute("SELECT value FROM saved WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def end(self) -> int:
        """The position of the last event; 0 where there is none."""
        return int(self._connection.execute("SELECT coalesce(max(position), 0) FROM journal").fetchone()[0])

    def read(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Positions and events after a position, in order."""
        yield from self._connection.execute("SELECT position, line FROM journal WHERE position > ? ORDER BY position", (after,))

    def outputs(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Numbers and outputs after a number, in the order in which they were emitted."""
        yield from self._connection.execute("SELECT number, line FROM outputs WHERE number > ? ORDER BY number", (after,))

    def last_output(self) -> tuple[int, str]:
        """Number and id of the newest output; 0 and nothing where there is none."""
        row = self._connection.execute("SELECT number, id FROM outputs ORDER BY number DESC LIMIT 1").fetchone()
        return (row[0], row[1]) if row else (0, "")

    def output_number(self, event_id: str) -> int | None:
        """The number of the output with this id."""
        row = self._connection.execute("SELECT number FROM outputs WHERE id = ?", (event_id,)).fetchone()
        return row[0] if row else None

    def newest(self, scope: str) -> Iterator[tuple[int, bytes]]:
        """Positions and events of a scope, the newest first."""
        yield from self._connection.execute("SELECT position, line FROM journal WHERE scope = ? ORDER BY position DESC", (scope,))

    def newest_outputs(self, position: int) -> Iterator[tuple[int, bytes]]:
        """Positions of the causes and outputs up to a position, the newest first."""
        yield from self._connection.execute("SELECT position, line FROM outputs WHERE position <= ? ORDER BY number DESC", (position,))

    def recent_outputs(self, most: int) -> Iterator[tuple[int, bytes]]:
        """Positions of the causes and the newest outputs, in order."""
        yield from self._connection.execute("SELECT position, line FROM outputs WHERE number > (SELECT max(number) FROM outputs) - ? ORDER BY number", (most,))

    def recent_of(self, kind: str, most: int) -> Iterator[tuple[int, bytes]]:
        """Positions and events of one type among the newest `most` events, in order."""
        yield from self._connection.execute(
            "SELECT position, line FROM journal WHERE position > (SELECT max(position) FROM journal) - ? AND instr(line, CAST(? AS BLOB)) ORDER BY position",
            (most, f'"type":"{kind}"'),
        )

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        if self._lock is not None:
            self._lock.close()


def _lock(path: str) -> IO[bytes] | None:
    """Hold `path.lock` for as long as this process lives, so that two optimizers never write one file; reading commands need no lock."""
    try:
        import fcntl
    except ImportError:  # Windows has no flock; SQLite's own locks still keep single transactions apart
        return None
    try:
        lock = Path(f"{Path(path).resolve()}.lock").open("ab")  # noqa: SIM115
    except OSError as error:
        raise JournalError(f"{path}: cannot be opened ({error.strerror}): check the folder and its permissions") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise JournalBusy(f"{path}: another optimizer has it open: close that one, or give another path") from error
    return lock


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Errors of SQLite as `JournalError`, with the file and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {_advice(error)}") from error


@contextmanager
def reading(path: Path, timeout_s: float = 5.0) -> Iterator[sqlite3.Connection]:
    """A connection to an embedded database that only reads, also while another program writes; raises `JournalError`."""
    if not path.exists():
        raise JournalError(f"{path}: no such database; give the file that Optimizer.open was given")
    _check_header(path)
    with explaining(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=timeout_s)) as connection:
        yield connection


def _advice(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "locked by another program: end that one, or try again"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return f"damaged ({error}): restore a copy, or save what `pointsman record --database` can read"
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full: free some space, and run it again"
    return f"cannot be used ({error}): check the file, its folder and their permissions"


def _check_header(path: Path) -> None:
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise JournalError(f"{path}: cannot be read ({error.strerror}): check its permissions") from error
    if not header.startswith(_MAGIC) or len(header) < 100:
        raise JournalError(f"{path}: not an SQLite file, or its beginning is damaged: restore a copy, or give another path")
    written_by, format_ = int.from_bytes(header[68:72], "big"), int.from_bytes(header[60:64], "big")
    if written_by != APPLICATION_ID:
        raise JournalError(f"{path}: an SQLite file of another program: give another path")
    if format_ < FORMAT:
        raise JournalError(f"{path}: written by an older Pointsman (format {format_}, this one knows {FORMAT}): record it with that one, and replay")
    if format_ > FORMAT:
        raise JournalError(f"{path}: written by a newer Pointsman (format {format_}, this one knows {FORMAT}): upgrade, or give another path")


def _check(path: str) -> None:
    _check_header(Path(path))
    try:
        connection = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)
        try:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        answer = str(error)
    if answer != "ok":
        raise JournalError(f"{path}: damaged ({answer}): restore a copy, or save what `pointsman record --database` can read")
