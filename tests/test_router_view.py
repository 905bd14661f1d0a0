"""A router's view decides exactly as the core, whatever order and however often its events arrive in."""

import random

import pytest
from events import START, completed, started, stream

from pointsman.models.context import Context
from pointsman.schemas import AnyInput, OptimizationConfig, Track, encode
from pointsman.sinks.router_view import View
from pointsman.streams.core import Core

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))


def folded() -> tuple[Core, list[bytes]]:
    core = Core(CONFIG)
    return core, [encode(output) for event in stream(41, 200) for output in core.step(event)]


def test_it_decides_as_the_core() -> None:
    core, lines = folded()
    view = View(clock=lambda: START)
    for line in lines:
        view.add(line)
    for number in range(300):
        routed = view.decide("chat", request_id=f"r{number}", input_tokens=number, category="code")
        decision = core.decide("chat", Context(number, None, "code"), f"r{number}")
        assert (routed.track, routed.propensity, routed.policy_version) == (decision.track, decision.propensity, decision.policy_version)
        assert routed.timeout_ms is not None and not routed.stale


def test_order_and_repeats_change_nothing() -> None:
    _, lines = folded()
    view, shuffled = View(clock=lambda: START), View(clock=lambda: START)
    mixed = lines * 2
    random.Random(1).shuffle(mixed)
    for line in lines:
        view.add(line)
    for line in mixed:
        shuffled.add(line)
    assert [view.decide("chat", request_id=str(n)) for n in range(50)] == [shuffled.decide("chat", request_id=str(n)) for n in range(50)]


def test_an_expired_policy_is_still_followed_and_called_stale() -> None:
    _, lines = folded()
    view = View(clock=lambda: START + 1e6)
    for line in lines:
        view.add(line)
    assert view.decide("chat", request_id="r1").stale


def test_without_a_policy_the_default_track_is_taken() -> None:
    assert View("api").decide("chat", request_id="r1").track == "api"
    with pytest.raises(LookupError, match="default track"):
        View().decide("chat", request_id="r1")


def test_a_recommendation_for_one_request_is_kept() -> None:
    _, lines = folded()
    view = View()
    for line in lines:
        view.add(line)
    assert view.recommendation("chat", "no such request") is None
    view.add(b"garbage")
    assert view.scopes() == ["chat", "mail"]


def test_a_policy_of_another_version_leaves_the_last_one_in_force() -> None:
    core, lines = folded()
    view = View(clock=lambda: START)
    for line in lines:
        view.add(line)
    before = view.decide("chat", request_id="r1")
    policy = core.scope("chat").policy
    assert policy is not None
    view.add(encode(policy.model_copy(update={"version": policy.version + 1, "features": "another/1"})))
    assert view.decide("chat", request_id="r1") == before


def test_a_busy_local_track_is_left_at_once_by_a_router_that_counts() -> None:
    core = Core(OptimizationConfig(strategy="latency", tracks=(Track(name="local"), Track(name="api"))))
    view = View(clock=lambda: START)
    events: list[AnyInput] = []
    for n in range(60):
        ahead = n % 6
        events += [started(f"r{n}-{k}", 20.0 * n, "local", input_tokens=100) for k in range(ahead + 1)]
        events += [completed(f"r{n}-{k}", 20.0 * n + 0.3 * (ahead + 1), "local", 300.0 * (ahead + 1), output_tokens=50) for k in range(ahead + 1)]
        events += [started(f"a{n}", 20.0 * n + 5.0, "api", input_tokens=100), completed(f"a{n}", 20.0 * n + 6.0, "api", 1000.0, output_tokens=50)]
    for event in events:
        for output in core.step(event):
            view.add(encode(output))
    calm = [view.decide("chat", request_id=f"q{n}", input_tokens=100, in_flight={"local": 0}).track for n in range(50)]
    busy = [view.decide("chat", request_id=f"q{n}", input_tokens=100, in_flight={"local": 9}).track for n in range(50)]
    assert calm.count("local") > 45 and busy.count("api") > 45
