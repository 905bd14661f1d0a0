"""Latency under a track's own load, learned from its outcomes."""

import doctest
import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models import load as module
from pointsman.models.load import LENGTHS, SLOW_START, Load


def serve(load: Load, now: float, beside: int, tokens: int, latency: float, input_tokens: int = 100) -> None:
    """A request among others, all of which end with it."""
    for _ in range(beside):
        load.start(now)
    area = load.start(now)
    load.learn(now + latency, now, area, input_tokens, tokens)
    for _ in range(beside + 1):
        load.end(now + latency)


def test_the_documentation_is_true() -> None:
    assert doctest.testmod(module).failed == 0


def test_a_young_one_says_nothing_and_starts_slowly() -> None:
    load = Load()
    for _ in range(SLOW_START):
        assert load.is_known()
        load.start(0.0)
    assert load.predict(100) is None and not load.is_known()


def test_who_lived_through_ten_may_try_twice_as_many() -> None:
    load = Load()
    serve(load, 0.0, 9, 100, 1.0)
    for _ in range(20 + SLOW_START):
        load.start(2.0)
    assert load.known == 10.0 and not load.is_known()


def test_failed_and_lost_requests_leave_the_count() -> None:
    load = Load()
    load.start(0.0)
    load.end(1.0)
    load.end(1.0)
    assert load.in_flight == 0


def test_output_length_follows_the_nearest_inputs() -> None:
    load = Load()
    for number in range(20):
        serve(load, 10.0 * number, 0, 100 if number % 2 else 900, 1.0, input_tokens=50 if number % 2 else 2000)
    assert (load.length(60), load.length(1500)) == (100.0, 900.0)


def test_a_server_that_became_slower_is_believed() -> None:
    load = Load()
    for number in range(600):
        serve(load, 100.0 * number, number % 8, 100, (1.0 if number < 200 else 2.0) * (1 + number % 8) / 4.0)
    expected = load.predict(100, 3)
    assert expected is not None and math.isclose(expected, 2.0, rel_tol=0.15)


served = st.lists(st.tuples(st.floats(0, 100), st.integers(0, 30), st.integers(0, 5000), st.floats(0, 1e4), st.integers(0, 100_000)), max_size=60)


@settings(deadline=None, max_examples=50)
@given(served, st.floats(0, 1))
def test_a_snapshot_continues_alike_and_state_is_bounded(rows: list[tuple[float, int, int, float, int]], share: float) -> None:
    cut, now = int(share * len(rows)), 0.0
    whole, part = Load(), Load()
    for place, (gap, beside, tokens, latency, input_tokens) in enumerate(rows):
        if place == cut:
            part = Load.restore(json.loads(json.dumps(part.snapshot(), allow_nan=False)))
        for load in (whole, part):
            serve(load, now, beside, tokens, latency, input_tokens)
        now += gap + latency
    assert part.snapshot() == whole.snapshot()
    assert len(whole.snapshot()["lengths"]) <= LENGTHS
    predicted = [whole.predict(100, in_flight) for in_flight in (0, 10, 100)]
    assert predicted == sorted(predicted, key=lambda value: value or 0.0)
