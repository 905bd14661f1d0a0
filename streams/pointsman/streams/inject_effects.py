"""What a fault does to requests and samples: slower, failed, worse, throttled, again."""

import random
from collections.abc import Iterable
from typing import Any

from pointsman.schemas import QualityAssessed, RequestCompleted, RequestStarted, ResourceSampled

from .inject_recording import Attempt, Recording

HOT_C = 20.0  # a throttled host is so much warmer
HOTTEST_C = 95.0
QUICK = (0.02, 0.1)  # a failure comes after such a share of what the answer would have taken
COUNTS = ("running", "pending", "waiting", "queue")
SAMPLED = ("cpu_percent", "memory_used_mb", "gpu_percent", "gpu_memory_used_mb", "temperature_c")


class InjectError(ValueError):
    """This fault cannot be put into this recording; the message says why and what to give instead."""


def slow(recording: Recording, attempt: Attempt, place: int, event: RequestCompleted, factor: float) -> None:
    """A completion comes `factor` times as late, and so do its first token and its stages."""
    if event.latency_ms is None:
        return
    first = {} if event.ttft_ms is None else {"ttft_ms": round(factor * event.ttft_ms, 3)}
    stages = {} if event.stages is None else {"stages": {name: round(factor * value, 3) for name, value in event.stages.items()}}
    recording.last(attempt, place, factor * event.latency_ms, **first, **stages)


def fail(recording: Recording, attempts: list[Attempt], share: float, dice: random.Random) -> int:
    """A share of these requests fails, by the provider and quickly; how many."""
    failed = [attempt for attempt in attempts if dice.random() < share]
    nothing = dict.fromkeys(("ttft_ms", "quality_score", "stages", "cache_hit"))
    for attempt, place, event in recording.outcomes(failed):
        took = dice.uniform(*QUICK) * (event.latency_ms or 0.0)
        recording.last(attempt, place, took, success=False, failure_class="provider", error_type="503", output_tokens=0, cost_usd=0.0, **nothing)
    return len(failed)


def worsen(recording: Recording, attempts: list[Attempt], factor: float) -> int:
    """Scores of quality, in completions and judgements, are `factor` times what they were; how many."""
    worse = 0
    for _, place, event in recording.outcomes(attempts):
        if event.quality_score is not None:
            recording.change(place, quality_score=event.quality_score * factor)
            worse += 1
    during = {(recording.events[place].scope, event.request_id) for _, place, event in recording.outcomes(attempts)}
    for place, said in enumerate(recording.events):
        if isinstance(said, QualityAssessed) and (said.scope, said.request_id) in during:
            recording.change(place, score=said.score * factor)
            worse += 1
    return worse


def throttle(sample: ResourceSampled, factor: float) -> dict[str, Any]:
    """What a hot, throttled host reports instead of this sample."""
    fields: dict[str, Any] = {"throttled": True}
    for name in ("cpu_percent", "gpu_percent"):
        value = getattr(sample, name)
        if value is not None:
            fields[name] = min(100.0, value * factor)
    if sample.temperature_c is not None:
        fields["temperature_c"] = max(sample.temperature_c, min(HOTTEST_C, sample.temperature_c + HOT_C))
    if sample.gauges is not None:
        fields["gauges"] = {name: round(value * _weight(name, factor), 3) for name, value in sample.gauges.items()}
    return fields


def _weight(gauge: str, factor: float) -> float:
    if gauge.endswith(("_per_s", "_per_second", "throughput")):
        return 1.0 / factor
    return factor if any(word in gauge for word in COUNTS) else 1.0


def times(event: object, names: Iterable[str], factor: float) -> dict[str, Any]:
    """The fields of an event that are numbers of tokens, `factor` times as many."""
    return {name: round(factor * value) for name in names if (value := getattr(event, name)) is not None}


def again(recording: Recording, attempt: Attempt, number: int, later: float) -> None:
    """The same request once more, so many seconds later."""
    places = [*(() if attempt.started is None else (attempt.started,)), *attempt.completed]
    for place in places:
        event = recording.events[place]
        if isinstance(event, RequestStarted | RequestCompleted):
            names = {"event_id": f"{event.event_id[:200]}/again-{number}", "request_id": f"{event.request_id[:200]}/again-{number}"}
            recording.add(event.model_copy(update={**names, "occurred_at": round(event.occurred_at + later, 6)}), recording.arrivals[place] + later)


def most_at_once(recording: Recording, track: str) -> int:
    """How many requests of a track were in flight at most."""
    moves = []
    for attempt, _, event in recording.outcomes(one for one in recording.attempts if one.track == track):
        moves += [(attempt.began, 1), (event.occurred_at, -1)]
    most = now = 0
    for _, move in sorted(moves):
        now += move
        most = max(most, now)
    return max(most, 1)


def gauges(samples: Iterable[ResourceSampled]) -> list[str]:
    """What these samples report, by name."""
    found: dict[str, None] = {}
    for sample in samples:
        found |= dict.fromkeys([*(sample.gauges or {}), *(name for name in SAMPLED if getattr(sample, name) is not None)])
    return list(found)


def value_of(sample: ResourceSampled, name: str) -> float | None:
    """One field or gauge of a sample."""
    value = getattr(sample, name) if name in SAMPLED else (sample.gauges or {}).get(name)
    return None if value is None else float(value)


__all__ = ["SAMPLED", "InjectError", "again", "fail", "gauges", "most_at_once", "slow", "throttle", "times", "value_of", "worsen"]
