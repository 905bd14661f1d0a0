"""How well requests were predicted before their outcome, beside what needs no learning: the last value, and the median of the last 50."""

import statistics
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from pointsman.schemas import AnyInput, Event, Interval, PredictionIssued, QualityAssessed, RequestCompleted, RequestStarted
from pointsman.schemas.config import PredictedMetric

REMEMBERED = 50
WINDOW = 500
METRICS: tuple[PredictedMetric, ...] = get_args(PredictedMetric)

Key = tuple[str, PredictedMetric]


@dataclass(frozen=True, slots=True)
class Judged:
    """One outcome, what was predicted of it when the request started, and the last outcomes known then, oldest first."""

    started_at: float
    actual: float
    predicted: Interval
    known: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """WAPE of three predictors and how often two intervals held, as shares; `worst` over any 500 outcomes in a row, where there are as many."""

    outcomes: int
    wape: float
    wape_last: float
    wape_median: float
    coverage: float
    worst: float | None
    coverage_known: float


def judged(events: Iterable[AnyInput], outputs: Iterable[Event]) -> dict[Key, list[Judged]]:
    """Every prediction that has an outcome, by track and metric, in the order of the outcomes.

    What counts is the first prediction of a request, made when it starts. Failed requests, and those that started before any other ended, are left out.
    """
    first: dict[tuple[str, str], PredictionIssued] = {}
    for output in outputs:
        if isinstance(output, PredictionIssued):
            first.setdefault((output.request_id, output.track), output)
    recent: defaultdict[Key, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
    known: dict[tuple[str, str], tuple[float, dict[PredictedMetric, tuple[float, ...]]]] = {}
    found: dict[Key, list[Judged]] = {}
    for event in events:
        if isinstance(event, RequestStarted) and event.track is not None:
            known[event.request_id, event.track] = event.occurred_at, {metric: tuple(recent[event.track, metric]) for metric in METRICS}
        for track, request_id, metric, actual in _outcomes(event):
            prediction = first.get((request_id, track))
            predicted: Interval | None = getattr(prediction, metric) if prediction is not None else None
            started_at, before = known.get((request_id, track), (0.0, {}))
            if predicted is not None and before.get(metric):
                found.setdefault((track, metric), []).append(Judged(started_at, actual, predicted, before[metric]))
            recent[track, metric].append(actual)
    return found


def _outcomes(event: AnyInput) -> Iterator[tuple[str, str, PredictedMetric, float]]:
    """Track, request, metric and value of what an event reports."""
    if isinstance(event, QualityAssessed):
        yield event.track, event.request_id, "quality_score", event.score
    if isinstance(event, RequestCompleted) and event.success:
        for metric in METRICS:
            if (value := getattr(event, metric)) is not None:
                yield event.track, event.request_id, metric, float(value)


def accuracy(rows: Sequence[Judged]) -> Accuracy:
    """The figures of one track and metric.

    >>> rows = [
    ...     Judged(0.0, 10.0, Interval(median=9.0, lower=8.0, upper=11.0), (12.0, 8.0)),
    ...     Judged(1.0, 30.0, Interval(median=20.0, lower=15.0, upper=25.0), (10.0,)),
    ... ]
    >>> found = accuracy(rows)
    >>> round(found.wape, 3), round(found.wape_last, 3), found.coverage, found.worst
    (0.275, 0.55, 0.5, None)
    """
    total = sum(abs(row.actual) for row in rows) or 1.0
    held = [row.predicted.lower <= row.actual <= row.predicted.upper for row in rows]
    ranges = [_within(row) for row in rows]
    return Accuracy(
        outcomes=len(rows),
        wape=sum(abs(row.predicted.median - row.actual) for row in rows) / total,
        wape_last=sum(abs(row.known[-1] - row.actual) for row in rows) / total,
        wape_median=sum(abs(statistics.median(row.known) - row.actual) for row in rows) / total,
        coverage=sum(held) / len(rows),
        worst=_worst(held),
        coverage_known=sum(ranges) / len(rows),
    )


def _within(row: Judged) -> bool:
    """Whether the outcome lies between the 5 % and the 95 % quantile of the last ones, the nearest ranks of them."""
    ordered = sorted(row.known)
    rank = round(0.05 * (len(ordered) - 1))
    return ordered[rank] <= row.actual <= ordered[-1 - rank]


def _worst(held: Sequence[bool]) -> float | None:
    """The lowest share that held over any 500 in a row."""
    if len(held) < WINDOW:
        return None
    inside = lowest = sum(held[:WINDOW])
    for place in range(WINDOW, len(held)):
        inside += held[place] - held[place - WINDOW]
        lowest = min(lowest, inside)
    return lowest / WINDOW


__all__ = ["METRICS", "Accuracy", "Judged", "accuracy", "judged"]
