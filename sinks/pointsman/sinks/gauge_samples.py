"""What recommendations and resource samples say, as samples of gauges in base units."""

from collections.abc import Iterator
from typing import get_args

from pointsman.schemas import Event, RecommendationIssued, ResourceSampled
from pointsman.schemas.config import Mode, Strategy
from pointsman.schemas.outputs import Health, Interval, TrackAdvice

BYTES = 1e6  # of a megabyte, as everywhere in Pointsman
ALL = "all"
BOUNDS = ("lower", "median", "upper")

_SCOPE = ("scope",)
_TRACK = ("scope", "track")
_HOST = ("scope", "host")

SAMPLED: dict[str, tuple[tuple[str, ...], str]] = {
    "pointsman_recommended_ratio": (_TRACK, "Probability with which a usual request is sent to the track."),
    "pointsman_recommendation_issued_timestamp_seconds": (_SCOPE, "When the newest recommendation was issued."),
    "pointsman_recommendation_expires_timestamp_seconds": (_SCOPE, "When the newest recommendation ends."),
    "pointsman_policy_version": (_SCOPE, "Version of the policy behind the newest recommendation."),
    "pointsman_scope_strategy": ((*_SCOPE, "strategy"), "1 for the strategy in force, 0 for the others."),
    "pointsman_scope_mode": ((*_SCOPE, "mode"), "1 for the mode in force, 0 for the others."),
    "pointsman_track_health": ((*_TRACK, "state"), "1 for the state of the track, 0 for the others."),
    "pointsman_track_timeout_seconds": (_TRACK, "How long to wait for an answer of the track."),
    "pointsman_track_max_concurrency": (_TRACK, "How many requests should be in flight on the track."),
    "pointsman_track_expected_latency_seconds": ((*_TRACK, "bound"), "Latency that is expected of a usual request: median and 90 % interval."),
    "pointsman_track_expected_ttft_seconds": ((*_TRACK, "bound"), "Time to the first token that is expected of a usual request."),
    "pointsman_track_expected_cost_usd": ((*_TRACK, "bound"), "US dollars that a usual request is expected to cost."),
    "pointsman_track_expected_quality_ratio": ((*_TRACK, "bound"), "Quality that is expected of a usual request."),
    "pointsman_resource_cpu_ratio": (_HOST, "Share of the processor in use."),
    "pointsman_resource_gpu_ratio": (_HOST, "Share of the GPU in use."),
    "pointsman_resource_memory_used_bytes": (_HOST, "Memory in use."),
    "pointsman_resource_gpu_memory_used_bytes": (_HOST, "GPU memory in use."),
    "pointsman_resource_battery_ratio": (_HOST, "Charge of the battery."),
    "pointsman_resource_battery_charging": (_HOST, "1 while the battery is charged."),
    "pointsman_resource_temperature_celsius": (_HOST, "Temperature."),
    "pointsman_resource_throttled": (_HOST, "1 while the host is throttled."),
    "pointsman_resource_reported": ((*_HOST, "gauge"), "Any other number that the host reports, in its own unit."),
}

Sample = tuple[str, tuple[str, ...], float | None]


def samples(event: Event) -> Iterator[Sample]:
    """Name without `pointsman_`, labels and value of each series that an event sets; without a value it goes."""
    if isinstance(event, RecommendationIssued) and event.segment == ALL and event.request_id is None:
        yield from _recommended(event)
    elif isinstance(event, ResourceSampled):
        yield from _sampled(event)


def _recommended(event: RecommendationIssued) -> Iterator[Sample]:
    scope = (event.scope,)
    yield "recommendation_issued_timestamp_seconds", scope, event.occurred_at
    yield "recommendation_expires_timestamp_seconds", scope, event.expires_at
    yield "policy_version", scope, event.policy_version
    for strategy in get_args(Strategy):
        yield "scope_strategy", (*scope, strategy), strategy == event.strategy
    for mode in get_args(Mode):
        yield "scope_mode", (*scope, mode), mode == event.mode
    for advice in event.tracks:
        yield from _advised((*scope, advice.track), advice)


def _advised(labels: tuple[str, ...], advice: TrackAdvice) -> Iterator[Sample]:
    yield "recommended_ratio", labels, advice.propensity
    yield "track_timeout_seconds", labels, advice.timeout_ms / 1000.0
    yield "track_max_concurrency", labels, advice.max_concurrency
    for state in get_args(Health):
        yield "track_health", (*labels, state), state == advice.health
    expected = advice.expected
    yield from _interval("track_expected_latency_seconds", labels, expected.latency_ms, 1000.0)
    yield from _interval("track_expected_ttft_seconds", labels, expected.ttft_ms, 1000.0)
    yield from _interval("track_expected_cost_usd", labels, expected.cost_usd, 1.0)
    yield from _interval("track_expected_quality_ratio", labels, expected.quality_score, 1.0)


def _interval(name: str, labels: tuple[str, ...], interval: Interval | None, unit: float) -> Iterator[Sample]:
    for bound in BOUNDS:
        yield name, (*labels, bound), None if interval is None else getattr(interval, bound) / unit


def _sampled(event: ResourceSampled) -> Iterator[Sample]:
    labels = (event.scope, event.host)
    for name, value in (
        ("cpu_ratio", _share(event.cpu_percent)),
        ("gpu_ratio", _share(event.gpu_percent)),
        ("memory_used_bytes", _bytes(event.memory_used_mb)),
        ("gpu_memory_used_bytes", _bytes(event.gpu_memory_used_mb)),
        ("battery_ratio", _share(event.battery_percent)),
        ("battery_charging", event.battery_charging),
        ("temperature_celsius", event.temperature_c),
        ("throttled", event.throttled),
    ):
        yield f"resource_{name}", labels, value
    for gauge, value in (event.gauges or {}).items():
        yield "resource_reported", (*labels, gauge), value


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100.0


def _bytes(megabytes: float | None) -> float | None:
    return None if megabytes is None else megabytes * BYTES


__all__ = ["BOUNDS", "BYTES", "SAMPLED", "samples"]
