"""The figures of one period of a history: what happened per track and day, alerts with their durations, and where the policy moved."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from statistics import fmean
from typing import Any

from pointsman.schemas.inputs import EXCUSED

from .history import HistoryError, Queried, Record

MOST_ALERTS = 200
MOST_MOVES = 50
MOST_BUCKETS = 31
_STEPS_S = (60, 300, 900, 3600, 10_800)
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Period:
    """From `since`, included, to `until`, excluded."""

    since: datetime
    until: datetime
    name: str

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"

    @classmethod
    def week(cls, name: str) -> "Period":
        """An ISO week in UTC; raises `HistoryError`.

        >>> str(Period.week("2026-W47"))
        '2026-11-16 00:00 to 2026-11-23 00:00 UTC'
        """
        year, _, week = name.upper().partition("-W")
        try:  # strptime would take a week 53 of a year with 52 for the first of the next
            since = datetime.combine(date.fromisocalendar(int(year), int(week), 1), time(), UTC)
            until = since + timedelta(days=7)
        except (ValueError, OverflowError) as error:
            raise HistoryError(f"{name}: not a week: write it like 2026-W47") from error
        return cls(since, until, f"week {since:%V} of {since:%G}")


@dataclass(slots=True)
class Cell:
    """What one track did in one bucket of time; attempts of the client's own fault count for nobody's success."""

    attempts: int = 0
    succeeded: int = 0
    failed: int = 0
    unfinished: int = 0
    cost_usd: float = 0.0
    output_tokens: int = 0
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    qualities: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, row: Record) -> None:
        """One attempt."""
        self.attempts += 1
        self.cost_usd += row["cost_usd"] or 0.0
        self.output_tokens += row["output_tokens"] or 0
        if row["completed_at"] is None:
            self.unfinished += 1
        elif row["success"]:
            self.succeeded += 1
            self.latencies.append(row["latency_ms"])
        elif row["failure_class"] not in EXCUSED:
            self.failed += 1
        if row["quality"] is not None:
            self.qualities.append(row["quality"])

    def merge(self, other: "Cell") -> None:
        """Take in another bucket."""
        for name in ("attempts", "succeeded", "failed", "unfinished", "cost_usd", "output_tokens"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latencies.extend(other.latencies)
        self.qualities.extend(other.qualities)

    @property
    def success_share(self) -> float | None:
        """Of what ended and was not the client's fault."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None

    @property
    def quality(self) -> float | None:
        """The mean of the judged attempts."""
        return fmean(self.qualities) if self.qualities else None

    def latency_ms(self, share: float) -> float | None:
        """The nearest rank of the successes."""
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None

    def figures(self) -> dict[str, Any]:
        """The cell for JSON."""
        return {
            "attempts": self.attempts,
            "success_share": self.success_share,
            "failed": self.failed,
            "unfinished": self.unfinished,
            "cost_usd": self.cost_usd,
            "latency_p50_ms": self.latency_ms(0.5),
            "latency_p95_ms": self.latency_ms(0.95),
            "output_tokens": self.output_tokens,
            "quality": self.quality,
        }


@dataclass(frozen=True, slots=True)
class Week:
    """One period: cells by bucket and track, alerts, the moves of the recommendation and the changes of strategy."""

    period: Period
    scope: str | None
    scopes: list[str]
    tracks: list[str]
    bucket_s: int
    starts: list[datetime]
    cells: dict[tuple[int, str], Cell]
    alerts: list[Record]
    alert_count: int
    moves: list[Record]
    move_count: int
    strategies: list[Record]
    objectives: list[Record]
    incidents: list[Record]
    incident_s: float

    def of_track(self, track: str) -> Cell:
        """A track over the whole period."""
        return self._sum(cell for (_, name), cell in self.cells.items() if name == track)

    def whole(self) -> Cell:
        """All tracks over the whole period."""
        return self._sum(iter(self.cells.values()))

    @staticmethod
    def _sum(cells: Iterator[Cell]) -> Cell:
        total = Cell()
        for cell in cells:
            total.merge(cell)
        return total


def newest_period(history: Queried, scope: str | None) -> Period:
    """The seven days that end with the newest outcome; of a history without any, those until now."""
    where, values = _where(scope)
    newest: list[datetime] = []
    for table in ("starts", "completions"):
        newest += [row["occurred_at"] for row in history.select(f"SELECT max(occurred_at) AS occurred_at FROM {table}{where}", values) if row["occurred_at"]]
    until = max(newest, default=datetime.now(UTC)) + timedelta(seconds=1)
    return Period(until - timedelta(days=7), until, "the last seven days")


def attempts(history: Queried, period: Period, scope: str | None, newest: int | None = None) -> Iterator[Record]:
    """The attempts that began in a period, in order of time; only so many of the newest, where told."""
    where, values = _where(scope, "AND")
    query = f"SELECT * FROM outcomes WHERE time >= ? AND time < ?{where} ORDER BY time DESC, event_id LIMIT {newest}" if newest is not None else ""
    if query:
        return iter(sorted(history.select(query, (period.since, period.until, *values)), key=lambda row: row["time"]))
    return history.select(f"SELECT * FROM outcomes WHERE time >= ? AND time < ?{where}", (period.since, period.until, *values))


def read_week(history: Queried, period: Period, scope: str | None) -> Week:
    """Read the figures of a period; attempts are read one by one and only their latencies and qualities kept."""
    first, last = _span(history, period, scope)
    bucket_s = _bucket((last - first).total_seconds())
    begin = datetime.fromtimestamp(first.timestamp() // bucket_s * bucket_s, UTC)
    cells: dict[tuple[int, str], Cell] = {}
    scopes: set[str] = set()
    for row in attempts(history, period, scope):
        place = int((row["time"] - begin).total_seconds() // bucket_s)
        cells.setdefault((place, row["track"]), Cell()).add(row)
        scopes.add(row["scope"])
    count = max((place for place, _ in cells), default=-1) + 1
    moves = list(_moves(history, period, scope))
    raised, incidents = list(_alerts(history, period, scope)), _incidents(history, period, scope)
    return Week(
        period=period,
        scope=scope,
        scopes=sorted(scopes),
        tracks=sorted({track for _, track in cells}),
        bucket_s=bucket_s,
        starts=[begin + timedelta(seconds=place * bucket_s) for place in range(count)],
        cells=cells,
        alerts=raised[:MOST_ALERTS],
        alert_count=len(raised),
        moves=moves[:MOST_MOVES],
        move_count=len(moves),
        strategies=_between(history, "strategies", period, scope),
        objectives=_objectives(history, period, scope),
        incidents=incidents[:MOST_ALERTS],
        incident_s=_covered_s(incidents, period),
    )


def _span(history: Queried, period: Period, scope: str | None) -> tuple[datetime, datetime]:
    where, values = _where(scope, "AND")
    query = f"SELECT min(time) AS started_at, max(time) AS time FROM outcomes WHERE time >= ? AND time < ?{where}"
    (row,) = history.select(query, (period.since, period.until, *values))
    return row["started_at"] or period.since, row["time"] or period.since


def _bucket(seconds: float) -> int:
    """Days, where there are more than two; else the finest step that gives a readable number of them."""
    if seconds > 2 * DAY_S:
        return DAY_S * -(-int(seconds) // (MOST_BUCKETS * DAY_S))
    return next((step for step in _STEPS_S if seconds / step <= MOST_BUCKETS - 1), DAY_S)


def _between(history: Queried, table: str, period: Period, scope: str | None) -> list[Record]:
    where, values = _where(scope, "AND")
    query = f"SELECT * FROM {table} WHERE occurred_at >= ? AND occurred_at < ?{where} ORDER BY occurred_at LIMIT {MOST_ALERTS}"
    return list(history.select(query, (period.since, period.until, *values)))


def _objectives(history: Queried, period: Period, scope: str | None) -> list[Record]:
    """How every objective stood at the end of the period, with the least that was left of its error budget in it (`least_left`)."""
    where, values = _where(scope, "AND")
    newest: dict[tuple[str, str], Record] = {}
    query = f"SELECT * FROM objectives WHERE occurred_at >= ? AND occurred_at < ?{where} ORDER BY occurred_at, event_id"
    for row in history.select(query, (period.since, period.until, *values)):
        key = (row["scope"], row["objective"])
        before = newest.get(key)
        newest[key] = {**row, "least_left": min(row["budget_left"], before["least_left"]) if before is not None else row["budget_left"]}
    return sorted(newest.values(), key=lambda row: (row["budget_left"], row["scope"], row["objective"]))[:MOST_ALERTS]


def _incidents(history: Queried, period: Period, scope: str | None) -> list[Record]:
    """As they were told last; those that began in the period, or before it and were not over at its beginning, the one that began last first."""
    where, values = _where(scope, "AND")
    query = f"SELECT * FROM incidents WHERE since < ? AND (ended_at IS NULL OR ended_at >= ?){where} ORDER BY since DESC, scope, incident"
    return list(history.select(query, (period.until, period.since, *values)))


def _covered_s(incidents: Iterable[Record], period: Period) -> float:
    """Seconds of the period in which at least one was open; one that has no end is open until it was heard of last."""
    total, reached = 0.0, period.since
    for row in sorted(incidents, key=lambda row: row["since"]):
        begin, end = max(row["since"], reached), min(row["ended_at"] or row["occurred_at"], period.until)
        total += max(0.0, (end - begin).total_seconds())
        reached = max(reached, end)
    return total


def _alerts(history: Queried, period: Period, scope: str | None) -> Iterator[Record]:
    """Raised in the period, or before it and not over at its beginning; the longest first, what still stands before all."""
    where, values = _where(scope, "AND")
    query = f"SELECT * FROM alerts WHERE raised_at < ? AND (resolved_at IS NULL OR resolved_at >= ?){where}"
    found = history.select(query, (period.until, period.since, *values))
    return iter(sorted(found, key=lambda row: (row["resolved_at"] is not None, -(row["duration_s"] or 0.0), row["raised_at"])))


def _moves(history: Queried, period: Period, scope: str | None) -> Iterator[Record]:
    """Where the recommendation for all requests of a scope went to another track, with the track that it left."""
    where, values = _where(scope, "AND")
    columns = "scope, occurred_at, track, propensity, strategy, policy_version, reasons"
    query = (
        f"SELECT {columns} FROM recommendations WHERE segment = 'all' AND request_id IS NULL AND occurred_at >= ? AND occurred_at < ?{where} "
        "ORDER BY scope, occurred_at, policy_version"
    )
    for before, after in pairwise(history.select(query, (period.since, period.until, *values))):
        if before["scope"] == after["scope"] and before["track"] != after["track"]:
            yield {**after, "previous": before["track"]}


def _where(scope: str | None, joint: str = "WHERE") -> tuple[str, tuple[str, ...]]:
    return ("", ()) if scope is None else (f" {joint} scope = ?", (scope,))


__all__ = ["DAY_S", "Cell", "Period", "Week", "attempts", "newest_period", "read_week"]
