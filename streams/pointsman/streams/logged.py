"""What a recording says about the logged policy: requests with a propensity, and what came of each on every track that ran it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pointsman.models import objective
from pointsman.models.context import Context
from pointsman.models.off_policy import Floats, Places
from pointsman.schemas import AnyInput, ConfigChanged, EventRejected, OptimizationConfig, QualityAssessed, RequestCompleted, RequestStarted

from .intake import accept
from .replay import Placed

METRICS = ("quality", "cost_usd", "latency_ms", "success", "utility")
Attempt = tuple[str, str, str]  # scope, request_id, track
Outcome = dict[str, float]  # by metric; what was not observed is absent


class EvaluationError(ValueError):
    """A recording or a policy that cannot be evaluated; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One request with the choice that was logged for it."""

    start: RequestStarted
    track: str
    propensity: float
    outcomes: dict[str, Outcome]

    @property
    def context(self) -> Context:
        """What was known of it before it was sent."""
        return context_of(self.start)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording ready for evaluation: `outcomes` by metric has the shape (requests, tracks), NaN where it was not observed."""

    events: list[AnyInput]
    requests: list[Logged]
    tracks: list[str]
    config: OptimizationConfig
    left_out: dict[str, int]
    is_full: bool
    features: Floats
    chosen: Places
    propensity: Floats
    outcomes: dict[str, Floats]


def context_of(start: RequestStarted) -> Context:
    """The context of a request, as the core takes it from the start."""
    return Context.of(start.input_tokens, start.max_output_tokens, start.category, start.sketch, start.attributes)


def read_recording(
    lines: Iterable[Placed], source: str, config: OptimizationConfig | None = None, default: OptimizationConfig | None = None, scope: str | None = None
) -> Recording:
    """Join a recording; the configuration is the given one, else the last that the recording was changed to, else `default`.

    The logged choice of a request is its first start that carries a propensity. A choice without a completion counts as failed once
    the scope has gone on for `intervals.join_s`; a hang-up by the client counts for nobody.
    """
    left_out: Counter[str] = Counter()
    events = _events(lines, left_out, scope)
    count = sum(isinstance(event, RequestStarted) for event in events)
    if not count:
        what = "request.started" if events else f"event in scope {scope!r}" if scope else "event"
        raise EvaluationError(f"{source}: no {what} in it: give a recording of requests, started and completed")
    settings = config or next((event.config for event in reversed(events) if isinstance(event, ConfigChanged)), default or OptimizationConfig())
    choices, starts = _choices(events, left_out)
    if not choices:
        raise EvaluationError(
            f"{source}: none of its starts ({count}) carries a propensity: log `propensity` (and `track`) with every "
            "request.started, as record_request_start(decision=...) does"
        )
    outcomes = _outcomes(events, starts, settings, left_out)
    requests = []
    for (place, request_id), choice in choices.items():
        found = {track: outcome for track, outcome in outcomes.get((place, request_id), {}).items() if outcome}
        if choice.track in found:
            requests.append(Logged(choice, str(choice.track), choice.propensity or 1.0, found))
    if len(requests) < 2:
        one = "only one request with a propensity and a completion: an estimate needs two"
        said = one if requests else "no request with a propensity has a completion"
        raise EvaluationError(f"{source}: {said}: record what came of the requests, too")
    return _table(events, requests, settings, dict(left_out))


def _events(lines: Iterable[Placed], left_out: Counter[str], scope: str | None) -> list[AnyInput]:
    """The accepted events, each id of a scope once."""
    events: list[AnyInput] = []
    seen: set[tuple[str, str]] = set()
    for place, line in lines:
        event = accept(line, place=place)
        if isinstance(event, EventRejected):
            left_out["rejected lines"] += 1
        elif (event.scope, event.event_id) not in seen and scope in (None, event.scope):
            seen.add((event.scope, event.event_id))
            events.append(event)
    return events


def _choices(events: list[AnyInput], left_out: Counter[str]) -> tuple[dict[tuple[str, str], RequestStarted], dict[Attempt, RequestStarted]]:
    """Per request the start with the logged choice, and every start on a track."""
    choices: dict[tuple[str, str], RequestStarted] = {}
    starts: dict[Attempt, RequestStarted] = {}
    requests: dict[tuple[str, str], None] = {}
    for event in events:
        if isinstance(event, RequestStarted):
            key = (event.scope, event.request_id)
            requests[key] = None
            if event.track is not None:
                starts.setdefault((*key, event.track), event)
                if event.propensity is not None:
                    choices.setdefault(key, event)
    left_out["without propensity"] += len(requests) - len(choices)
    return choices, starts


def _outcomes(
    events: list[AnyInput], starts: dict[Attempt, RequestStarted], config: OptimizationConfig, left_out: Counter[str]
) -> dict[tuple[str, str], dict[str, Outcome]]:
    """Per request and track what came of it; an outcome that counts for nobody is empty."""
    done: dict[Attempt, RequestCompleted] = {}
    judged: dict[Attempt, float] = {}
    clock: dict[str, float] = {}
    for event in events:
        clock[event.scope] = max(event.occurred_at, clock.get(event.scope, 0.0))
        if isinstance(event, RequestCompleted):
            done.setdefault((event.scope, event.request_id, event.track), event)
        elif isinstance(event, QualityAssessed):
            judged[(event.scope, event.request_id, event.track)] = event.score
    found: dict[tuple[str, str], dict[str, Outcome]] = {}
    for attempt, start in starts.items():
        end = done.get(attempt)
        outcome: Outcome = {}
        if end is None and start.occurred_at + config.intervals.join_s < clock[start.scope]:
            outcome = {"success": 0.0}
        elif end is None:
            left_out["still running"] += start.propensity is not None
        elif end.is_excused:
            left_out["hung up by the client"] += start.propensity is not None
        else:
            outcome = outcome_of(end, start.input_tokens, judged.get(attempt), config)
        found.setdefault(attempt[:2], {})[attempt[2]] = outcome
    add_utilities([outcome for tracks in found.values() for outcome in tracks.values()], config)
    return found


def add_utilities(outcomes: list[Outcome], config: OptimizationConfig) -> None:
    """Give every outcome the strategy's utility, where it has the parts that others have."""
    has = {metric: any(metric in outcome for outcome in outcomes) for metric in METRICS}
    for outcome in outcomes:
        if outcome and (utility := _utility(outcome, config, has)) is not None:
            outcome["utility"] = utility


def outcome_of(end: RequestCompleted, input_tokens: int | None, judged: float | None, config: OptimizationConfig) -> Outcome:
    """Quality is the last judgement, else the completion's own; latency counts where the request succeeded, as in the core."""
    outcome: Outcome = {"success": float(end.success)}
    quality = judged if judged is not None else end.quality_score
    cost = end.cost_usd if end.cost_usd is not None else _declared(input_tokens, end, config)
    if quality is not None:
        outcome["quality"] = quality
    if cost is not None:
        outcome["cost_usd"] = cost
    if end.success and end.latency_ms is not None:
        outcome["latency_ms"] = end.latency_ms
    return outcome


def _declared(input_tokens: int | None, end: RequestCompleted, config: OptimizationConfig) -> float | None:
    """The cost by a configured track's prices, in US dollars."""
    for track in config.tracks:
        if track.name == end.track:
            read, written = end.input_tokens or input_tokens or 0, end.output_tokens or 0
            return track.cost_per_request_usd + (read * track.cost_per_1k_input_tokens + written * track.cost_per_1k_output_tokens) / 1000.0
    return None


def _utility(outcome: Outcome, config: OptimizationConfig, has: dict[str, bool]) -> float | None:
    """The strategy's utility without resource pressure; None where a part of it that others report is missing.

    What nobody reports is left out for all. A failed request is worth no quality, and the largest latency allowed.
    """
    value = objective.worth(config.strategy)
    total = value.success * outcome["success"]
    is_failed = outcome["success"] == 0.0
    parts = (("quality", value.quality), ("latency_ms", -value.latency), ("cost_usd", -value.cost))
    for metric, worth in parts:
        if metric in outcome:
            seen = outcome[metric]
            scaled = objective.log_latency(seen, config) if metric == "latency_ms" else objective.cost(seen, config) if metric == "cost_usd" else seen
            total += worth * scaled
        elif has[metric] and not is_failed:
            return None
    return total


def in_order(tracks: Iterable[str], config: OptimizationConfig) -> list[str]:
    """Tracks in the order in which they are configured, others after them by name."""
    configured = [track.name for track in config.tracks]
    return sorted(tracks, key=lambda name: (configured.index(name) if name in configured else len(configured), name))


def _table(events: list[AnyInput], requests: list[Logged], config: OptimizationConfig, left_out: dict[str, int]) -> Recording:
    tracks = in_order(dict.fromkeys(track for request in requests for track in (request.track, *request.outcomes)), config)
    outcomes = {metric: np.full((len(requests), len(tracks)), np.nan) for metric in METRICS}
    for row, request in enumerate(requests):
        for track, outcome in request.outcomes.items():
            for metric, value in outcome.items():
                outcomes[metric][row, tracks.index(track)] = value
    return Recording(
        events=events,
        requests=requests,
        tracks=tracks,
        config=config,
        left_out={why: count for why, count in left_out.items() if count},
        is_full=len(tracks) > 1 and all(len(request.outcomes) == len(tracks) for request in requests),
        features=np.array([request.context.vector() for request in requests], dtype=np.float64),
        chosen=np.array([tracks.index(request.track) for request in requests], dtype=np.int64),
        propensity=np.array([request.propensity for request in requests], dtype=np.float64),
        outcomes=outcomes,
    )


__all__ = ["METRICS", "EvaluationError", "Logged", "Outcome", "Recording", "add_utilities", "context_of", "in_order", "outcome_of", "read_recording"]
