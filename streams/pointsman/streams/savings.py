"""What the routing of a period saved against fixed routing, estimated from the logged propensities by the estimators of `pointsman evaluate`.

A history has no sketches, so the outcome model of the doubly robust estimate knows of a request its input tokens and category only.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pointsman.models.off_policy import Estimate
from pointsman.schemas import Interval, OptimizationConfig, PredictionIssued, RequestCompleted, RequestStarted, encode
from pointsman.sinks.accuracy import Judged, Key, judged
from pointsman.sinks.history import Record
from pointsman.sinks.savings_report import Saving, Savings

from .candidates import Candidate, candidate
from .evaluate import Figures, judge
from .logged import EvaluationError, Recording, read_recording

PER = 1000.0
_ENDS = ("median", "lower", "upper")
_METRICS = ("latency_ms", "ttft_ms", "output_tokens", "cost_usd", "quality_score")
_BASELINES = ("random", "cheapest", "best")


def savings(rows: Iterable[Record], config: OptimizationConfig) -> Savings:
    """Compare what happened with each fixed track, random, the cheapest and the best single track; where that cannot be, `reason` says why."""
    lines = ((f"attempt {number}", encode(event)) for number, event in enumerate(events_of(rows)))
    try:
        recording = read_recording(lines, "the history", config)
    except EvaluationError as error:
        return Savings(reason=str(error))
    if len(recording.tracks) < 2:
        return Savings(reason=f"all requests with a propensity ran on {recording.tracks[0]}: there is no other track to compare with")
    policies = _candidates(recording)
    found = judge(recording, policies)
    logged = next(verdict.metrics for verdict in found if verdict.policy == "logged")
    return Savings(
        requests=len(recording.requests),
        left_out=recording.left_out,
        rows=[_saving(verdict.policy, verdict.metrics, verdict.warnings) for verdict in found if verdict.policy != "logged"],
        logged={metric: figures.dr.value for metric, figures in logged.items() if figures.dr is not None},
    )


def _candidates(recording: Recording) -> list[Candidate]:
    """The logged policy, each track alone and the baselines; one that cannot be had from this log is left out."""
    found = []
    for spec in ("logged", *(f"fixed:{track}" for track in recording.tracks), *_BASELINES):
        try:
            found.append(candidate(spec, recording))
        except EvaluationError:
            continue
    return found


def _saving(policy: str, metrics: dict[str, Figures], warnings: list[str]) -> Saving:
    against = {metric: figures.against_logged for metric, figures in metrics.items()}
    cost = metrics.get("cost_usd")
    return Saving(
        policy=f"always {policy.removeprefix('fixed:')}" if policy.startswith("fixed:") else policy,
        saved_usd=_ends(against.get("cost_usd"), PER),
        cost_usd=_ends(cost.dr, PER) if cost is not None else None,
        gained={metric: _turned(found) for metric, found in against.items() if metric != "cost_usd" and found is not None},
        effective_requests=min((figures.effective_requests for figures in metrics.values()), default=0.0),
        warnings=warnings,
    )


def _turned(against: Estimate | None) -> tuple[float, float, float] | None:
    """What the policy has more than the log, the other way round: what the log has more."""
    return None if against is None else (-against.value, -against.upper, -against.lower)


def _ends(estimate: Estimate | None, factor: float) -> tuple[float, float, float] | None:
    return None if estimate is None else (factor * estimate.value, factor * estimate.lower, factor * estimate.upper)


def events_of(rows: Iterable[Record]) -> list[RequestStarted | RequestCompleted]:
    """The starts and completions that attempts came from, in order of time; what an attempt was judged is its completion's quality."""
    events = [event for row in rows for event in _attempt(row)]
    events.sort(key=lambda event: event.occurred_at)
    return events


def _attempt(row: Record) -> Iterator[RequestStarted | RequestCompleted]:
    name, started_at = row["event_id"], row["started_at"] or row["time"]
    common: dict[str, Any] = {"scope": row["scope"], "request_id": row["request_id"], "track": row["track"]}
    yield RequestStarted(
        event_id=f"s{name}"[:256],
        occurred_at=started_at.timestamp(),
        propensity=row["propensity"] or None,
        input_tokens=row["input_tokens"],
        category=row["category"],
        **common,
    )
    if row["completed_at"] is not None:
        fields = {name: row[name] for name in ("success", "latency_ms", "ttft_ms", "output_tokens", "cost_usd", "failure_class")}
        yield RequestCompleted(event_id=f"c{name}"[:256], occurred_at=row["completed_at"].timestamp(), quality_score=row["quality"], **fields, **common)


def predicted(rows: list[Record]) -> dict[Key, list[Judged]]:
    """Every prediction with its outcome, by track and metric."""
    outputs = [output for row in rows if (output := _prediction(row)) is not None]
    events = [event.model_copy(update={"request_id": f"{event.scope}/{event.request_id}"[:256]}) for event in events_of(rows)]
    return judged(events, outputs)


def _prediction(row: Record) -> PredictionIssued | None:
    found: dict[str, Any] = {metric: Interval(**{end: row[f"{metric}_{end}"] for end in _ENDS}) for metric in _METRICS if row[f"{metric}_median"] is not None}
    if not found:
        return None
    return PredictionIssued(
        event_id=f"p{row['event_id']}"[:256],
        scope=row["scope"],
        occurred_at=row["time"].timestamp(),
        caused_by="",
        request_id=f"{row['scope']}/{row['request_id']}"[:256],
        track=row["track"],
        **found,
    )


__all__ = ["events_of", "predicted", "savings"]
