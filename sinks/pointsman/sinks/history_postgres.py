"""A history in PostgreSQL, in a schema of its own named `pointsman`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from .history import HistoryError, Record, Rows, Unavailable
from .history_migrations import MIGRATIONS, statements
from .history_sqlite import quoted
from .history_tables import TABLES

CONNECT_S = 10
PIECE = 2000
_LOCK = 0x504D4849  # two processes that start at once migrate one after the other


class PostgresHistory:
    """Connects, makes the schema or brings an older one to the present; raises `Unavailable` and `HistoryError`. `until` is the last migration applied."""

    batch_rows = 2000
    linger_s = 0.5

    def __init__(self, url: str, until: int = len(MIGRATIONS)) -> None:
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise HistoryError("a history in PostgreSQL needs psycopg: pip install 'pointsman[postgres]'") from error
        self._psycopg = psycopg
        self._place = _shown(url)
        self._url = url
        self._connection: Any = None
        self._connect(until)

    def _connect(self, until: int) -> None:
        try:
            self._connection = self._psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_S)
        except self._psycopg.ProgrammingError as error:
            raise HistoryError(f"{self._place}: not an address that PostgreSQL reads: write postgresql://USER@HOST:PORT/DATABASE") from error
        except self._psycopg.OperationalError as error:
            if _is_refusal(str(error)):
                raise HistoryError(f"{self._place}: {_first_line(error)}: check the user, the password and the database") from error
            raise Unavailable(f"{self._place}: {_first_line(error)}") from error
        try:
            with self._transaction() as run:
                self._migrate(run, until)
            self._connection.execute("SET search_path TO pointsman; SET timezone TO 'UTC'")
        except BaseException:
            self._connection.close()
            raise

    def _migrate(self, run: Any, until: int) -> None:
        run(b"SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        run("CREATE SCHEMA IF NOT EXISTS pointsman")
        run("SET LOCAL search_path TO pointsman")
        run("CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())")
        (version,) = run("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
        if version > len(MIGRATIONS):
            raise HistoryError(f"{self._place}: written by a newer Pointsman (schema {version}, this one knows {len(MIGRATIONS)}): upgrade this one")
        for number in range(version + 1, until + 1):
            for statement in statements(number, "postgresql"):
                run(statement.encode())
            run("INSERT INTO schema_version (version) VALUES (%s)", (number,))

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        try:
            with self._connection.transaction():
                yield self._connection.execute
        except (self._psycopg.OperationalError, self._psycopg.errors.ReadOnlySqlTransaction) as error:  # read-only while another server takes over
            raise Unavailable(f"{self._place}: {_first_line(error)}") from error
        except self._psycopg.errors.InsufficientPrivilege as error:
            raise HistoryError(f"{self._place}: {_first_line(error)}: grant CREATE on the database, or on the schema pointsman") from error
        except self._psycopg.errors.UntranslatableCharacter as error:
            raise HistoryError(f"{self._place}: {_first_line(error)}: give a database with ENCODING 'UTF8'") from error

    def _alive(self) -> None:
        """After the server has gone away a new connection is needed."""
        if self._connection.closed or self._connection.broken:
            self._connect(len(MIGRATIONS))

    def positions(self, source: str) -> dict[str, int]:
        """How far each part of a source has been read."""
        self._alive()
        with self._transaction() as run:
            return dict(run("SELECT part, position FROM positions WHERE source = %s", (clean(source),)).fetchall())

    def add(self, rows: Rows, source: str, positions: Mapping[str, int]) -> int:
        """Keep rows and positions in one transaction; a row that is there already is left as it is."""
        self._alive()
        added = 0
        with self._transaction() as run, self._connection.cursor() as cursor:
            for name, found in rows.items():
                columns = TABLES[name].names
                insert = f"INSERT INTO {name} ({quoted(columns)}) VALUES ({', '.join(['%s'] * len(columns))}) ON CONFLICT DO NOTHING"
                cursor.executemany(insert.encode(), found)
                added += cursor.rowcount
            for part, position in positions.items():
                upsert = "INSERT INTO positions VALUES (%s, %s, %s) ON CONFLICT (source, part) DO UPDATE SET position = excluded.position"
                run(upsert, (clean(source), part, position))
        return added

    def select(self, query: str, values: Sequence[Any] = ()) -> Iterator[Record]:
        """The rows of a query with `?` for values, through a cursor on the server, so that memory does not grow with the result."""
        from psycopg.rows import dict_row

        self._alive()
        with self._transaction(), self._connection.cursor("history", row_factory=dict_row) as cursor:
            cursor.itersize = PIECE
            cursor.execute(query.replace("%", "%%").replace("?", "%s").encode(), values)
            yield from cursor

    def close(self) -> None:
        """Let go of the server."""
        self._connection.close()


def clean(text: str) -> str:
    """Text without NUL, which PostgreSQL does not take."""
    return text.replace("\0", "\ufffd")


def _shown(url: str) -> str:
    """Where the server is, without the password.

    >>> _shown("postgresql://me:secret@db:5432/traffic")
    'postgresql db:5432/traffic'
    """
    try:
        parts = urlsplit(url)
        return f"postgresql {parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return "postgresql"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _is_refusal(said: str) -> bool:
    """Whether the server answered and waiting would not help."""
    return any(word in said for word in ("authentication failed", "does not exist", "no password supplied", "no pg_hba.conf entry"))


__all__ = ["PostgresHistory"]
