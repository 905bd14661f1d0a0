"""What an embedded database has emitted, in one order: outputs by their number, each dead letter behind the output after which it was kept."""

import heapq
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

Row = tuple[int, bool, bytes]  # number, whether it is a dead letter, line


@dataclass(frozen=True, slots=True)
class Emitted:
    """How far that goes: the number of the last output and of the last dead letter."""

    outputs: int
    letters: int

    @property
    def total(self) -> int:
        """Grows with everything emitted."""
        return self.outputs + self.letters


class EmittedLog:
    """Writes and reads both tables; a database of an earlier version learns where its coming dead letters stand, earlier ones come first."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        if "after" not in {row[1] for row in connection.execute("PRAGMA table_info(dead_letters)")}:
            connection.execute("ALTER TABLE dead_letters ADD COLUMN after INTEGER NOT NULL DEFAULT 0")
        connection.execute("CREATE INDEX IF NOT EXISTS dead_letters_after ON dead_letters (after)")

    def add(self, outputs: Sequence[tuple[int, str, bytes]], letters: Sequence[tuple[int, bytes]]) -> None:
        """Keep outputs (position of the cause, id, line) and dead letters (how many of the outputs come before it, line); a known id stays as it is."""
        begin = 0
        for place, line in letters:
            self._add_outputs(outputs[begin:place])
            self._connection.execute("INSERT INTO dead_letters (after, line) SELECT coalesce(max(number), 0), ? FROM outputs", (line,))
            begin = place
        self._add_outputs(outputs[begin:])

    def _add_outputs(self, rows: Sequence[tuple[int, str, bytes]]) -> None:
        self._connection.executemany("INSERT OR IGNORE INTO outputs (position, id, line) VALUES (?, ?, ?)", rows)

    def end(self) -> Emitted:
        """Everything so far."""
        return Emitted(self._highest("outputs"), self._highest("dead_letters"))

    def _highest(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT coalesce(max(number), 0) FROM {table}").fetchone()[0])

    def at_output(self, number: int) -> Emitted:
        """Up to and with this output."""
        row = self._connection.execute("SELECT coalesce(max(number), 0) FROM dead_letters WHERE after < ?", (number,)).fetchone()
        return Emitted(number, int(row[0]))

    def at_letter(self, number: int) -> Emitted | None:
        """Up to and with this dead letter, where there is one."""
        row = self._connection.execute("SELECT after FROM dead_letters WHERE number = ?", (number,)).fetchone()
        return Emitted(int(row[0]), number) if row else None

    def page(self, after: Emitted, limit: int) -> list[Row]:
        """What came after that, in order, at most so much; fewer than `limit` where it is all there is now."""
        sql = "SELECT number, line FROM outputs WHERE number > ? ORDER BY number LIMIT ?"
        outputs = ((number, 0, line) for number, line in self._connection.execute(sql, (after.outputs, limit)))
        letters = self._connection.execute("SELECT after, number, line FROM dead_letters WHERE number > ? ORDER BY number LIMIT ?", (after.letters, limit))
        merged = heapq.merge(outputs, letters, key=lambda row: row[:2])
        return [(letter or output, letter > 0, line) for output, letter, line in islice(merged, limit)]


__all__ = ["Emitted", "EmittedLog"]
