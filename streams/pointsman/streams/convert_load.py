"""A recorded rate series as a recording of requests: arrivals in proportion to it, so that forecasts and scaling advice can be replayed from real load.

Only the rate is recorded: that each answer's length is drawn, and that its latency is in proportion to it, is stated here and simulated.
"""

import csv
import heapq
import math
import random
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

from .recording import naming, open_read
from .series import SeriesError, time_of

SCOPE = "load"
BEGINNING = 1_704_067_200.0  # 2024-01-01T00:00:00Z, for a series whose times count from 0
EARLIEST = 946_684_800.0  # 2000-01-01T00:00:00Z
TOKENS = 250.0
SPREAD = 0.5  # of ln output tokens
FIRST = 0.1  # of the latency


class Row(NamedTuple):
    """The rate from `at` (epoch seconds) until the next row."""

    at: float
    rate: float


def read_rates(path: Path, column: str | None) -> list[Row]:
    """The rows of `timestamp,value`, or of the first column and the one named `column`; seconds that count from 0 begin with 2024."""
    rows: list[Row] = []
    with naming(path), TextIOWrapper(open_read(path), encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        names = next(reader, [])
        place = _place(path, names, column)
        for cells in reader:
            if not any(cells):
                continue
            try:
                rows.append(Row(time_of(cells[0]), float(cells[place])))
            except (ValueError, IndexError):
                raise SeriesError(f"{path}:{reader.line_num}: no time and rate in it: mend or leave out the row") from None
            if not math.isfinite(rows[-1].rate) or rows[-1].rate < 0.0:
                raise SeriesError(f"{path}:{reader.line_num}: {cells[place]!r} is no rate: mend or leave out the row")
            if len(rows) > 1 and rows[-1].at <= rows[-2].at:
                raise SeriesError(f"{path}:{reader.line_num}: not after the row before it: sort the rows by time, one per timestamp")
    if len(rows) < 2:
        raise SeriesError(f"{path}: fewer than two rows: a series of rates is needed")
    shift = BEGINNING if rows[0].at < EARLIEST else 0.0
    return [Row(row.at + shift, row.rate) for row in rows]


def _place(path: Path, names: list[str], column: str | None) -> int:
    if column is None:
        return 1
    if column not in names[1:]:
        raise SeriesError(f"{path}: no column {column!r}: choose one of {', '.join(names[1:])}")
    return names.index(column)


def convert_load(rows: list[Row], requests_per_row: float, latency_s: float, track: str = "local", seed: int = 0) -> Iterator[dict[str, Any]]:
    """Events in the order of their times: a row gets its share of `requests_per_row` on the mean row, what is left of a request goes to the next row.

    Within a row arrivals are stratified: one at a random place in each of as many equal parts. Latencies are on the mean `latency_s`.
    """
    draw = random.Random(seed)
    mean = math.fsum(row.rate for row in rows) / len(rows)
    ends = [row.at for row in rows[1:]] + [2.0 * rows[-1].at - rows[-2].at]
    waiting: list[tuple[float, int, dict[str, Any]]] = []
    owed, number = 0.0, 0
    for row, end in zip(rows, ends, strict=True):
        owed += requests_per_row * row.rate / mean if mean > 0.0 else 0.0
        count = int(owed)
        owed -= count
        for part in range(count):
            at = round(row.at + (end - row.at) * (part + draw.random()) / count, 3)
            while waiting and waiting[0][0] <= at:
                yield heapq.heappop(waiting)[2]
            started, completed = _request(number, at, latency_s, track, draw)
            yield started
            heapq.heappush(waiting, (completed["occurred_at"], number, completed))
            number += 1
    while waiting:
        yield heapq.heappop(waiting)[2]


def _request(number: int, at: float, latency_s: float, track: str, draw: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    share = draw.lognormvariate(-0.5 * SPREAD * SPREAD, SPREAD)  # mean 1
    common = {"scope": SCOPE, "source": "recording/load", "request_id": f"load-{number}", "track": track}
    started = {"type": "request.started/1", "event_id": f"load-{number}/s", "occurred_at": at, **common}
    latency = round(latency_s * share, 3)
    done = {"success": True, "latency_ms": round(1000.0 * latency, 3), "ttft_ms": round(1000.0 * FIRST * latency, 3)}
    tokens = {"output_tokens": max(round(TOKENS * share), 1)}
    return started, {"type": "request.completed/1", "event_id": f"load-{number}/c", "occurred_at": round(at + latency, 3), **common, **done, **tokens}


__all__ = ["Row", "convert_load", "read_rates"]
