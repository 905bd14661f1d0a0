"""The trend of a resource: exact lines, changes of course, honest intervals, and the snapshot law; and what forecasts the next minute."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.near import NearForecaster
from pointsman.models.rivals import Rivals
from pointsman.models.trend import Trend, fit

VALUES = st.lists(st.one_of(st.none(), st.floats(0, 1e6)), min_size=1, max_size=200)


def walked(seed: int, count: int, noise: float, drift: float = 0.0) -> list[float]:
    """A random walk with a drift."""
    draw, value, found = random.Random(seed), 1000.0, []
    for _ in range(count):
        value += drift + draw.gauss(0.0, noise)
        found.append(value)
    return found


def learned(values: list[float], every_s: float = 10.0) -> Trend:
    trend = Trend()
    for number, value in enumerate(values):
        trend.learn(every_s * number, value)
    return trend


def test_a_straight_line_goes_on() -> None:
    trend = learned([100.0 - 0.5 * n for n in range(100)])
    found = trend.predict(1500.0)
    assert found is not None
    assert list(found) == pytest.approx([25.0, 25.0, 25.0])
    assert trend.time_to(0.0, now=990.0) == pytest.approx(1010.0)


def test_an_outlier_does_not_turn_the_line() -> None:
    line = fit([(10.0 * n, 5.0 * n + (500.0 if n == 7 else 0.0)) for n in range(20)])
    assert line is not None
    assert line.slope == pytest.approx(0.5)


def test_a_short_window_does_not_speak_of_the_far_future() -> None:
    trend = learned([float(n) for n in range(10)])
    assert trend.predict(150.0) is not None
    assert trend.predict(90.0 + 3600.0) is None


def test_a_leak_that_has_just_begun_is_not_averaged_away() -> None:
    draw = random.Random(1)
    calm = [1000.0 + draw.gauss(0.0, 0.5) for _ in range(300)]
    trend = learned(calm + [1000.0 + 20.0 * n + draw.gauss(0.0, 0.5) for n in range(12)])
    left = trend.time_to(3000.0, now=3110.0)
    assert left is not None
    assert left == pytest.approx((3000.0 - 1220.0) / 2.0, rel=0.1)


def test_a_line_that_moves_away_meets_no_limit() -> None:
    assert learned([float(n) for n in range(50)]).time_to(-10.0, now=490.0) is None


def test_a_step_of_the_sensor_is_not_taken_for_standing_still() -> None:
    trend = Trend(resolution=1.0)
    for number in range(30):
        trend.learn(10.0 * number, 80.0)
    found = trend.predict(290.0 + 1800.0)
    assert found is not None
    assert found[1] < 78.0 < 80.0 < found[2]


def test_after_an_hour_without_a_reading_the_trend_begins_anew() -> None:
    trend = learned([float(n) for n in range(50)])
    trend.learn(8000.0, 10.0)
    assert trend.predict(8060.0) is None


@pytest.mark.parametrize("ahead_s", [600, 3600])
def test_intervals_of_a_random_walk_hold(ahead_s: int) -> None:
    hits = total = 0
    for seed in range(6):
        values, trend = walked(seed, 900, 1.0, drift=0.1), Trend()
        for number, value in enumerate(values[: -ahead_s // 10]):
            if trend.learn(10.0 * number, value) and number % 12 == 0:
                found = trend.predict(10.0 * number + ahead_s)
                if found is not None:
                    hits += found[1] <= values[number + ahead_s // 10] <= found[2]
                    total += 1
    assert total > 100
    assert 0.84 <= hits / total <= 0.96


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.floats(0.1, 300.0), st.floats(0.0, 1e5)), min_size=2, max_size=150), st.floats(0, 1))
def test_a_trend_goes_on_from_its_snapshot_as_if_nothing_had_been(steps: list[tuple[float, float]], share: float) -> None:
    whole, first, now, cut = Trend(1.0), Trend(1.0), 0.0, int(share * len(steps))
    for number, (gap, value) in enumerate(steps):
        if number == cut:
            first = Trend.restore(json.loads(json.dumps(first.snapshot())))
        now += gap
        assert whole.learn(now, value) == first.learn(now, value)
        assert whole.predict(now + 60.0) == first.predict(now + 60.0)


def test_the_next_minute_of_a_regular_job_is_known_by_the_season() -> None:
    near = NearForecaster()
    for minute in range(600):
        near.learn_one(50.0 if minute % 60 < 5 else 1.0)
    assert near.forecast().median == pytest.approx(50.0, rel=0.02)


def test_the_intervals_of_the_next_minute_hold() -> None:
    draw, near, hits = random.Random(2), NearForecaster(), 0
    for number in range(1500):
        value = draw.gauss(100.0, 10.0)
        found = near.forecast()
        hits += number >= 500 and found.lower <= value <= found.upper
        near.learn_one(value)
    assert 0.88 <= hits / 1000 <= 0.92


def test_a_series_a_thousand_times_as_large_has_forecasts_a_thousand_times_as_large() -> None:
    small, large = NearForecaster(), NearForecaster()
    for value in walked(3, 300, 5.0):
        small.learn_one(value)
        large.learn_one(1024.0 * value)
    assert large.forecast().median == pytest.approx(1024.0 * small.forecast().median)
    assert large.forecast().upper == pytest.approx(1024.0 * small.forecast().upper, rel=1e-4)


@settings(deadline=None, max_examples=25)
@given(VALUES, st.floats(0, 1))
def test_the_next_minute_is_forecast_from_a_snapshot_as_if_nothing_had_been(values: list[float | None], share: float) -> None:
    whole, first = NearForecaster(), NearForecaster()
    for number, value in enumerate(values):
        if number == int(share * len(values)):
            first = NearForecaster.restore(json.loads(json.dumps(first.snapshot())))
        whole.learn_one(value)
        first.learn_one(value)
        assert whole.forecast() == first.forecast()


def test_the_first_rival_leads_until_the_second_has_shown_itself() -> None:
    rivals = Rivals(rows=2)
    leaders = []
    for value in range(12):
        rivals.learn(float(value))
        rivals.say(value + 9.0, value + 2.0)
        leaders.append(rivals.leader)
    assert leaders == [0] * 7 + [1] * 5


def test_what_was_said_of_a_row_that_nobody_measured_counts_for_none() -> None:
    rivals = Rivals(rows=1)
    for _ in range(12):
        rivals.learn(None)
        rivals.say(9.0, 0.0)
    assert rivals.leader == 0
    assert Rivals.restore(json.loads(json.dumps(rivals.snapshot()))).snapshot() == rivals.snapshot()
