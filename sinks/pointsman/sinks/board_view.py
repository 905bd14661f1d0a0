"""A scope's board as plain values: the numbers of now, and the rings for charts."""

import math
from typing import Any

from pointsman.schemas import Event

from .board_mix import Spread, mixed
from .board_rings import Row, middle
from .board_scope import MINUTE_S, UNITS, Closed, ForecastKey, ScopeBoard
from .incident_log import Story

NOW_S = 300.0
PREDICTED_S = 60.0
HOUR_S = 3600.0
COARSE_S = {True: 300.0, False: 600.0}  # of a coarse row of a forecast series: the scope's, anything else's
METRICS = ("latency_ms", "ttft_ms", "output_tokens", "cost_usd", "quality_score")
WINDOW_FIELDS = (
    *("start", "end", "rate_per_s", "success_share", "latency_p50_ms", "latency_p95_ms", "cost_usd"),
    *("predicted_median_ms", "predicted_lower_ms", "predicted_upper_ms"),
)
ENVELOPE = {"event_id", "scope", "source", "caused_by"}


def view(board: ScopeBoard, dead_letters: int) -> dict[str, Any]:
    """The numbers of now: of the windows that closed within 5 minutes of the scope's clock, and of the newest events."""
    recent = {name: _recent(board, name) for name, _ in board.windows}
    everything = [window for windows in recent.values() for window in windows]
    span = max((window.end for window in everything), default=0.0) - min((window.start for window in everything), default=0.0)
    total = sum(window.completed for window in everything)
    predicted = _predicted(board)
    return {
        "scope": board.name,
        "clock": board.clock,
        "started": board.started,
        **_figures(everything, span),
        "cost_usd_per_hour": _round(sum(window.cost_usd for window in everything) * HOUR_S / span) if span else None,
        "completed": total,
        "recommended": _recommended(board),
        "tracks": [_track(board, name, recent.get(name, []), span, total, predicted.get(name, {})) for name in sorted(board.tracks)],
        "budgets": [],
        "objectives": [_plain(board.objectives[name]) for name in sorted(board.objectives)],
        "forecasts": [_newest_forecast(key, rows[-1]) for key, rows in board.forecasts if rows],
        "scaling": [_plain(track.scaling) for _, track in sorted(board.tracks.items()) if track.scaling is not None],
        "resources": [_resource(board, host, gauge) for host, gauges in sorted(board.hosts.items()) for gauge in gauges],
        "incidents": [_incident(story) for story in board.incidents.stories()],
        "alerts": [_plain(alert) for alert in board.alerts.values()],
        "bottlenecks": [_plain(report) for _, report in sorted(board.bottlenecks.items())],
        "dead_letters": dead_letters,
        "outputs": board.outputs,
        "evicted": board.evicted,
    }


def series(board: ScopeBoard) -> dict[str, Any]:
    """The rings, each as lists of equal length, oldest first; alerts newest first."""
    times, tracks, shares = (list(column) for column in zip(*board.recommended, strict=True)) if board.recommended else ([], [], [])
    return {
        "scope": board.name,
        "tracks": {name: _windows(rows) for name, rows in board.windows},
        "recommended": {"at": times, "track": tracks, "propensity": shares},
        "forecasts": [_forecast_series(board, key, rows) for key, rows in board.forecasts],
        "resources": [
            {**_gauge(board, host, gauge), "at": [row[1] for row in rows], "value": [row[2] for row in rows]} for (host, gauge), rows in board.sampled
        ],
        "alerts": [_plain(alert) for alert in reversed(board.history)],
    }


def _recent(board: ScopeBoard, track: str) -> list[Closed]:
    """The windows that say what is now: closed within 5 minutes of the clock, or twice their length where that is longer."""
    windows = [row for row in board.windows.rows(track) if isinstance(row, Closed)]
    return [window for window in windows if window.end > board.clock - max(NOW_S, 2.0 * (window.end - window.start))]


def _figures(windows: list[Closed], span: float) -> dict[str, float | None]:
    total = sum(window.completed for window in windows)
    spreads = [
        Spread(window.completed, window.latency_p50_ms, window.latency_p95_ms, window.latency_p99_ms)
        for window in windows
        if window.completed and window.latency_p50_ms is not None and window.latency_p95_ms is not None and window.latency_p99_ms is not None
    ]
    return {
        "rate_per_s": _round(total / span) if span else None,
        "success_share": _round(sum(window.success_share * window.completed for window in windows) / total) if total else None,
        "latency_p50_ms": _round(mixed(spreads, 0.5), 3),
        "latency_p95_ms": _round(mixed(spreads, 0.95), 3),
        "latency_p99_ms": _round(mixed(spreads, 0.99), 3),
    }


def _track(board: ScopeBoard, name: str, windows: list[Closed], span: float, total: int, predicted: dict[str, list[Any]]) -> dict[str, Any]:
    known = board.tracks[name]
    advice, newest = known.advice, board.windows.last(name)
    rated = [(window.quality_mean, window.completed) for window in windows if window.quality_mean is not None and window.completed]
    weight = sum(count for _, count in rated)
    return {
        "track": name,
        "share": _round(sum(window.completed for window in windows) / total) if total else None,
        "propensity": advice.propensity if advice else None,
        "utility": advice.utility if advice else None,
        "health": advice.health if advice else None,
        "in_flight": None,
        "max_concurrency": advice.max_concurrency if advice else None,
        "timeout_ms": advice.timeout_ms if advice else None,
        **_figures(windows, span),
        "cost_usd": _round(sum(window.cost_usd for window in windows), 9) if windows else None,
        "tokens_per_s": _round(sum(window.output_tokens for window in windows) / span, 3) if span else None,
        "quality": _round(sum(quality * count for quality, count in rated) / weight) if weight else None,
        "predicted": {metric: _middles(predicted.get(metric, [])) for metric in METRICS},
        "coverage": dict(sorted(known.coverage.items())),
        "window_end": newest[1] if newest else None,
    }


def _predicted(board: ScopeBoard) -> dict[str, dict[str, list[Any]]]:
    """Per track and metric the intervals of the last minute's predictions, at most 512 of them."""
    found: dict[str, dict[str, list[Any]]] = {}
    for event in board.recent:
        if event.occurred_at > board.clock - PREDICTED_S:
            for metric in METRICS:
                interval = getattr(event, metric)
                if interval is not None:
                    found.setdefault(event.track, {}).setdefault(metric, []).append(interval)
    return found


def _middles(intervals: list[Any]) -> dict[str, float | None] | None:
    if not intervals:
        return None
    return {name: middle([getattr(interval, name) for interval in intervals]) for name in ("median", "lower", "upper")}


def _incident(story: Story) -> dict[str, Any]:
    """The newest of it, whether it stands, and its course."""
    return _plain(story.latest) | {"is_open": not story.is_over, "course": [step._asdict() for step in story.steps]}


def _recommended(board: ScopeBoard) -> dict[str, Any] | None:
    event = board.standing
    if event is None:
        return None
    return {
        "track": event.track,
        "propensity": event.propensity,
        "since": board.since,
        "plan": event.plan,
        "strategy": event.strategy,
        "mode": event.mode,
        "policy_version": event.policy_version,
        "expires_at": event.expires_at,
        "reasons": list(event.reasons),
    }


def _newest_forecast(key: ForecastKey, row: Row) -> dict[str, Any]:
    target, median, lower, upper = row
    return {**_named(key), "target_time": target, "median": median, "lower": lower, "upper": upper}


def _named(key: ForecastKey) -> dict[str, Any]:
    metric, track, host, horizon = key
    return {"metric": metric, "track": track or None, "host": host or None, "horizon_s": horizon}


def _forecast_series(board: ScopeBoard, key: ForecastKey, rows: list[Row]) -> dict[str, Any]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    metric, track, host, horizon = key
    span = MINUTE_S if horizon <= MINUTE_S else COARSE_S[not track and not host]
    points = _measured(board, metric, track, host)
    actual = [_mean(points, target - span, target, board, is_count=not host) for target in columns[0]]
    return {**_named(key), "target_time": columns[0], "median": columns[1], "lower": columns[2], "upper": columns[3], "actual": actual}


def _measured(board: ScopeBoard, metric: str, track: str, host: str) -> list[tuple[float, float]] | None:
    """What the forecast quantity was: times and values of a gauge, minutes and counts of arrivals; None where the events do not say."""
    if host:
        return [(row[1], row[2]) for row in board.sampled.rows((host, metric))]
    if metric != "arrival_rate":
        return None
    return [(minute, count) for name in ([track] if track else board.tracks) for minute, count in _arrivals(board, name)]


def _arrivals(board: ScopeBoard, name: str) -> list[Row]:
    known = board.tracks.get(name)
    return board.arrivals.rows(name) + ([(known.minute, known.arrived)] if known is not None else [])


def _mean(points: list[tuple[float, float]] | None, start: float, end: float, board: ScopeBoard, *, is_count: bool) -> float | None:
    """The mean value in a row, or the rate of what is counted; None where the row is not over, or began before anything is known."""
    if points is None or not points or end > board.clock or start < min(at for at, _ in points) // MINUTE_S * MINUTE_S:
        return None
    values = [value for at, value in points if start <= at < end]
    if is_count:
        return _round(sum(values) / (end - start))
    return _round(sum(values) / len(values)) if values else None


def _windows(rows: list[Row]) -> dict[str, list[Any]]:
    windows = [row for row in rows if isinstance(row, Closed)]
    found: dict[str, list[Any]] = {name: [getattr(window, name) for window in windows] for name in WINDOW_FIELDS}
    return found | {"count": [window.completed for window in windows], "quality": [window.quality_mean for window in windows]}


def _gauge(board: ScopeBoard, host: str, gauge: str) -> dict[str, Any]:
    return {"host": host, "gauge": gauge, "unit": UNITS.get(gauge, ""), "limit": board.limits.get((host, gauge))}


def _resource(board: ScopeBoard, host: str, gauge: str) -> dict[str, Any]:
    at, value = board.hosts[host][gauge]
    return {**_gauge(board, host, gauge), "value": value, "at": at}


def _plain(event: Event) -> dict[str, Any]:
    return event.model_dump(mode="json", exclude=ENVELOPE)


def _round(value: float | None, digits: int = 6) -> float | None:
    return round(value, digits) if value is not None and math.isfinite(value) else None


__all__ = ["series", "view"]
