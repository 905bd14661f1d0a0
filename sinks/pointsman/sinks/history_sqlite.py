"""A history in one SQLite file: times are UTC text that sorts and that SQLite's date functions read, booleans are 0 and 1."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .history import HistoryError, Record, Rows, Unavailable, made_folder, refused_by
from .history_migrations import MIGRATIONS, statements
from .history_tables import TABLES

APPLICATION_ID = 0x504D4849  # "PMHI"
BUSY_S = 5.0
_TIMES = frozenset({"time", "started_at", "completed_at", "raised_at", "resolved_at"}) | {
    name for table in TABLES.values() for name, kind in table.columns.items() if kind == "time"
}
_BOOLEANS = frozenset({"success", "cache_hit"})


def is_history(path: Path) -> bool:
    """Whether a file is a history in SQLite."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        header = file.read(72)
    return header.startswith(b"SQLite format 3\0") and int.from_bytes(header[68:72], "big") == APPLICATION_ID


class SqliteHistory:
    """Opens or makes the file and brings an older one to the present schema; raises `HistoryError`. `until` is the last migration applied."""

    batch_rows = 2000
    linger_s = 0.5

    def __init__(self, path: str, until: int = len(MIGRATIONS)) -> None:
        self._path = path
        if path != ":memory:" and Path(path).exists() and Path(path).stat().st_size and not is_history(Path(path)):
            raise HistoryError(f"{path}: not a history: give another path, or the file that `pointsman history` wrote")
        if path != ":memory:":
            made_folder(Path(path).absolute().parent, path)
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
        except sqlite3.OperationalError as error:
            raise HistoryError(f"{path}: cannot be opened ({error}): check the folder and its permissions") from error
        try:
            self._migrate(until)
        except Unavailable as error:
            self._connection.close()
            raise refused_by(error.__cause__, path) if isinstance(error.__cause__, sqlite3.OperationalError) else error from error
        except BaseException:
            self._connection.close()
            raise

    def _migrate(self, until: int) -> None:
        with self._transaction() as run:
            run(f"PRAGMA application_id={APPLICATION_ID}")
            run("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)")
            (version,) = run("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
            if version > len(MIGRATIONS):
                raise HistoryError(f"{self._path}: written by a newer Pointsman (schema {version}, this one knows {len(MIGRATIONS)}): upgrade this one")
            for number in range(version + 1, until + 1):
                for statement in statements(number, "sqlite"):
                    run(statement)
                run("INSERT INTO schema_version VALUES (?, ?)", (number, written(datetime.now(UTC))))
        with self._explaining():
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with self._explaining():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection.execute
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise Unavailable(f"{self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise HistoryError(f"{self._path}: damaged ({error}): restore a copy, or give another path and read the source again") from error

    def positions(self, source: str) -> dict[str, int]:
        """How far each part of a source has been read."""
        with self._explaining():
            return dict(self._connection.execute("SELECT part, position FROM positions WHERE source = ?", (source,)))

    def add(self, rows: Rows, source: str, positions: Mapping[str, int]) -> int:
        """Keep rows and positions in one transaction; a row that is there already is left as it is."""
        with self._transaction() as run:
            before = self._connection.total_changes
            for name, found in rows.items():
                columns = TABLES[name].names
                insert = f"INSERT INTO {name} ({quoted(columns)}) VALUES ({', '.join('?' * len(columns))}) ON CONFLICT DO NOTHING"
                self._connection.executemany(insert, ([written(value) for value in row] for row in found))
            added = self._connection.total_changes - before
            for part, position in positions.items():
                run("INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT (source, part) DO UPDATE SET position = excluded.position", (source, part, position))
        return added

    def select(self, query: str, values: Sequence[Any] = ()) -> Iterator[Record]:
        """The rows of a query; its times and booleans are read back by their columns' names."""
        found = self._connection.execute(query, [written(value) for value in values])
        names = [column[0] for column in found.description]
        for row in found:
            yield {name: _read(name, value) for name, value in zip(names, row, strict=True)}

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def quoted(columns: Sequence[str]) -> str:
    """Columns for a statement: `end` is a word of SQL."""
    return ", ".join(f'"{name}"' for name in columns)


def written(value: Any) -> Any:
    """A time as text of one width, so that it sorts.

    >>> written(datetime(2026, 11, 21, 8, 30, tzinfo=UTC))
    '2026-11-21 08:30:00.000000'
    """
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value


def _read(name: str, value: Any) -> Any:
    if isinstance(value, str) and name in _TIMES:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return bool(value) if value is not None and name in _BOOLEANS else value


__all__ = ["SqliteHistory", "is_history", "quoted"]
