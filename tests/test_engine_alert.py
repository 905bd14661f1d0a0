"""What the core says of an engine's load: beyond what it has lived through it tells, and later takes it back."""

from test_engine import Event, simulated

from pointsman.schemas import AlertRaised, AlertResolved, AnyInput, OptimizationConfig, RequestCompleted, RequestStarted, ResourceSampled, Track
from pointsman.streams.core import Core

CONFIG = OptimizationConfig(learners="full", tracks=(Track(name="gpu", uses_local_resources=True),))


def later(events: list[Event], by: float, name: str) -> list[Event]:
    """The same another time."""
    return [event._replace(at=event.at + by, name=f"{name}/{event.name}") for event in events]


def published(number: int, event: Event) -> AnyInput:
    """As a producer publishes it."""
    common = {"event_id": f"{number}", "scope": "engine", "occurred_at": 1e9 + event.at}
    if event.kind == "sample":
        return ResourceSampled(host="gpu", gauges=event.gauges, **common)
    common |= {"request_id": event.name, "track": "gpu"}
    if event.kind == "start":
        return RequestStarted(input_tokens=event.tokens, **common)
    return RequestCompleted(success=True, latency_ms=1000.0 * event.latency_s, ttft_ms=1000.0 * event.ttft_s, output_tokens=event.tokens, **common)


def test_a_crowd_never_seen_is_told_early_and_taken_back() -> None:
    calm, crowd = simulated(120, per_s=0.2, seed=3), simulated(100, per_s=1.0, seed=4)
    begin = calm[-1].at + 10.0
    again = begin + crowd[-1].at + 10.0
    events = calm + later(crowd, begin, "crowd") + later(calm[:200], again, "again")
    core, told = Core(CONFIG), list[tuple[str, float]]()
    for number, event in enumerate(events):
        for output in core.step(published(number, event)):
            if isinstance(output, AlertRaised | AlertResolved) and output.fingerprint == "gpu/load/unknown":
                told.append((output.type, event.at))
    told = [(kind, at) for kind, at in told if at >= begin]
    assert [kind for kind, _ in told] == ["alert.raised/1", "alert.resolved/1"]
    starts = [event.at + begin for event in crowd if event.kind == "start"]
    assert told[0][1] < starts[len(starts) // 3]
    assert starts[-1] < told[1][1] < again + 60.0
