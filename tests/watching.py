"""Streams of outcomes and samples whose normal is known, and the alerts that a watch raises of them."""

import math
import random
from collections.abc import Callable, Iterator

from pointsman.models.watch import Watch
from pointsman.schemas import AlertRaised, OptimizationConfig, RequestCompleted, ResourceSampled

START = 1_700_000_000.0
Change = Callable[[RequestCompleted, int, random.Random], RequestCompleted]


def outcomes(count: int, seed: int = 1, scale: float = 1.0, correlation: float = 0.0, change: Change | None = None, at: int = 0) -> Iterator[RequestCompleted]:
    """Requests a second apart whose latency goes with the answer's length; from number `at` on with a change."""
    draw, noise = random.Random(seed), 0.0
    for number in range(count):
        tokens = round(math.exp(draw.gauss(5.0, 0.7)))
        noise = correlation * noise + math.sqrt(1.0 - correlation**2) * draw.gauss(0.0, 0.25)
        event = RequestCompleted(
            event_id=str(number),
            scope="chat",
            occurred_at=START + number,
            request_id=f"r{number}",
            track="api",
            success=True,
            latency_ms=scale * (200.0 + 10.0 * tokens) * math.exp(noise),
            ttft_ms=scale * 150.0 * math.exp(draw.gauss(0.0, 0.2)),
            input_tokens=round(math.exp(draw.gauss(6.0, 0.5))),
            output_tokens=tokens,
            cost_usd=scale * 1e-6 * tokens,
            quality_score=min(max(draw.gauss(0.8, 0.05), 0.0), 1.0),
        )
        yield change(event, number - at, random.Random(number)) if change is not None and number >= at else event


def samples(count: int, change: Callable[[ResourceSampled, int], ResourceSampled | None] | None = None, at: int = 0) -> Iterator[ResourceSampled | None]:
    """A host every two seconds; None where it says nothing."""
    draw = random.Random(2)
    for number in range(count):
        gauges = {"running": float(draw.randrange(3, 30)), "pending": 0.0}
        common = {"event_id": f"h{number}", "scope": "chat", "occurred_at": START + 2.0 * number, "host": "gpu"}
        event = ResourceSampled(**common, gpu_percent=draw.uniform(60.0, 90.0), temperature_c=draw.gauss(60.0, 1.0), throttled=False, gauges=gauges)
        yield change(event, number - at) if change is not None and number >= at else event


def raised(events: Iterator[RequestCompleted], watch: Watch | None = None) -> list[tuple[int, str]]:
    """The number of the request at which each alert was raised, and its fingerprint."""
    watch, found = watch or Watch(OptimizationConfig()), []
    for event in events:
        now = event.occurred_at
        for model, fields in watch.advance(now) + watch.completed(event, None, now):
            if model is AlertRaised:
                found.append((int(event.event_id), str(fields["fingerprint"])))
    return found
