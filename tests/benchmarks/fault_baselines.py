"""What people have without Pointsman: windows per track and gauge with a 3-sigma rule or a fixed threshold, and the largest robust z for the cause."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from pointsman.schemas import AnyInput, RequestCompleted, ResourceSampled

WINDOW_S = 60.0
RATE = 0.1
SIGMAS = 3.0
ERRORS = 0.05
SLOWER = 2.0
Point = tuple[float, float]  # the end of a window, and its value
Series = dict[tuple[str, str], list[Point]]


class Alarm(NamedTuple):
    """An alert of a baseline: it can only name its own series."""

    at: float
    entity: str
    metric: str


def windows(events: Sequence[AnyInput], width: float = WINDOW_S) -> Series:
    """Per track the 95th percentile of latency and the error share, per host the mean of every gauge, in windows that are not empty."""
    kept: dict[tuple[str, str], dict[int, list[float]]] = {}
    begin = events[0].occurred_at

    def add(entity: str, metric: str, at: float, value: float) -> None:
        kept.setdefault((entity, metric), {}).setdefault(int((at - begin) // width), []).append(value)

    for event in events:
        if isinstance(event, RequestCompleted):
            add(event.track, "error", event.occurred_at, float(not event.success))
            if event.latency_ms is not None:
                add(event.track, "latency p95", event.occurred_at, event.latency_ms)
        elif isinstance(event, ResourceSampled):
            for name, value in (event.gauges or {}).items():
                add(event.host, name, event.occurred_at, value)
    return {key: [(begin + width * (row + 1), _value(key[1], values)) for row, values in sorted(rows.items())] for key, rows in kept.items()}


def _value(metric: str, values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))] if metric == "latency p95" else statistics.fmean(values)


def three_sigma(series: Series, since: float) -> list[Alarm]:
    """An alarm where a window begins to be beyond three standard deviations of an exponentially weighted mean (rate 0.1)."""
    found = []
    for (entity, metric), points in series.items():
        mean, variance, was = points[0][1], 0.0, False
        for at, value in points[1:]:
            away = value - mean
            is_off = abs(away) > SIGMAS * math.sqrt(variance + 1e-12) and at > since
            if is_off and not was:
                found.append(Alarm(at, entity, metric))
            was = is_off
            mean += RATE * away
            variance = (1.0 - RATE) * (variance + RATE * away * away)
    return sorted(found)


def thresholds(series: Series, since: float) -> list[Alarm]:
    """An alarm where more than 5 % fail, or the 95th percentile is twice the largest of the warm-up."""
    found = []
    for (entity, metric), points in series.items():
        if metric not in ("error", "latency p95"):
            continue
        usual = max((value for at, value in points if at <= since), default=math.inf)
        bound, was = (ERRORS if metric == "error" else SLOWER * usual), False
        for at, value in points:
            is_off = value > bound and at > since
            if is_off and not was:
                found.append(Alarm(at, entity, metric))
            was = is_off
    return sorted(found)


def largest_z(series: Series, onset: float, until: float) -> list[str]:
    """Tracks and hosts by the largest robust z of the windows since the onset, which it is told, against all before; the most suspected first."""
    found: dict[str, float] = {}
    for (entity, _), points in series.items():
        before = [value for at, value in points if at <= onset]
        since = [value for at, value in points if onset < at <= until]
        if len(before) < 3 or not since:
            continue
        middle = statistics.median(before)
        spread = 1.4826 * statistics.median(abs(value - middle) for value in before) or 1e-6 + 0.01 * abs(middle)
        found[entity] = max(found.get(entity, 0.0), max(abs(value - middle) for value in since) / spread)
    return sorted(found, key=lambda entity: (-found[entity], entity))


__all__ = ["Alarm", "largest_z", "three_sigma", "thresholds", "windows"]
