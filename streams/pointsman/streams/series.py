"""A series from a CSV file, row by row: what a row says is known at its timestamp, and nothing is read ahead."""

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .recording import read_lines

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
LONGEST_GAP_DAYS = 14


class SeriesError(ValueError):
    """A series that cannot be read: the message names the file, the line and what to mend."""


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One row: `written` is the timestamp as the file has it, `at` the same in epoch seconds, `line` where it stands."""

    line: int
    written: str
    at: float
    value: float


def seconds_of(text: str) -> float:
    """A duration such as 10m, 6h, 1.5h, 1h30m or 600 (seconds).

    >>> seconds_of("10m"), seconds_of("1h30m"), seconds_of("600")
    (600.0, 5400.0, 600.0)
    """
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SeriesError(f"{text!r} is no duration: write 30s, 10m, 6h, 1d or seconds")
    return number


def rows_in(duration: float, step: float, name: str) -> int:
    """How many rows a duration spans: a whole number of steps, at least one.

    >>> rows_in(3600.0, 600.0, "horizon")
    6
    """
    rows = round(duration / step)
    if rows < 1 or abs(rows * step - duration) > 1e-6 * step:
        raise SeriesError(f"the {name} of {duration:g} s is no whole number of steps of {step:g} s: choose a multiple")
    return rows


def time_of(text: str) -> float:
    """Epoch seconds of a timestamp: a number, or ISO 8601, in UTC where it names no zone.

    >>> time_of("1704067200"), time_of("2024-01-01T00:00:00Z"), time_of("2024-01-01 01:00+01:00")
    (1704067200.0, 1704067200.0, 1704067200.0)
    """
    try:
        return float(text)
    except ValueError:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def read_series(path: Path, step: float = 0.0, *, is_sorted: bool = True) -> Iterator[SeriesRow]:
    """The rows of `timestamp,value` (.gz and .zst too), one after the other; a header is optional, further columns are ignored, blank lines are skipped.

    With a header, the columns named `timestamp` and `value` are taken wherever they stand, else the first two. A row that cannot be read, that is not after the
    one before it, or that follows it within half a `step`, ends the reading with an error; what came before it has been yielded. Unless the series must be
    sorted, rows may come in any order, and more than once, and a row without a value (empty, or nan) is yielded as nan.
    """
    places, last = (0, 1), -math.inf
    for count, (line, text) in enumerate(read_lines(path)):
        cells = _cells(path, line, text)
        if count == 0 and _is_header(cells):
            places = _columns(cells)
            continue
        row = _row(path, line, cells, places, may_lack=not is_sorted)
        if not is_sorted:
            yield row
            continue
        if row.at <= last:
            raise SeriesError(f"{path}:{line}: {row.written} is not after the row before it: sort the rows by time, one for each timestamp")
        if row.at - last < 0.5 * step:
            raise SeriesError(f"{path}:{line}: {row.at - last:g} s after the row before it, less than half the step of {step:g} s: give the series' own step")
        last = row.at
        yield row


def _cells(path: Path, line: int, text: bytes) -> list[str]:
    """The cells of one line: a quote that is never closed spoils its own line only."""
    try:
        return [cell.strip() for cell in next(csv.reader([text.decode("utf-8-sig")], strict=True))]
    except (csv.Error, UnicodeDecodeError, StopIteration) as error:
        raise SeriesError(f"{path}:{line}: {error}: a row is timestamp,value in UTF-8") from error


def _is_header(cells: list[str]) -> bool:
    """A first row that does not begin with a time."""
    try:
        time_of(cells[0])
    except ValueError:
        return True
    return False


def _columns(names: list[str]) -> tuple[int, int]:
    lower = [name.lower() for name in names]
    return (lower.index("timestamp"), lower.index("value")) if {"timestamp", "value"} <= set(lower) else (0, 1)


def _row(path: Path, line: int, cells: list[str], places: tuple[int, int], *, may_lack: bool = False) -> SeriesRow:
    if len(cells) <= max(places):
        raise SeriesError(f"{path}:{line}: {len(cells)} columns: timestamp,value is needed")
    written, said = (cells[place] for place in places)
    try:
        at = time_of(written)
    except (ValueError, OverflowError):
        at = math.nan
    if not math.isfinite(at):
        raise SeriesError(f"{path}:{line}: {written!r} is no timestamp: write epoch seconds or ISO 8601")
    try:
        value = float(said)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) and not (may_lack and said.lower() in ("", "nan", "null", "none")):
        raise SeriesError(f"{path}:{line}: {said!r} is no finite number: mend or leave out the row")
    return SeriesRow(line, written, at, value)


def missing_before(row: SeriesRow, last: SeriesRow | None, step: float) -> int:
    """How many rows of the grid lie between two rows, times off the grid counting as the nearest; of a gap over 14 days whole weeks are left out.

    >>> missing_before(SeriesRow(3, "1800", 1800.0, 1.0), SeriesRow(2, "600", 600.0, 1.0), 600.0)
    1
    """
    if last is None:
        return 0
    missing = max(round((row.at - last.at) / step) - 1, 0)
    longest, week = round(LONGEST_GAP_DAYS * 86_400.0 / step), max(round(604_800.0 / step), 1)
    return missing if missing <= longest else longest + (missing - longest) % week
