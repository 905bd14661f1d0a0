"""Evaluation: what other policies would have done with a recording, as a table, as JSON and as a plot."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointsman.models.off_policy import LEVEL, MOST_WEIGHT, Estimate, Floats, Log, doubly_robust, ips, scores, snips, support
from pointsman.models.outcome_model import cross_fit
from pointsman.schemas import OptimizationConfig
from pointsman.sinks.pareto import Spot, write_pareto

from .candidates import ALWAYS, Candidate, candidate
from .logged import METRICS, EvaluationError, Recording, read_recording
from .replay import source_lines, stored_config

_BOUNDS = {"quality": (0.0, 1.0), "success": (0.0, 1.0), "cost_usd": (0.0, math.inf), "latency_ms": (0.0, math.inf)}
_SPREAD = {"success": 1.0}


@dataclass(frozen=True, slots=True)
class Figures:
    """One policy by one metric; `truth` is there where every track ran every request."""

    requests: int
    dr: Estimate | None
    snips: Estimate | None
    ips: Estimate | None
    against_logged: Estimate | None
    truth: float | None
    effective_requests: float
    unseen_share: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one policy."""

    policy: str
    metrics: dict[str, Figures]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All policies on one recording."""

    recording: str
    requests: int
    left_out: dict[str, int]
    tracks: list[str]
    strategy: str
    full_information: bool
    level: float
    largest_weight: float
    policies: list[Verdict]

    def json(self) -> str:
        """The same as a JSON document; an end that is not finite is null."""
        return json.dumps(plain(asdict(self)), indent=2) + "\n"

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def evaluate(
    source: str,
    policies: Sequence[str] = (),
    *,
    config: OptimizationConfig | None = None,
    default: OptimizationConfig | None = None,
    metrics: Sequence[str] = (),
    scope: str | None = None,
    largest_weight: float = MOST_WEIGHT,
) -> Evaluation:
    """Estimate policies on a recording, beside the logged one, random, the best single track and the cheapest.

    The utility and prices are those of `config`, else of the database's or recording's own configuration, else of `default`.
    """
    recording = read_recording(source_lines(source), source, config or stored_config(source), default, scope)
    given = policies or [f"fixed:{track}" for track in recording.tracks]
    found = []
    for spec in dict.fromkeys((*ALWAYS, *given)):
        try:
            found.append(candidate(spec, recording))
        except EvaluationError:
            if spec in given:
                raise  # what is only a baseline is left out where the recording cannot give it
    wanted = [metric for metric in metrics or METRICS if _observed(recording, metric).any()]
    if not wanted:
        raise EvaluationError(f"{source}: no completion reports {' or '.join(metrics)}: choose another --metric, or record it")
    return Evaluation(
        recording=source,
        requests=len(recording.requests),
        left_out=recording.left_out,
        tracks=recording.tracks,
        strategy=recording.config.strategy,
        full_information=recording.is_full,
        level=LEVEL,
        largest_weight=largest_weight,
        policies=judge(recording, found, wanted, largest_weight),
    )


def judge(recording: Recording, policies: Sequence[Candidate], metrics: Sequence[str] = METRICS, largest_weight: float = MOST_WEIGHT) -> list[Verdict]:
    """Estimate policies on a recording by those of the metrics that it reports."""
    expected = {metric: _expected(recording, metric) for metric in METRICS if metric in metrics and _observed(recording, metric).any()}
    return [_verdict(policy, recording, expected, largest_weight) for policy in policies]


def _chosen(recording: Recording, metric: str) -> Floats:
    return recording.outcomes[metric][np.arange(len(recording.chosen)), recording.chosen]


def _observed(recording: Recording, metric: str) -> np.ndarray:
    return ~np.isnan(_chosen(recording, metric))


def _expected(recording: Recording, metric: str) -> Floats:
    rows = _observed(recording, metric)
    return cross_fit(recording.features[rows], recording.chosen[rows], _chosen(recording, metric)[rows], len(recording.tracks))


def _verdict(policy: Candidate, recording: Recording, expected: dict[str, Floats], most: float) -> Verdict:
    said: dict[str, list[str]] = {}
    figures = {}
    for metric, predicted in expected.items():
        rows = _observed(recording, metric)
        log = Log.of(
            outcome=_chosen(recording, metric)[rows],
            propensity=np.ones(int(rows.sum())) if policy.is_logged else recording.propensity[rows],
            chosen=recording.chosen[rows],
            target=policy.target[rows],
            predicted=predicted,
            most=most,
            bounds=_BOUNDS.get(metric) if metric in ("quality", "success") else None,
            spread=_SPREAD.get(metric, 0.0),
        )
        held = support(log)
        for warning in held.warnings(recording.tracks):
            said.setdefault(warning, []).append(metric)
        figures[metric] = Figures(
            requests=held.requests,
            dr=_within(doubly_robust(log), metric),
            snips=_within(snips(log), metric),
            ips=_within(ips(log), metric),
            against_logged=_difference(log) if log.weight.any() and not policy.is_logged else None,
            truth=_truth(policy, recording, metric),
            effective_requests=held.effective,
            unseen_share=held.missing,
        )
    warnings = [warning if len(where) == len(expected) else f"{', '.join(where)}: {warning}" for warning, where in said.items()]
    warnings += [f"would give {share:.0%} to {track}, which never ran: shared out among the others here" for track, share in policy.elsewhere.items()]
    return Verdict(policy.name, figures, warnings)


def _difference(log: Log) -> Estimate:
    """The gain over the logged policy, request by request; what is below the precision of the outcomes is none."""
    gain = scores(log) - log.outcome
    level = float(scores(log).mean())
    return log.interval(np.where(np.abs(gain) < 1e-12 * np.abs(log.outcome).max(), 0.0, gain), level)


def _within(estimate: Estimate | None, metric: str) -> Estimate | None:
    """The interval cut to the values that the metric can have."""
    if estimate is None:
        return None
    low, high = _BOUNDS.get(metric, (-math.inf, math.inf))
    return Estimate(estimate.value, min(max(estimate.lower, low), high), min(max(estimate.upper, low), high))


def _truth(policy: Candidate, recording: Recording, metric: str) -> float | None:
    """What the policy would have got of these very requests; of the logged one, what happened."""
    if not recording.is_full:
        return None
    outcomes = recording.outcomes[metric]
    shares = np.where(np.isnan(outcomes), 0.0, policy.target)
    total = float(shares.sum())
    return float((shares * np.nan_to_num(outcomes)).sum()) / total if total else None


def plain(value: Any) -> Any:
    """The same for JSON: a number that is not finite is null."""
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(result: Evaluation) -> list[str]:
    """The tables of `str(evaluation)`."""
    left = ", ".join(f"{count} {why}" for why, count in result.left_out.items())
    lines = [f"{result.requests} requests with a propensity" + (f" (left out: {left})" if left else "") + f"; tracks {', '.join(result.tracks)}"]
    ends = f"{result.level:.0%} intervals in brackets, weights at most {result.largest_weight:g}"
    lines.append(f"{ends}; {'every track ran every request: truth is the mean over them' if result.full_information else 'utility: ' + result.strategy}")
    width = max(len(verdict.policy) for verdict in result.policies)
    for metric in next(iter(result.policies)).metrics:
        head = ["DR", "SNIPS", "IPS", "against logged", "effective", *(["truth"] if result.full_information else [])]
        rows = [_cells(verdict.metrics[metric], is_full=result.full_information) for verdict in result.policies]
        widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
        lines += ["", f"{metric} ({result.policies[0].metrics[metric].requests} requests{', strategy ' + result.strategy if metric == 'utility' else ''})"]
        for name, cells in [("", head), *((verdict.policy, row) for verdict, row in zip(result.policies, rows, strict=True))]:
            lines.append("  ".join([f"{name:{width}}", *(f"{cell:>{size}}" for cell, size in zip(cells, widths, strict=True))]).rstrip())
    warned = [f"warning: {verdict.policy}: {warning}" for verdict in result.policies for warning in verdict.warnings]
    return [*lines, *([""] if warned else []), *warned]


def _cells(figures: Figures, *, is_full: bool) -> list[str]:
    cells = [shown(figures.dr), _short(figures.snips), _short(figures.ips), shown(figures.against_logged, sign="+")]
    cells.append(f"{figures.effective_requests:.0f}")
    return [*cells, *([_number(figures.truth) if figures.truth is not None else "-"] if is_full else [])]


def shown(estimate: Estimate | None, sign: str = "") -> str:
    """An estimate with its interval in brackets."""
    if estimate is None:
        return "-"
    return f"{_number(estimate.value, sign)} [{_number(estimate.lower, sign)}, {_number(estimate.upper, sign)}]"


def _short(estimate: Estimate | None) -> str:
    return "-" if estimate is None else _number(estimate.value)


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4g}" if abs(value) < 1e4 else f"{value:{sign}.0f}"


def draw(result: Evaluation, path: Path) -> None:
    """The Pareto plot of an evaluation: cost against quality and against latency."""
    spots = []
    for verdict in result.policies:
        estimates = {name: figures.dr for name, figures in verdict.metrics.items() if figures.dr is not None}
        values = {name: (estimate.value, estimate.lower, estimate.upper) for name, estimate in estimates.items()}
        truths = {name: figures.truth for name, figures in verdict.metrics.items() if figures.truth is not None}
        spots.append(Spot(verdict.policy, values, truths))
    write_pareto(path, spots, title=f"Policies on {Path(result.recording).name}, {result.requests} requests")


__all__ = ["Evaluation", "Figures", "Verdict", "draw", "evaluate", "judge", "plain", "shown"]
