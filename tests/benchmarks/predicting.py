"""Plays events through a core and scores every interval it issued before the outcome, beside the last value and a rolling median of the same track."""

import statistics
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pointsman.schemas import AnyInput, Interval, OptimizationConfig, PredictionIssued, QualityAssessed, RequestCompleted
from pointsman.streams.core import Core

METRICS = ("latency_ms", "ttft_ms", "output_tokens", "cost_usd", "quality_score")
MISSED = 0.1  # the share of outcomes that a 90 % interval may leave out
WORST = 500
ROLLING = 50


def winkler(interval: Interval, actual: float, missed: float = MISSED) -> float:
    """The interval score of Winkler (1972): its width, and 2 ÷ `missed` times how far an outcome is outside.

    >>> winkler(Interval(median=2.0, lower=1.0, upper=3.0), 4.0)
    22.0
    """
    outside = max(interval.lower - actual, actual - interval.upper, 0.0)
    return interval.upper - interval.lower + 2.0 / missed * outside


def worst(held: Sequence[bool], size: int = WORST) -> float | None:
    """The lowest coverage of any `size` outcomes in a row; None where there are fewer.

    >>> worst([True, False, True, True], 2)
    0.5
    """
    if len(held) < size:
        return None
    inside = lowest = sum(held[:size])
    for old, new in zip(held, held[size:], strict=False):
        inside += new - old
        lowest = min(lowest, inside)
    return lowest / size


@dataclass(slots=True)
class Score:
    """One metric of one track: what was issued, what the baselines would have said at the same moment, and what came."""

    track: str
    metric: str
    actual: list[float] = field(default_factory=list)
    issued: list[Interval] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    rolling: list[float] = field(default_factory=list)

    def add(self, issued: Interval, last: float, rolling: float, actual: float) -> None:
        """An outcome, with what was said of it."""
        self.issued.append(issued)
        self.last.append(last)
        self.rolling.append(rolling)
        self.actual.append(actual)

    def wape(self, predicted: Sequence[float]) -> float:
        """Σ |prediction - outcome| as a percentage of Σ |outcome|."""
        total = sum(map(abs, self.actual))
        return 100.0 * sum(abs(said - came) for said, came in zip(predicted, self.actual, strict=True)) / total if total else 0.0

    def held(self) -> list[bool]:
        """Whether each outcome lay within its interval."""
        return [interval.lower <= actual <= interval.upper for interval, actual in zip(self.issued, self.actual, strict=True)]

    def row(self) -> dict[str, Any]:
        """The figures of a table's row."""
        held = self.held()
        return {
            "track": self.track,
            "metric": self.metric,
            "outcomes": len(held),
            "WAPE %": self.wape([interval.median for interval in self.issued]),
            "last value": self.wape(self.last),
            "rolling median": self.wape(self.rolling),
            "coverage": sum(held) / len(held) if held else None,
            "worst 500": worst(held),
            "Winkler": statistics.fmean(winkler(interval, actual) for interval, actual in zip(self.issued, self.actual, strict=True)) if held else None,
        }


Key = tuple[str, str, str]
Counts = Callable[[PredictionIssued], bool]


class Scorer:
    """Holds every prediction until its outcome; one that came after the outcome counts for nothing."""

    def __init__(self, counts: Counts | None = None) -> None:
        self._counts = counts
        self._open: dict[Key, dict[str, tuple[Interval, float, float]]] = {}
        self._recent: dict[Key, deque[float]] = {}
        self.scores: dict[Key, Score] = {}

    def issued(self, event: PredictionIssued) -> None:
        """Note what was said; of a request's predictions only the first is scored."""
        if event.revision or (self._counts is not None and not self._counts(event)):
            return
        rows = {}
        for metric in METRICS:
            interval: Interval | None = getattr(event, metric)
            recent = self._recent.get((event.scope, event.track, metric))
            if interval is not None and recent:
                rows[metric] = (interval, recent[-1], statistics.median(recent))
        self._open[(event.scope, event.track, event.request_id)] = rows

    def ended(self, event: RequestCompleted | QualityAssessed) -> None:
        """Score what was said of this attempt's metrics that are known now; what a failure took is not judged."""
        if isinstance(event, QualityAssessed):
            values: dict[str, float | None] = {"quality_score": event.score}
        else:
            values = {metric: getattr(event, metric) for metric in METRICS if event.success or metric not in {"latency_ms", "ttft_ms", "output_tokens"}}
        rows = self._open.get((event.scope, event.track, event.request_id), {})
        for metric, value in values.items():
            if value is None:
                continue
            key = (event.scope, event.track, metric)
            if (row := rows.pop(metric, None)) is not None:
                self.scores.setdefault(key, Score(event.track, metric)).add(*row, float(value))
            self._recent.setdefault(key, deque(maxlen=ROLLING)).append(float(value))


def score(events: Iterable[AnyInput], config: OptimizationConfig, counts: Counts | None = None) -> list[Score]:
    """The scores of every track and metric; `counts` says which predictions are judged (all, unless given)."""
    core, scorer = Core(config), Scorer(counts)
    for event in events:
        if isinstance(event, RequestCompleted | QualityAssessed):
            scorer.ended(event)
        for output in core.step(event):
            if isinstance(output, PredictionIssued):
                scorer.issued(output)
    return list(scorer.scores.values())


COLUMNS = ("track", "metric", "outcomes", "WAPE %", "last value", "rolling median", "coverage", "worst 500", "Winkler")
