"""Small builders and Hypothesis strategies for event streams."""

import random
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from pointsman.models.sketch import sketch
from pointsman.schemas import (
    AnyInput,
    QualityAssessed,
    RequestCompleted,
    RequestStarted,
    ResourceSampled,
    Tick,
)

START = 1_700_000_000.0
PROMPTS = {
    "code": "Write a Python function that sorts a list of {} records",
    "mail": "Write a friendly email to {} customers about the delay",
    "sum": "How many apples are left of {} after eating 7? Solve step by step.",
}
COSTS = {"local": 0.0, "api": 0.001, "large": 0.01}


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


def traffic(seed: int, requests: int) -> list[AnyInput]:
    """A second one, of the tracks in `COSTS` and one scope: sketches, conversations, attributes, money, decisions of our own, copies, quality that
    comes minutes late. `api` fails in the fifth tenth of it, and `large` is worse from then on.
    """
    draw = random.Random(seed)
    events: list[AnyInput] = []
    now = START
    for number in range(requests):
        now += draw.expovariate(0.5)
        name, kind = f"t{number}", draw.choice(list(PROMPTS))
        track = draw.choice(list(COSTS))
        is_out = track == "api" and 0.4 < number / requests < 0.5
        fields: dict[str, Any] = {
            "sketch": sketch(PROMPTS[kind].format(draw.randrange(100))),
            "conversation_id": draw.choice((None, f"c{draw.randrange(5)}")),
            "attributes": draw.choice((None, {"tier": "gold", "images": draw.randrange(4)})),
            "policy_version": draw.choice((None, 1)),
        }
        asked = draw.random() < 0.2
        events.append(RequestStarted(event_id=f"{name}s", scope="chat", occurred_at=now, request_id=name, track=None if asked else track, **fields))
        copies = [track] if draw.random() < 0.9 else [track, draw.choice([other for other in COSTS if other != track])]
        for place, used in enumerate(copies):
            if place:
                events.append(RequestStarted(event_id=f"{name}s2", scope="chat", occurred_at=now + 0.1, request_id=name, track=used, **fields))
            latency = draw.lognormvariate(6.5, 0.5)
            is_lost = place == 1 and draw.random() < 0.5
            events.append(
                RequestCompleted(
                    event_id=f"{name}c{place}",
                    scope="chat",
                    occurred_at=now + latency / 1000.0,
                    request_id=name,
                    track=used,
                    latency_ms=latency,
                    output_tokens=round(latency / draw.uniform(4.0, 6.0)),
                    cost_usd=COSTS[used] * draw.uniform(0.5, 1.5),
                    success=not (is_out or is_lost),
                    failure_class="cancelled" if is_lost else "provider" if is_out else None,
                    error_type="429 Too Many Requests" if is_out and draw.random() < 0.3 else None,
                )
            )
        if draw.random() < 0.7:
            base = 0.3 if track == "large" and number > 0.4 * requests else 0.5 + 0.2 * (kind == "code") * (track != "local") + 0.2 * (track == "large")
            score, late = min(max(base + draw.gauss(0.0, 0.1), 0.0), 1.0), draw.choice((1.0, 60.0, 200.0))
            events.append(QualityAssessed(event_id=f"{name}q", scope="chat", occurred_at=now + late, request_id=name, track=track, score=score))
    events.sort(key=lambda event: event.occurred_at)
    return events


@st.composite
def streams(choose: st.DrawFn, make: Callable[[int, int], list[AnyInput]] = stream) -> list[AnyInput]:
    """Any stream of up to 60 requests, with some of its events moved out of order."""
    events = make(choose(st.integers(0, 10_000)), choose(st.integers(1, 60)))
    for _ in range(choose(st.integers(0, 10))):
        place = choose(st.integers(0, len(events) - 1))
        events.insert(choose(st.integers(0, len(events) - 1)), events.pop(place))
    return events
