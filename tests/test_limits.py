"""Limits in the fold: what is configured, found and allocated, as advice and as steering; isolated, replayable, and kept in snapshots."""

import json
from dataclasses import replace
from typing import Any

from events import START, completed, started, stream
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.limits import Limits
from pointsman.schemas import (
    AnyInput,
    CapacityAllocated,
    ConfigChanged,
    EventRejected,
    OptimizationConfig,
    PolicyPublished,
    Track,
    decode,
    encode,
)
from pointsman.sinks.router_view import View
from pointsman.streams import Optimizer
from pointsman.streams.core import Core

CONFIG = OptimizationConfig(tracks=(Track(name="local", max_concurrency=12), Track(name="api")), strategy="latency")


def allocated(at: float, concurrency: int | None, track: str = "local", scope: str = "chat") -> CapacityAllocated:
    return CapacityAllocated(event_id=f"capacity-{at}-{track}", scope=scope, occurred_at=START + at, source="t", track=track, concurrency=concurrency)


def served(count: int, beside: int, latency_ms: float = 1000.0, first: int = 0, track: str = "local", **fields: Any) -> list[AnyInput]:
    """Rounds of `beside` requests that run together."""
    events: list[AnyInput] = []
    for turn in range(first, first + count):
        names = [f"r{turn}-{place}" for place in range(beside)]
        events += [started(name, 10.0 * turn, track, input_tokens=100) for name in names]
        events += [completed(name, 10.0 * turn + latency_ms / 1000.0, track, latency_ms, output_tokens=50, **fields) for name in names]
    return events


def fold(core: Core, events: list[AnyInput]) -> list[bytes]:
    return [encode(output) for event in events for output in core.step(event)]


def advised(core: Core, track: str = "local") -> int | None:
    scope = core.scope("chat")
    context = scope.segment_context("all")
    return next(row.max_concurrency for row in scope.advice(context, scope.decide(context, "r")) if row.track == track)


def test_the_advice_is_the_least_of_what_is_configured_and_allocated() -> None:
    core = Core(CONFIG)
    fold(core, served(1, 1))
    said = [advised(core)]
    for at, share in ((20.0, 5), (21.0, 40), (22.0, None)):
        fold(core, [allocated(at, share)])
        said.append(advised(core))
    assert said == [12, 5, 12, 12]


def test_the_limit_found_is_advised_where_there_is_evidence() -> None:
    core = Core(OptimizationConfig(tracks=(Track(name="api"),)))
    fold(core, served(5, 4, track="api"))
    assert advised(core, "api") is None
    fold(core, served(1, 30, track="api", first=5))
    assert advised(core, "api") == core.scope("chat").limits.adaptive("api") == 28
    refused = completed("late", 101.0, "api", success=False, error_type="429", failure_class="provider")
    fold(core, [started("late", 100.0, "api"), refused])
    assert advised(core, "api") == 25


def test_a_router_sees_an_allocation_in_the_policy_at_once() -> None:
    core = Core(CONFIG)
    fold(core, [event for turn in range(30) for event in served(1, 1 + turn % 6, 400.0 + 100.0 * (turn % 6), first=turn)])
    before = core.scope("chat").policy
    outputs = core.step(allocated(400.0, 3))
    (policy,) = (output for output in outputs if isinstance(output, PolicyPublished))
    limits = [arm.load.limit for published in (before, policy) if published for arm in published.arms if arm.load is not None]
    assert limits == [12.0, 3.0]
    assert not any(isinstance(output, PolicyPublished) for output in core.step(allocated(401.0, 3)))


def test_routers_are_told_at_once_embedded_and_by_events() -> None:
    view = View(clock=lambda: START)
    with Optimizer.open(":memory:", CONFIG, clock=lambda: START + 100.0) as optimizer:
        outputs = optimizer.record_many([*served(2, 1), allocated(20.0, 4)])
        assert optimizer.recommend("chat", request_id="r").max_concurrency == (4 if optimizer.recommend("chat", request_id="r").track == "local" else None)
        assert optimizer.status()["chat"]["tracks"]["local"]["max_concurrency"] == optimizer.status()["chat"]["tracks"]["local"]["allocated"] == 4
    for output in outputs:
        view.add(encode(output))
    found = {(routed.track, routed.max_concurrency) for routed in (view.decide("chat", request_id=str(number)) for number in range(300))}
    assert ("local", 4) in found and ("local", 12) not in found


def test_beyond_its_share_a_scope_leaves_the_track() -> None:
    core, free = Core(CONFIG), Core(CONFIG)
    events = [event for turn in range(40) for event in [*served(1, 1 + turn % 3, 300.0, first=turn), started(f"a{turn}", 10.0 * turn, "api")]]
    events += [completed(f"a{turn}", 10.0 * turn + 2.0, "api", 2000.0) for turn in range(40)]
    events.sort(key=lambda event: event.occurred_at)
    running = [started(f"x{place}", 500.0, "local", input_tokens=100) for place in range(2)]
    for one in (core, free):
        fold(one, events)
    fold(core, [allocated(450.0, 2)])
    chosen = []
    for one in (core, free):
        fold(one, [*running])
        scope = one.scope("chat")
        context = replace(scope.segment_context("all"), running=tuple(scope.running().items()))
        shares = scope.decide(context, "r").propensities
        chosen.append(max(shares, key=lambda name: shares[name]))
    assert chosen == ["api", "local"]


def test_a_share_of_a_track_that_is_not_configured_is_a_dead_letter() -> None:
    (letter,) = Core(CONFIG).step(allocated(0.0, 3, track="gpu"))
    assert isinstance(letter, EventRejected) and letter.reason.code == "unknown_track"


def test_a_share_outlives_a_change_of_configuration_unless_its_track_goes() -> None:
    core = Core(CONFIG)
    fold(core, [*served(1, 1), allocated(20.0, 2)])
    kept = CONFIG.model_copy(update={"tracks": (Track(name="local", max_concurrency=9), Track(name="api"))})
    gone = CONFIG.model_copy(update={"tracks": (Track(name="api"),)})
    found = []
    for at, config in ((30.0, kept), (31.0, gone), (32.0, kept)):
        fold(core, [ConfigChanged(event_id=f"config{at}", scope="chat", occurred_at=START + at, source="t", config=config)])
        found.append(core.scope("chat").limits.get("local"))
    assert found == [2, None, 9]


def test_a_share_does_not_show_in_another_scope() -> None:
    events = stream(17, 150)
    shared = [*events[:100], allocated(0.0, 1, scope="chat").model_copy(update={"occurred_at": events[100].occurred_at}), *events[100:]]
    outputs = [[output for event in given for output in core.step(event) if output.scope == "mail"] for given, core in ((events, Core()), (shared, Core()))]
    assert outputs[0] == outputs[1]


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.floats(0, 1), st.lists(st.tuples(st.integers(0, 199), st.none() | st.integers(0, 9)), max_size=6))
def test_a_snapshot_and_the_tail_equal_the_whole(seed: int, share: float, given_shares: list[tuple[int, int | None]]) -> None:
    events = stream(seed, 100)
    for place, concurrency in given_shares:
        moment = events[min(place, len(events) - 1)].occurred_at - START
        events.insert(place, allocated(moment, concurrency, scope="chat").model_copy(update={"event_id": f"c{place}-{len(events)}"}))
    cut = int(share * len(events))
    whole, first, second = Core(CONFIG), Core(CONFIG), Core(CONFIG)
    head = fold(first, events[:cut])
    for scope in first.scopes():
        assert second.restore(scope, first.snapshot(scope))
    assert head + fold(second, events[cut:]) == fold(whole, [decode(encode(event)) for event in events])
    assert [second.snapshot(scope) for scope in second.scopes()] == [whole.snapshot(scope) for scope in whole.scopes()]


def test_state_goes_through_json() -> None:
    limits = Limits(CONFIG)
    limits.allocate("local", 3)
    again = Limits.restore(json.loads(json.dumps(limits.snapshot())), CONFIG)
    assert again.get("local") == 3 and again.snapshot() == limits.snapshot()
