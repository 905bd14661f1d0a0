"""A history as a folder of Parquet files: `TABLE/day=YYYY-MM-DD/BATCH.parquet`, which DuckDB, pandas and Spark read as partitioned tables.

`_positions.db` in the folder says how far the sources were read, which batches count and which keys are there. A batch is written whole, each file
under another name first; only then is it entered.
Files of a batch that was never entered are left by a crash: they go at the next start, and the batch comes again.
"""

import hashlib
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .history import HistoryError, Rows, Unavailable, made_folder, refused_by
from .history_tables import IDENTITY, TABLES, Kind, Row, Table

INDEX = "_positions.db"
FORMAT = 1
_SCHEMA = """
BEGIN;
CREATE TABLE positions (source TEXT NOT NULL, part TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (source, part)) WITHOUT ROWID;
CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE batches (number INTEGER PRIMARY KEY);
PRAGMA user_version=1;
COMMIT;
"""


class ParquetHistory:
    """Opens or makes the folder; one process at a time writes it. Raises `HistoryError`, and `Unavailable` while another process writes it."""

    batch_rows = 50_000
    linger_s = 60.0

    def __init__(self, folder: str) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ModuleNotFoundError as error:
            raise HistoryError("a history in Parquet needs pyarrow: pip install 'pointsman[parquet]'") from error
        self._arrow: Any = pyarrow
        self._folder = Path(folder)
        if not folder or (self._folder.exists() and not self._folder.is_dir()):
            raise HistoryError(f"parquet:{folder}: not a folder: give parquet:FOLDER")
        if self._folder.exists() and any(self._folder.iterdir()) and not (self._folder / INDEX).exists():
            raise HistoryError(f"parquet:{folder}: has files in it and no {INDEX}: give an empty folder, or one that `pointsman history` wrote")
        made_folder(self._folder, f"parquet:{folder}")
        self._index = self._open()
        self._clean()

    def _open(self) -> sqlite3.Connection:
        try:
            index = sqlite3.connect(self._folder / INDEX, isolation_level=None, timeout=1.0)
        except sqlite3.OperationalError as error:
            raise refused_by(error, f"parquet:{self._folder}") from error
        try:
            index.execute("PRAGMA locking_mode=EXCLUSIVE")
            version = index.execute("PRAGMA user_version").fetchone()[0]
            if version > FORMAT:
                raise HistoryError(f"parquet:{self._folder}: written by a newer Pointsman (format {version}, this one knows {FORMAT}): upgrade this one")
            if version == 0:
                index.executescript(_SCHEMA)
            index.executescript(f"BEGIN EXCLUSIVE; PRAGMA user_version={FORMAT}; COMMIT")  # the lock is held from here on, and it can be written
        except sqlite3.OperationalError as error:
            index.close()
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise Unavailable(f"parquet:{self._folder}: another process writes it ({error})") from error
            raise refused_by(error, f"parquet:{self._folder}") from error
        except sqlite3.DatabaseError as error:
            index.close()
            raise HistoryError(f"parquet:{self._folder}: {INDEX} is damaged ({error}): restore the folder, or give an empty one") from error
        return index

    def _clean(self) -> None:
        """Remove what a batch that was never entered has left: only the one after the last can have."""
        last = self._last()
        for path in [*self._folder.glob(f"*/day=*/{last + 1:012d}.parquet"), *self._folder.glob("*/day=*/*.writing")]:
            path.unlink()

    def _last(self) -> int:
        return int(self._index.execute("SELECT coalesce(max(number), 0) FROM batches").fetchone()[0])

    def positions(self, source: str) -> dict[str, int]:
        """How far each part of a source has been read."""
        try:
            return dict(self._index.execute("SELECT part, position FROM positions WHERE source = ?", (source,)))
        except sqlite3.OperationalError as error:
            raise Unavailable(f"parquet:{self._folder}: {error}") from error

    def add(self, rows: Rows, source: str, positions: Mapping[str, int]) -> int:
        """Write the new rows as files by table and day, then enter them together with the positions."""
        try:
            self._index.execute("BEGIN IMMEDIATE")
            fresh = {name: [row for row in found if self._is_new(TABLES[name], row)] for name, found in rows.items()}
            number = self._last() + 1
            for name, found in fresh.items():
                self._write(TABLES[name], found, number)
            self._sync(number)
            self._index.execute("INSERT INTO batches VALUES (?)", (number,))
            self._index.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", [(source, part, place) for part, place in positions.items()])
            self._index.execute("COMMIT")
        except (OSError, sqlite3.OperationalError) as error:
            raise Unavailable(f"parquet:{self._folder}: {error}") from error
        finally:
            if self._index.in_transaction:
                self._index.execute("ROLLBACK")
                with suppress(OSError):
                    self._clean()
        return sum(map(len, fresh.values()))

    def _is_new(self, table: Table, row: Row) -> bool:
        """Whether none of the row's keys is there; they are from now on."""
        keys = [(_digest(table.name, table.key(row, key)),) for key in (IDENTITY, table.natural) if key is not None]
        if any(self._index.execute("SELECT 1 FROM seen WHERE key = ?", key).fetchone() for key in keys):
            return False
        self._index.executemany("INSERT INTO seen VALUES (?)", keys)
        return True

    def _write(self, table: Table, rows: Sequence[Row], number: int) -> None:
        days: dict[str, list[Row]] = {}
        place = table.names.index("occurred_at")
        for row in rows:
            days.setdefault(f"{row[place]:%Y-%m-%d}", []).append(row)
        for day, found in days.items():
            path = self._folder / table.name / f"day={day}" / f"{number:012d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".writing")
            columns = {name: [row[place] for row in found] for place, name in enumerate(table.names)}
            with fresh.open("wb") as file:
                self._arrow.parquet.write_table(self._arrow.table(columns, schema=self._schema(table)), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, path)

    def _sync(self, number: int) -> None:
        """Make the names of a batch's files durable, too: a batch that is entered must be there after a loss of power."""
        folders = {self._folder, *(path for file in self._folder.glob(f"*/day=*/{number:012d}.parquet") for path in (file.parent, file.parent.parent))}
        for folder in folders:
            opened = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)

    def _schema(self, table: Table) -> Any:
        arrow = self._arrow
        kinds: dict[Kind, Any] = {
            "text": arrow.string(),
            "time": arrow.timestamp("us", tz="UTC"),
            "float": arrow.float64(),
            "integer": arrow.int64(),
            "boolean": arrow.bool_(),
        }
        return arrow.schema([(name, kinds[kind]) for name, kind in table.columns.items()])

    def close(self) -> None:
        """Let the next process write."""
        self._index.close()


def _digest(table: str, key: Row) -> bytes:
    return hashlib.blake2b(repr((table, key)).encode(), digest_size=16).digest()


__all__ = ["INDEX", "ParquetHistory"]
