"""Small builders and Hypothesis strategies for event streams."""

import random
from typing import Any

from hypothesis import strategies as st

from pointsman.schemas import (
    AnyInput,
    QualityAssessed,
    RequestCompleted,
    RequestStarted,
    ResourceSampled,
    Tick,
)

START = 1_700_000_000.0


def started(request: str, at: float, track: str | None = "local", **fields: Any) -> RequestStarted:
    """A request that leaves `at` seconds after the start of the stream."""
    return RequestStarted(event_id=f"{request}-{track}-started", scope="chat", occurred_at=START + at, request_id=request, track=track, **fields)


def completed(request: str, at: float, track: str = "local", latency_ms: float = 800.0, **fields: Any) -> RequestCompleted:
    """A request that succeeds `at` seconds after the start of the stream, unless told otherwise."""
    fields.setdefault("success", True)
    return RequestCompleted(
        event_id=f"{request}-{track}-completed", scope="chat", occurred_at=START + at, request_id=request, track=track, latency_ms=latency_ms, **fields
    )


def sampled(at: float, **fields: Any) -> ResourceSampled:
    """A sample of the host `laptop`."""
    return ResourceSampled(event_id=f"sample-{at}", scope="chat", occurred_at=START + at, host="laptop", **fields)


def ticked(at: float) -> Tick:
    """The passing of time."""
    return Tick(event_id=f"tick-{at}", scope="chat", occurred_at=START + at)


def stream(seed: int, requests: int) -> list[AnyInput]:
    """A made-up stream with everything in it that is normal: missing, late and repeated completions, two scopes, failures."""
    draw = random.Random(seed)
    events: list[AnyInput] = []
    now = START
    for number in range(requests):
        now += draw.expovariate(1.0)
        scope, track = draw.choice(("chat", "mail")), draw.choice(("local", "api"))
        name, latency = f"r{number}", draw.lognormvariate(7.0, 0.6)
        common: dict[str, Any] = {"scope": scope, "request_id": name}
        asked = draw.random() < 0.2
        chosen = None if asked else track
        tokens = draw.randrange(10, 2000)
        events.append(RequestStarted(event_id=f"{name}s", occurred_at=now, track=chosen, input_tokens=tokens, category=draw.choice((None, "code")), **common))
        done = RequestCompleted(
            event_id=f"{name}c",
            occurred_at=now + latency / 1000.0,
            track=track,
            latency_ms=latency,
            ttft_ms=latency / 5.0,
            output_tokens=draw.randrange(1, 500),
            cost_usd=0.002 if track == "api" else 0.0,
            success=draw.random() > 0.05,
            failure_class=draw.choice((None, "provider", "client")),
            **common,
        )
        events.extend([done] * draw.choice((0, 1, 1, 1, 1, 1, 2)))
        if number % 4 == 0:
            events.append(
                ResourceSampled(event_id=f"{name}h", scope=scope, occurred_at=now, host="gpu", cpu_percent=draw.uniform(0, 100), gauges={"pending": 2.0})
            )
            events.append(QualityAssessed(event_id=f"{name}q", occurred_at=now + 60.0, track=track, score=draw.random(), **common))
    events.sort(key=lambda event: event.occurred_at)
    return events


@st.composite
def streams(choose: st.DrawFn) -> list[AnyInput]:
    """Any stream of up to 60 requests, with some of its events moved out of order."""
    events = stream(choose(st.integers(0, 10_000)), choose(st.integers(1, 60)))
    for _ in range(choose(st.integers(0, 10))):
        place = choose(st.integers(0, len(events) - 1))
        events.insert(choose(st.integers(0, len(events) - 1)), events.pop(place))
    return events
