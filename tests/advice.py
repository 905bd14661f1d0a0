"""Builders of scaling advice and what goes with it, of the scope `chat`."""

from typing import Any

from events import START

from pointsman.schemas import ForecastIssued, ModelReport, ModelsReported, ScalingRecommended, ScalingScored


def _envelope(name: str, at: float) -> dict[str, Any]:
    return {"event_id": f"chat/{name}/{at}", "scope": "chat", "occurred_at": START + at, "caused_by": "tick"}


def recommended(at: float, desired: int, track: str = "local", **fields: Any) -> ScalingRecommended:
    """Advice given `at` seconds after the start, to be in effect ten minutes later."""
    given: dict[str, Any] = {
        **_envelope(f"recommended-{track}", at),
        "track": track,
        "unit": "replicas",
        "current": 2,
        "desired": desired,
        "demand": 2.4,
        "level": 0.9,
        "service_time_ms": 1500.0,
        "target_utilisation": 0.8,
        "effective_at": START + at + 600.0,
        "usd_per_hour": 4.5,
        "reason": "demand rises",
    }
    return ScalingRecommended.model_validate(given | fields)


def scored(at: float, unserved: float = 0.01, over: float = 0.25) -> ScalingScored:
    """How the advice of an hour did."""
    return ScalingScored(
        **_envelope("scored", at),
        track="local",
        start=START + at - 3600.0,
        end=START + at,
        unserved_share=unserved,
        over_provisioned_share=over,
        target_unserved_share=0.02,
        changes=3,
    )


def forecast(at: float, median: float, **fields: Any) -> ForecastIssued:
    """A forecast of the scope's arrival rate for ten minutes later."""
    given: dict[str, Any] = {
        **_envelope("forecast", at),
        "metric": "arrival_rate",
        "horizon_s": 600.0,
        "target_time": START + at + 600.0,
        "median": median,
        "lower": median / 2.0,
        "upper": median * 2.0,
    }
    return ForecastIssued.model_validate(given | fields)


def reported(at: float, coverage: float | None = 0.9, models: tuple[str, ...] = ("median", "linear")) -> ModelsReported:
    """How the models of the latency of `local` do."""
    return ModelsReported(
        **_envelope("models", at),
        track="local",
        metric="latency_ms",
        learners="light",
        models=tuple(
            ModelReport(name=name, role="champion" if place == 0 else "challenger", weight=1.0 / len(models), error=0.2) for place, name in enumerate(models)
        ),
        coverage=coverage,
        coverage_outcomes=500,
        winkler=1200.0,
    )
