"""A stream of events that are valid and nothing more: every name as long or as odd as it may be, every number at a limit."""

import random
from typing import Any

from events import START

from pointsman.schemas import AnyInput, QualityAssessed, RequestCompleted, RequestStarted, ResourceSampled, Tick

NAMES = ("x" * 256, "y" * 200, "z" * 129, "é" * 256, "\U0001f600" * 256, "\x00", "a/b", "ß", " ", "\n", "tick/1", "|", "\x1f", "a")
COUNTS = (None, 0, 3, 10**12)
DURATIONS = (0.0, 1e-300, 5.0, 1e10)


def extremes(seed: int, count: int) -> list[AnyInput]:
    """So many of them, in one scope, seven seconds apart."""
    draw = random.Random(seed)
    scope = draw.choice(NAMES)
    return [_event(draw, scope, number) for number in range(count)]


def _event(draw: random.Random, scope: str, number: int) -> AnyInput:
    def name() -> str:
        return draw.choice(NAMES)

    common: dict[str, Any] = {"event_id": str(number).rjust(draw.choice((1, 256)), "e"), "scope": scope, "occurred_at": START + 7.0 * number, "source": name()}
    request, kind = draw.choice(("r" * 255, "q")) + str(number % 10), draw.randrange(6)
    if kind == 0:
        return RequestStarted(
            request_id=request,
            track=draw.choice((None, name())),
            category=draw.choice((None, name())),
            conversation_id=name(),
            recommendation_id=name(),
            input_tokens=draw.choice(COUNTS),
            max_output_tokens=draw.choice(COUNTS),
            deadline_ms=draw.choice(DURATIONS),
            propensity=draw.choice((None, 1e-300, 1.0)),
            policy_version=draw.choice(COUNTS),
            attributes=draw.choice((None, {name(): draw.choice(("v", 1e15, -1e15))})),
            **common,
        )
    if kind < 3:
        return RequestCompleted(
            request_id=request,
            track=name(),
            success=draw.random() < 0.6,
            latency_ms=draw.choice(DURATIONS),
            ttft_ms=draw.choice(DURATIONS),
            input_tokens=draw.choice(COUNTS),
            output_tokens=draw.choice(COUNTS),
            cost_usd=draw.choice((None, 0.0, 1e9)),
            error_type=name(),
            failure_class=draw.choice((None, "provider", "client", "timeout", "cancelled", "unknown")),
            quality_score=draw.choice((None, 0.0, 1.0)),
            stages={name(): 1e10},
            **common,
        )
    if kind == 3:
        gauges = {name(): draw.choice((1e15, -1e15, 0.0)) for _ in range(3)}
        return ResourceSampled(
            host=name(),
            cpu_percent=draw.choice((0.0, 100.0)),
            memory_used_mb=draw.choice((0.0, 1e12)),
            temperature_c=draw.choice((-273.15, 1000.0)),
            battery_percent=draw.choice((0.0, 100.0)),
            gauges=gauges,
            **common,
        )
    if kind == 4:
        return QualityAssessed(request_id=request, track=name(), score=draw.choice((0.0, 1.0)), assessor=name(), **common)
    return Tick(**common)


__all__ = ["extremes"]
