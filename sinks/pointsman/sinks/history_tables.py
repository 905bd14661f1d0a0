"""What a history keeps: one row per event, in a table by its type, without prompt text.

A row is refused by the target where its `(scope, event_id)` is there already, or its natural key: an attempt starts, ends and is first predicted once.
So reading a source again, in any order, changes nothing, and what joins events (`outcomes`, `alerts`) can be views.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pointsman.schemas import Event, Interval

Kind = Literal["text", "time", "float", "integer", "boolean"]
Value = str | float | int | bool | datetime | None
Row = tuple[Value, ...]
ATTEMPT = ("scope", "request_id", "track")
IDENTITY = ("scope", "event_id")
_EARLIEST, _LATEST = 0.0, 253_402_300_799.0  # what a timestamp can hold: 1970 to 9999
_FLOATS = ("latency_ms", "ttft_ms", "output_tokens", "cost_usd", "quality_score")


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the columns after `scope`, `event_id` and `occurred_at`, their kinds, and a key beside `(scope, event_id)` that is unique, too."""

    name: str
    types: tuple[str, ...]
    columns: dict[str, Kind]
    natural: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in order."""
        return tuple(self.columns)

    def row(self, event: Event) -> Row:
        """The event as a row of this table."""
        return tuple(_VALUES[kind](_find(event, name)) for name, kind in self.columns.items())

    def key(self, row: Row, columns: tuple[str, ...]) -> Row:
        """The values of a row in these columns."""
        return tuple(row[self.names.index(name)] for name in columns)


def _table(name: str, types: Iterable[str], natural: tuple[str, ...] | None = None, **columns: Kind) -> Table:
    return Table(name, tuple(types), {"scope": "text", "event_id": "text", "occurred_at": "time", **columns}, natural)


_STARTS = _table(
    "starts",
    ["request.started/1"],
    ATTEMPT,
    request_id="text",
    track="text",
    propensity="float",
    policy_version="integer",
    recommendation_id="text",
    input_tokens="integer",
    max_output_tokens="integer",
    category="text",
)
_COMPLETIONS = _table(
    "completions",
    ["request.completed/1"],
    ATTEMPT,
    request_id="text",
    track="text",
    success="boolean",
    latency_ms="float",
    ttft_ms="float",
    input_tokens="integer",
    output_tokens="integer",
    cost_usd="float",
    failure_class="text",
    error_type="text",
    quality_score="float",
    cache_hit="boolean",
)
_JUDGEMENTS = _table("judgements", ["quality.assessed/1"], request_id="text", track="text", score="float", assessor="text")
_ENDS: dict[str, Kind] = {f"{metric}_{end}": "float" for metric in _FLOATS for end in ("median", "lower", "upper")}
_PREDICTIONS = _table("predictions", ["prediction.issued/1"], ATTEMPT, request_id="text", track="text", **_ENDS)
_RECOMMENDATIONS = _table(
    "recommendations",
    ["recommendation.issued/1"],
    segment="text",
    request_id="text",
    track="text",
    propensity="float",
    plan="text",
    second_track="text",
    strategy="text",
    mode="text",
    policy_version="integer",
    reasons="text",
    expires_at="time",
)
_WINDOWS = _table(
    "windows",
    ["window.closed/1"],
    track="text",
    start="time",
    end="time",
    count="integer",
    rate_per_s="float",
    success_share="float",
    latency_mean_ms="float",
    latency_p50_ms="float",
    latency_p95_ms="float",
    latency_p99_ms="float",
    input_tokens="integer",
    output_tokens="integer",
    cost_usd="float",
    quality_mean="float",
    late="integer",
)
_ALERTS = _table(
    "alert_events",
    ["alert.raised/1", "alert.resolved/1"],
    type="text",
    fingerprint="text",
    kind="text",
    severity="text",
    subject="text",
    observed="float",
    expected="float",
    score="float",
    since="time",
)
_FORECASTS = _table(
    "forecasts",
    ["forecast.issued/1"],
    metric="text",
    track="text",
    host="text",
    horizon_s="float",
    target_time="time",
    median="float",
    lower="float",
    upper="float",
)
_STRATEGIES = _table("strategies", ["strategy.adapted/1"], previous="text", current="text", why="text")
_OBJECTIVES = _table(
    "objectives",
    ["objective.reported/1"],
    objective="text",
    metric="text",
    bound="float",
    share="float",
    window_s="float",
    track="text",
    category="text",
    requests="integer",
    broken="integer",
    budget_left="float",
    spent_at="time",
)
_INCIDENTS = _table(
    "incident_events",
    ["incident.opened/1", "incident.updated/1", "incident.resolved/1"],
    type="text",
    incident="text",
    severity="text",
    title="text",
    since="time",
    ended_at="time",
    suspect_kind="text",
    suspect_name="text",
    suspect_score="float",
    tracks="text",
    hosts="text",
    requests="integer",
    requests_share="float",
    cost_usd="float",
    acknowledged_by="text",
    muted="text",
    reason="text",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (_STARTS, _COMPLETIONS, _JUDGEMENTS, _PREDICTIONS, _RECOMMENDATIONS, _WINDOWS, _ALERTS, _FORECASTS, _STRATEGIES, _OBJECTIVES, _INCIDENTS)
}
BY_TYPE: dict[str, Table] = {kind: table for table in TABLES.values() for kind in table.types}


def placed(event: Event) -> tuple[str, Row] | None:
    """The table and the row of an event; None for what a history does not keep, among it a start that only asks which track to take."""
    table = BY_TYPE.get(event.TYPE)
    if table is None or (table is _STARTS and getattr(event, "track", None) is None):
        return None
    return table.name, table.row(event)


def _find(event: Event, column: str) -> Any:
    """The field of this name; `latency_ms_median` is the median of the interval `latency_ms`, `suspect_name` that of the first suspect."""
    if hasattr(event, column):
        return getattr(event, column)
    metric, _, end = column.rpartition("_")
    if metric == "suspect":
        return getattr(next(iter(getattr(event, "suspects", ())), None), end, None)
    interval = getattr(event, metric, None)
    return getattr(interval, end) if isinstance(interval, Interval) else None


def _text(value: Any) -> str | None:
    """PostgreSQL has no NUL in its text; several lines are one text."""
    if value is None:
        return None
    return ("\n".join(value) if isinstance(value, tuple) else str(value)).replace("\0", "\ufffd")


def moment(seconds: float) -> datetime:
    """Epoch seconds as UTC, to the microsecond."""
    return datetime.fromtimestamp(min(max(seconds, _EARLIEST), _LATEST), UTC)


_VALUES: dict[Kind, Any] = {
    "text": _text,
    "time": lambda value: None if value is None else moment(value),
    "float": lambda value: None if value is None else float(value),
    "integer": lambda value: value,
    "boolean": lambda value: value,
}

__all__ = ["BY_TYPE", "IDENTITY", "TABLES", "Kind", "Row", "Table", "Value", "moment", "placed"]
