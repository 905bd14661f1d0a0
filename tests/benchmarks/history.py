"""Rows a second into a history, beside the plainest way to write the same rows into the same kind of target.

PYTHONPATH=tests python -m benchmarks.history [--json FILE] [--quick]
"""

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pyarrow
import pyarrow.parquet
from events import completed
from postgres import postgres_server

from pointsman.schemas import encode
from pointsman.sinks.history import open_history
from pointsman.sinks.history_migrations import statements
from pointsman.sinks.history_sqlite import written
from pointsman.sinks.history_tables import TABLES, Row, placed
from pointsman.streams.history import keep_history
from pointsman.streams.history_sources import FileSource

TABLE = TABLES["completions"]


class Work:
    """The same completions as events, as lines and as rows, and one way to write them for each column of the table."""

    def __init__(self, folder: Path, server: str, size: int) -> None:
        self.folder, self.server, self.size = folder, server, size
        self._names = count()
        events = [completed(f"r{number}", number / 10.0, "local", latency_ms=800.0, output_tokens=120, cost_usd=0.002) for number in range(size)]
        self.rows: list[Row] = [found[1] for event in events if (found := placed(event)) is not None]
        self.lines = folder / "in.jsonl"
        self.lines.write_bytes(b"".join(encode(event) + b"\n" for event in events))

    def target(self, kind: str) -> str:
        """A fresh one."""
        name = f"h{next(self._names)}"
        if kind == "PostgreSQL":
            with psycopg.connect(f"{self.server}/postgres", autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            return f"{self.server}/{name}"
        return str(self.folder / f"{name}.db") if kind == "SQLite" else f"parquet:{self.folder / name}"

    def kept(self, kind: str) -> Callable[[], float]:
        """From JSON lines, as `pointsman history` does."""

        def run() -> float:
            target = self.target(kind)
            open_history(target).close()
            return seconds(lambda: keep_history([FileSource(self.lines)], target, print))

        return run

    def added(self, kind: str) -> Callable[[], float]:
        """Rows that are there, in batches with their positions."""

        def run() -> float:
            history = open_history(self.target(kind))

            def add() -> None:
                for place, part in pieces(self.rows, history.batch_rows):
                    history.add({TABLE.name: part}, "benchmark", {"rows": place})

            taken = seconds(add)
            history.close()
            return taken

        return run

    def plain(self, kind: str) -> Callable[[], float]:
        """The same rows without positions or a second look: `executemany` and `COPY` with a commit a batch, one file of `pyarrow`, which has no keys."""
        return {"SQLite": self._executemany, "PostgreSQL": self._copy, "Parquet": self._arrow}[kind]

    def _executemany(self) -> float:
        connection = sqlite3.connect(self.target("SQLite"), isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(next(one for one in statements(1, "sqlite") if one.startswith("CREATE TABLE completions")))
        insert = f"INSERT INTO completions VALUES ({', '.join('?' * len(TABLE.names))})"

        def add() -> None:
            for _, part in pieces(self.rows, 2000):
                connection.execute("BEGIN")
                connection.executemany(insert, ([written(value) for value in row] for row in part))
                connection.execute("COMMIT")

        taken = seconds(add)
        connection.close()
        return taken

    def _copy(self) -> float:
        with psycopg.connect(self.target("PostgreSQL"), autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(next(one for one in statements(1, "postgresql") if one.startswith("CREATE TABLE completions")).encode())

            def add() -> None:
                for _, part in pieces(self.rows, 2000):
                    with cursor.copy("COPY completions FROM STDIN") as copy:
                        for row in part:
                            copy.write_row(row)

            return seconds(add)

    def _arrow(self) -> float:
        folder = Path(self.target("Parquet").removeprefix("parquet:"))
        folder.mkdir()

        def add() -> None:
            for place, part in pieces(self.rows, 50_000):
                columns = dict(zip(TABLE.names, map(list, zip(*part, strict=True)), strict=True))
                pyarrow.parquet.write_table(pyarrow.table(columns), folder / f"{place}.parquet", compression="zstd")

        return seconds(add)


def pieces(rows: Sequence[Row], size: int) -> Iterator[tuple[int, Sequence[Row]]]:
    """Rows in batches, each with the place after it."""
    for place in range(0, len(rows), size):
        yield min(place + size, len(rows)), rows[place : place + size]


def seconds(work: Callable[[], object]) -> float:
    """What it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run(work: Work, rounds: int) -> list[dict[str, Any]]:
    """A row for each kind of target: median rows a second of each way, in alternation."""
    found = []
    for kind in ("SQLite", "PostgreSQL", "Parquet"):
        ways = {"kept": work.kept(kind), "added": work.added(kind), "plain": work.plain(kind)}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                times[name].append(way())
        found.append({"target": kind, **{f"{name}_rows_per_s": round(work.size / statistics.median(taken)) for name, taken in times.items()}})
    return found


def main() -> None:
    """Print the table, and write it as JSON where told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres_server() as server:
        work = Work(Path(folder), server.url().rpartition("/")[0], 4_000 if given.quick else 20_000)
        rows = run(work, 1 if given.quick else 5)
    print("| target | `pointsman history`, from JSON lines | rows alone, keyed and with positions | the same rows, plainly |\n| --- | ---: | ---: | ---: |")
    for row in rows:
        rates = " | ".join(f"{row[f'{way}_rows_per_s']:,}" for way in ("kept", "added", "plain"))
        print(f"| {row['target']} | {rates} |")
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
