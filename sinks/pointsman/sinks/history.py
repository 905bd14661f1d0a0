"""The history: what happened and what was advised, kept in SQLite, PostgreSQL or Parquet, each event once."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .history_tables import Row

Rows = Mapping[str, Sequence[Row]]
Record = dict[str, Any]


class HistoryError(ValueError):
    """A target that cannot be used as a history; the message says why and what to do."""


class Unavailable(Exception):
    """The target does not answer now, or is busy or full: what was to be written is still at the source, so that one can wait."""


class History(Protocol):
    """Where a history is written. Rows and the positions up to which their source has been read become durable together or not at all.

    It likes to be given `batch_rows` rows at once, and what there is after `linger_s` seconds.
    """

    @property
    def batch_rows(self) -> int:
        """How many rows to bring at once."""
        ...

    @property
    def linger_s(self) -> float:
        """How long rows may wait for others."""
        ...

    def positions(self, source: str) -> dict[str, int]:
        """How far each part of a source has been read."""
        ...

    def add(self, rows: Rows, source: str, positions: Mapping[str, int]) -> int:
        """Keep rows by table, except those that are there already; returns how many were new. Raises `Unavailable`."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Queried(History, Protocol):
    """A history that answers SQL."""

    def select(self, query: str, values: Sequence[Any] = ()) -> Iterator[Record]:
        """The rows of a query with `?` in the place of each value, read in pieces; times are aware `datetime`s."""
        ...


def made_folder(folder: Path, target: str) -> None:
    """Make the folder of a target; raises `HistoryError` where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HistoryError(f"{target}: {folder} cannot be made ({error.strerror}): check the path and its permissions") from error


def refused_by(error: sqlite3.OperationalError, target: str) -> Exception:
    """What an error of SQLite at the opening means: a file that may not be written is no matter of waiting, a busy one or a full disk is."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return HistoryError(f"{target}: cannot be written ({error}): check the file, its folder and their permissions")
    return Unavailable(f"{target}: {error}")


def open_history(target: str) -> History:
    """Open or make the history that a target names: `postgresql://…`, `parquet:FOLDER`, `sqlite:///FILE` or the path of an SQLite file.

    Raises `HistoryError` for what is no history, or a newer one, and `Unavailable` where a server does not answer.
    """
    if target.startswith("parquet:"):
        from .history_parquet import ParquetHistory

        return ParquetHistory(target.removeprefix("parquet:"))
    return open_queried(target)


def open_queried(target: str) -> Queried:
    """The same for SQL only."""
    if target.startswith(("postgresql://", "postgres://")):
        from .history_postgres import PostgresHistory

        return PostgresHistory(target)
    if "://" in target and not target.startswith("sqlite:///"):
        raise HistoryError(f"{target.split('://')[0]}://…: not a history; give a file.db, sqlite:///FILE, postgresql://…, or parquet:FOLDER")
    from .history_sqlite import SqliteHistory

    return SqliteHistory(target.removeprefix("sqlite:///"))


__all__ = ["History", "HistoryError", "Queried", "Record", "Rows", "Unavailable", "made_folder", "open_history", "open_queried", "refused_by"]
