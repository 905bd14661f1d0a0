"""The laws of the core with budgets, sketches, conversations, copies and quality that comes late."""

import random

import pytest
from events import COSTS, START, streams, traffic
from hypothesis import given, settings
from hypothesis import strategies as st
from test_laws import fold, sizes, state

from pointsman.schemas import AnyInput, Budget, ConfigChanged, Forecasts, OptimizationConfig, Origin, PolicyPublished, Track, decode, encode
from pointsman.streams.core import Core

TRACKS = tuple(Track(name=name, cost_per_request_usd=cost) for name, cost in COSTS.items())
CONFIG = OptimizationConfig(strategy="adaptive", tracks=TRACKS, budget=Budget(usd_per_request=0.003, usd_per_hour=2.0, usd_per_day=30.0))
HARD = CONFIG.model_copy(update={"budget": Budget(usd_per_hour=0.05, hard=True)})
MANY = st.builds(traffic, st.integers(0, 10_000), st.integers(60, 150)) | streams(traffic)


@settings(deadline=None, max_examples=8)
@given(MANY, st.sampled_from((CONFIG, HARD)))
def test_the_same_journal_gives_the_same_bytes(events: list[AnyInput], config: OptimizationConfig) -> None:
    assert fold(Core(config), events) == fold(Core(config), [decode(encode(event)) for event in events])


@settings(deadline=None, max_examples=20)
@given(MANY, st.floats(0, 1), st.sampled_from((CONFIG, HARD)))
def test_a_snapshot_and_the_tail_equal_the_whole(events: list[AnyInput], share: float, config: OptimizationConfig) -> None:
    cut = int(share * len(events))
    whole, first, second = Core(config), Core(config), Core(config)
    head = fold(first, events[:cut])
    for scope in first.scopes():
        assert second.restore(scope, first.snapshot(scope))
    assert head + fold(second, events[cut:]) == fold(whole, events)
    assert state(second) == state(whole)


@pytest.mark.parametrize("name", ["tracks", "budget", "strategy"])
def test_a_snapshot_and_the_tail_equal_the_whole_behind_a_changed_configuration(name: str) -> None:
    changed = {"tracks": (*TRACKS[1:], Track(name="new")), "budget": Budget(usd_per_day=5.0), "strategy": "cost"}[name]
    config = CONFIG.model_copy(update={name: changed})
    events = traffic(5, 200)
    events.insert(250, ConfigChanged(event_id="config", scope="chat", occurred_at=events[250].occurred_at, config=config))
    whole = Core(CONFIG)
    expected = fold(whole, events)
    for cut in (249, 251, 300):
        first, second = Core(CONFIG), Core(CONFIG)
        head = fold(first, events[:cut])
        assert second.restore("chat", first.snapshot("chat"))
        assert head + fold(second, events[cut:]) == expected
        assert state(second) == state(whole)


@settings(deadline=None, max_examples=8)
@given(streams(traffic), st.integers(0, 2**32))
def test_events_that_come_again_change_nothing(events: list[AnyInput], seed: int) -> None:
    again = [event for number, event in enumerate(events) for event in [event] * (1 + (seed >> number % 32 & 1))]
    assert fold(Core(CONFIG), again) == fold(Core(CONFIG), events)


def test_what_an_intake_forwards_again_after_a_crash_changes_nothing() -> None:
    events = [event.model_copy(update={"origin": Origin(topic="events", partition=0, offset=number)}) for number, event in enumerate(traffic(3, 150))]
    assert fold(Core(CONFIG), events[:300] + events[150:300] + events[300:]) == fold(Core(CONFIG), events)


def test_a_scope_does_not_show_in_another() -> None:
    events = traffic(5, 150)
    other = [event.model_copy(update={"scope": "mail", "event_id": f"m{event.event_id}"}) for event in traffic(6, 150)]
    together = sorted(events + other, key=lambda event: event.occurred_at)
    core = Core(CONFIG)
    seen = b"".join(encode(output) + b"\n" for event in together for output in core.step(event) if output.scope == "chat")
    assert seen == fold(Core(CONFIG), events)


def test_what_routing_keeps_of_five_tracks_stays_within_its_bounds() -> None:
    core = Core(CONFIG.model_copy(update={"tracks": (*TRACKS, Track(name="d"), Track(name="e")), "learners": "light", "forecasts": Forecasts(enabled=False)}))
    draw = random.Random(1)
    events: list[AnyInput] = []
    for event in traffic(7, 2600):
        turned = {"conversation_id": f"c{draw.randrange(10_000)}"} if event.type == "request.started/1" else {}
        events.append(event.model_copy(update=turned))
    half, end = sizes(core, events)
    assert end < 1.2 * half
    assert max(map(len, core.snapshot("chat").values())) < 256_000


def test_policies_are_numbered_without_gaps_and_hold_finite_numbers_only() -> None:
    core = Core(HARD)
    policies = [output for event in traffic(8, 200) for output in core.step(event) if isinstance(output, PolicyPublished)]
    assert [policy.version for policy in policies] == list(range(1, len(policies) + 1))
    for policy in policies:
        assert PolicyPublished.model_validate_json(encode(policy)) == policy
        assert policy.expires_at > policy.occurred_at >= START
