"""A stream with everything in it that the signals of a scope hear of: stages, traces, clients, hosts, objectives, faults, deployments, and what people say."""

import random
from typing import Any

from events import START

from pointsman.schemas import (
    AlertAcknowledged,
    AlertSilenced,
    AnyInput,
    ConfigChanged,
    Constraints,
    IncidentAnnotated,
    MaintenanceScheduled,
    Objective,
    OptimizationConfig,
    QualityAssessed,
    RequestCompleted,
    RequestStarted,
    ResourceSampled,
    Signals,
    Tick,
    Track,
)

TRACKS = (Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6))
OBJECTIVES = (
    Objective(metric="latency_ms", bound=1500.0, share=0.95, window="1h", track="api"),
    Objective(metric="success", bound=1.0, share=0.99, window="1d"),
    Objective(metric="quality_score", bound=0.6, share=0.9, window="1d", category="code"),
)
CONFIG = OptimizationConfig(
    learners="light",
    tracks=TRACKS,
    objectives=OBJECTIVES,
    constraints=Constraints(max_latency_ms=6000.0, max_concurrent=64),
    signals=Signals(false_alarms_per_month=30.0, resolve_s=60.0, bottleneck_s=200.0, calls=(("local", "api"),)),
)
SLOW, FAILING = (250.0, 330.0), (480.0, 530.0)  # in these seconds `api` is slow, or fails
CLIENTS = ("ana", "bo", "cy", "di")


def signalled(seed: int = 1, seconds: float = 640.0, scope: str = "chat") -> list[AnyInput]:
    """So many seconds of it, with a few repeats and late arrivals; every event is of one scope."""
    draw = random.Random(f"{seed}/{scope}")
    events = [*_requests(draw, seconds), *_samples(draw, seconds), *_said(seconds)]
    rows = [event.model_copy(update={"scope": scope, "event_id": f"{scope}/{event.event_id}"}) for event in events]
    rows.sort(key=lambda event: event.occurred_at)
    for place in range(7, len(rows), 97):
        rows.insert(place + draw.randrange(5), rows[place])
        rows.insert(place, rows.pop(place - draw.randrange(5)))
    return rows


def _requests(draw: random.Random, seconds: float) -> list[AnyInput]:
    events: list[AnyInput] = []
    at, number = 0.0, 0
    while at < seconds:
        at += draw.expovariate(1.0)
        number += 1
        track = draw.choice(("local", "api"))
        events += _request(draw, f"r{number}", at, track)
        if number % 5 == 0:  # an agent that asks another track within its own request
            events += _request(draw, f"a{number}", at + 0.05, "api" if track == "local" else "local", f"00-{number:032x}-{number:016x}-01", 0.3)
            events += _request(draw, f"p{number}", at, track, f"00-{number:032x}-{number + 1:016x}-01", 4.0)
    return events


def _request(draw: random.Random, name: str, at: float, track: str, traceparent: str | None = None, factor: float = 1.0) -> list[AnyInput]:
    tokens, asked = draw.randrange(20, 400), draw.randrange(10, 2000)
    waited, first = draw.expovariate(1.0 / 40.0), 0.05 * asked
    is_slow, is_failing = track == "api" and SLOW[0] <= at < SLOW[1], track == "api" and FAILING[0] <= at < FAILING[1]
    factor *= draw.lognormvariate(0.0, 0.1) * (5.0 if is_slow else 1.0)
    stages = {"queue": waited, "prefill": first, "decode": factor * (200.0 + 2.0 * tokens)}
    latency, success = sum(stages.values()), not (is_failing and draw.random() < 0.6) and draw.random() > 0.01
    attributes = {"client": draw.choice(CLIENTS), "version": "v2" if at > FAILING[0] - 5.0 and track == "api" else "v1", "images": draw.randrange(3)}
    category = draw.choice(("code", "mail"))
    common: dict[str, Any] = {"scope": "-", "request_id": name}
    events: list[AnyInput] = [
        RequestStarted(
            event_id=f"{name}s",
            occurred_at=START + at,
            track=None if draw.random() < 0.05 else track,
            category=category,
            input_tokens=asked,
            attributes=attributes,
            traceparent=traceparent,
            **common,
        )
    ]
    if draw.random() > 0.01:
        events.append(
            RequestCompleted(
                event_id=f"{name}c",
                occurred_at=START + at + latency / 1000.0,
                track=track,
                success=success,
                failure_class=None if success else draw.choice(("provider", "timeout")),
                latency_ms=latency,
                ttft_ms=waited + first,
                output_tokens=tokens,
                cost_usd=2e-6 * tokens,
                stages=stages,
                **common,
            )
        )
    if draw.random() < 0.4:
        score = min(max(draw.gauss(0.8, 0.1), 0.0), 1.0)
        events.append(QualityAssessed(event_id=f"{name}q", occurred_at=START + at + draw.choice((10.0, 60.0)), track=track, score=score, **common))
    return events


def _samples(draw: random.Random, seconds: float) -> list[AnyInput]:
    """A host every five seconds; from the failures on a gauge is stuck, and at the end the host is silent."""
    events: list[AnyInput] = []
    for number in range(int(min(seconds, 560.0) / 5.0)):
        at = 5.0 * number
        gauges: dict[str, float] = {"pending": float(draw.randrange(4)), "running": 7.0 if at > FAILING[0] else float(draw.randrange(3, 20))}
        given: dict[str, Any] = {"cpu_percent": draw.uniform(30.0, 60.0), "temperature_c": draw.gauss(60.0, 1.0), "throttled": SLOW[0] <= at < SLOW[1]}
        events.append(ResourceSampled(event_id=f"h{number}", scope="-", occurred_at=START + at, host="gpu", gauges=gauges, **given))
    return events


def _said(seconds: float) -> list[AnyInput]:
    """What people say while it goes on, and some ticks."""

    def by(name: str, at: float) -> dict[str, Any]:
        return {"event_id": name, "scope": "-", "occurred_at": START + at, "by": "ana"}

    changed = CONFIG.model_copy(update={"objectives": OBJECTIVES[1:]})
    events: list[AnyInput] = [
        MaintenanceScheduled(**by("m1", 200.0), start=START + 205.0, end=START + 220.0, tracks=("local",), hosts=("gpu",)),
        AlertAcknowledged(**by("a1", 280.0), incident="incident-1"),
        AlertSilenced(**by("s1", 285.0), fingerprint="api/*", until=START + 315.0),
        IncidentAnnotated(**by("n1", 290.0), incident="incident-1", cause="the endpoint", resolution="waited"),
        AlertSilenced(**by("s2", 500.0), kind="slo_burn", until=START + 560.0),
        AlertSilenced(**by("s3", 515.0), kind="slo_burn", until=START + 515.0),
        ConfigChanged(event_id="c1", scope="-", occurred_at=START + 440.0, config=changed),
    ]
    ticks = [Tick(event_id=f"t{number}", scope="-", occurred_at=START + 50.0 * number) for number in range(int(seconds / 50.0))]
    return [event for event in (*events, *ticks) if event.occurred_at <= START + seconds]


__all__ = ["CONFIG", "signalled"]
