"""Cooldown, ejection, probing and failing open."""

import doctest
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models import health as module
from pointsman.models.health import BUCKETS, Health

TRACKS = ("a", "b", "c")


def fail(health: Health, track: str, now: float, times: int, **fields: Any) -> None:
    """So many failures at one moment."""
    for _ in range(times):
        health.observe(track, now, success=False, **fields)


def test_the_documentation_is_true() -> None:
    assert doctest.testmod(module).failed == 0


def test_three_failures_are_allowed_and_the_fourth_in_a_row_cools() -> None:
    health = Health(TRACKS)
    fail(health, "a", 1.0, 3)
    assert health.state("a", 1.0) == "healthy"
    fail(health, "a", 1.0, 1, failure_class="timeout")
    assert (health.state("a", 1.0), health.share("a", 1.0), health.next_due(1.0)) == ("cooldown", 0.0, 6.0)


def test_half_of_five_requests_within_a_minute_cools() -> None:
    health = Health(TRACKS)
    for now, success in enumerate((True, False, True, False, False)):
        assert health.state("a", now) == "healthy"
        health.observe("a", float(now), success)
    assert health.state("a", 4.0) == "cooldown"


def test_failures_older_than_a_minute_are_forgotten() -> None:
    health = Health(TRACKS)
    for now, success in ((0.0, False), (1.0, True), (2.0, False), (3.0, True), (64.0, False)):
        health.observe("a", now, success)
    assert health.state("a", 64.0) == "healthy"


def test_too_many_requests_cools_at_once_and_a_number_that_contains_429_does_not() -> None:
    health = Health(TRACKS)
    fail(health, "a", 0.0, 1, error_type="RateLimitError")
    fail(health, "b", 0.0, 1, error_type="error 14290")
    assert (health.state("a", 0.0), health.state("b", 0.0)) == ("cooldown", "healthy")


def test_ejections_grow_to_five_minutes_and_are_forgotten_in_health() -> None:
    health, now, lengths = Health(TRACKS), 0.0, []
    fail(health, "a", now, 4)
    for _ in range(12):
        now = health.next_due(now) or now
        fail(health, "a", now, 1)
        lengths.append((health.next_due(now) or now) - now)
    assert lengths == [30.0, 60.0, 90.0, 120.0, 150.0, 180.0, 210.0, 240.0, 270.0, 300.0, 300.0, 300.0]
    now = health.next_due(now) or now
    for _ in range(6):
        health.observe("a", now, success=True)
    fail(health, "a", now + 95.0, 4)
    fail(health, "a", now + 100.0, 1)
    assert health.next_due(now + 100.0) == now + 100.0 + 300.0 - 2 * 30.0


def test_traffic_comes_back_in_steps_and_falls_back_at_a_failure() -> None:
    health = Health(TRACKS)
    fail(health, "a", 0.0, 4)
    seen = [health.share("a", 5.0)]
    for _ in range(3):
        health.observe("a", 6.0, success=True)
        seen.append(health.share("a", 6.0))
    fail(health, "a", 7.0, 1)
    assert [*seen, health.share("a", 7.0), health.state("a", 7.0)] == [0.05, 0.05, 0.05, 0.25, 0.0, "ejected"]


def test_what_started_before_the_cooldown_is_no_probe() -> None:
    health = Health(TRACKS)
    fail(health, "a", 10.0, 4)
    health.observe("a", 16.0, success=False, failure_class="timeout", started_at=9.0)
    assert health.state("a", 16.0) == "probing"


def test_one_of_ten_may_be_ejected_and_the_next_is_cooled() -> None:
    health = Health([str(number) for number in range(10)])
    for name in "01":
        fail(health, name, 0.0, 4)
        fail(health, name, 5.0, 1)
    assert [health.state(name, 5.0) for name in "01"] == ["ejected", "cooldown"]


def test_a_success_rate_far_below_the_others_is_ejected() -> None:
    health = Health([str(number) for number in range(5)])
    for place in range(100):
        for number in range(5):
            health.observe(str(number), place / 10.0, success=number != 4 or place % 4 != 0)
    health.observe("0", 10.0, success=True)
    assert [health.state(str(number), 10.0) for number in range(5)] == ["healthy"] * 4 + ["ejected"]


def test_everything_failing_at_once_takes_out_nobody() -> None:
    health = Health(TRACKS)
    for name in TRACKS:
        fail(health, name, 1.0, 4)
    assert health.shares(1.0) == {"a": 1.0, "b": 1.0, "c": 1.0}
    for name in TRACKS:
        fail(health, name, 2.0, 50, error_type="429")
    assert health.shares(2.0) == {"a": 1.0, "b": 1.0, "c": 1.0}


def test_the_last_healthy_track_is_not_cooled_by_one_refusal_and_an_ejected_one_stays_out() -> None:
    health = Health(["a", "b"])
    fail(health, "a", 0.0, 4)
    fail(health, "a", 5.0, 1)
    fail(health, "b", 6.0, 1, error_type="429")
    assert health.shares(6.0) == {"a": 0.0, "b": 1.0}


def test_tracks_that_go_leave_a_healthy_one() -> None:
    health = Health(TRACKS)
    fail(health, "a", 0.0, 4)
    health.keep(["a"])
    assert health.state("a", 1.0) == "healthy"


outcomes = st.lists(
    st.tuples(
        st.sampled_from(TRACKS),
        st.floats(0, 40),
        st.booleans(),
        st.sampled_from(["provider", "timeout", "client", "cancelled", "unknown", None]),
        st.sampled_from(["429", "500", None]),
    ),
    max_size=120,
)


def run(health: Health, rows: list[Any], now: float = 0.0) -> float:
    """Observe rows whose second column is the time since the one before."""
    for track, gap, *outcome in rows:
        now += gap
        health.observe(track, now, *outcome)
    return now


@settings(deadline=None, max_examples=100)
@given(outcomes)
def test_at_least_one_track_has_all_of_its_traffic_and_state_is_bounded(rows: list[Any]) -> None:
    health, now = Health(TRACKS), 0.0
    for track, gap, *outcome in rows:
        now += gap
        health.observe(track, now, *outcome)
        assert max(health.shares(now).values()) == 1.0
        assert sum(health.state(name, now) == "ejected" for name in TRACKS) <= 1
    assert all(len(row[-1]) <= BUCKETS for row in health.snapshot()["tracks"].values())


@settings(deadline=None, max_examples=100)
@given(outcomes, st.floats(0, 1))
def test_a_snapshot_at_any_point_continues_as_if_nothing_had_happened(rows: list[Any], share: float) -> None:
    cut = int(share * len(rows))
    whole, first = Health(TRACKS), Health(TRACKS)
    now = run(first, rows[:cut])
    second = Health.restore(json.loads(json.dumps(first.snapshot(), allow_nan=False)))
    run(second, rows[cut:], now)
    run(whole, rows)
    assert second.snapshot() == whole.snapshot()


@settings(deadline=None, max_examples=100)
@given(outcomes, st.sampled_from(["client", "cancelled"]))
def test_what_clients_did_changes_nothing(rows: list[Any], blame: str) -> None:
    health = Health(TRACKS)
    now = run(health, rows)
    before = health.snapshot()
    fail(health, "a", now + 1.0, 9, failure_class=blame, error_type="429")
    assert health.snapshot() == before
