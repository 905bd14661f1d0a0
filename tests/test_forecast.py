"""The series forecaster: no look-ahead, scale-free, bounded, and the same after a restart."""

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import checks

from pointsman.models.forecast import Form, RowForecast, SeriesForecaster
from pointsman.models.forecast_neighbours import Neighbours
from pointsman.models.forecast_river import EnsembleForecaster
from pointsman.models.forecast_windows import SortedWindows

FORMS: tuple[Form, ...] = ("full", "light")
DAY = 12
HORIZONS = (1, 3, 14)
rows = st.lists(st.one_of(st.none(), st.floats(0.0, 1e6), st.integers(0, 3).map(float)), min_size=4, max_size=30)


def forecaster(form: Form = "full", levels: tuple[float, ...] = (0.05, 0.95)) -> SeriesForecaster:
    """A day of 12 rows: a week is short."""
    return SeriesForecaster(HORIZONS, DAY, form, levels)


def days(count: int, seed: int = 0, day: int = DAY) -> list[float]:
    """A daily season with noise."""
    dice = random.Random(seed)
    return [20.0 + 10.0 * math.sin(2.0 * math.pi * row / day) + dice.gauss(0.0, 1.0) for row in range(count * day)]


def after(values: list[float | None], form: Form = "full") -> list[tuple[RowForecast, ...]]:
    """What was said after each row."""
    one, said = forecaster(form), []
    for value in values:
        one.learn_one(value)
        said.append(one.forecast())
    return said


@settings(max_examples=8, deadline=None)
@given(rows, st.integers(1, 25), st.floats(0.0, 1e6))
def test_later_rows_change_no_earlier_forecast(values: list[float | None], place: int, other: float) -> None:
    place = min(place, len(values))
    begin: list[float | None] = [*days(4)]
    changed = values[:place] + [other] * (len(values) - place)
    until = len(begin) + place
    assert after(begin + values)[:until] == after(begin + changed)[:until]


@settings(max_examples=8, deadline=None)
@given(rows, st.sampled_from(FORMS), st.integers(0, 40))
def test_a_restored_forecaster_continues_with_the_same_digits(values: list[float | None], form: Form, place: int) -> None:
    whole = forecaster(form)
    for value in [*days(5), *values[:place]]:
        whole.learn_one(value)
    half = SeriesForecaster.restore(json.loads(json.dumps(whole.snapshot())))
    for value in values[place:]:
        assert half.forecast() == whole.forecast()
        whole.learn_one(value)
        half.learn_one(value)
    assert half.forecast() == whole.forecast()
    assert half.snapshot() == whole.snapshot()


@settings(max_examples=8, deadline=None)
@given(rows, st.sampled_from((2.0**-30, 2.0**40)))
def test_a_series_on_another_scale_gets_the_same_forecasts_on_that_scale(values: list[float | None], factor: float) -> None:
    begin: list[float | None] = [*days(3)]
    larger = [None if value is None else value * factor for value in begin + values]
    for one, other in zip(after(begin + values), after(larger), strict=True):
        for found, scaled in zip(one, other, strict=True):
            assert scaled.median == pytest.approx(found.median * factor, rel=1e-6, abs=1e-6 * factor)
            assert scaled.upper == pytest.approx(found.upper * factor, rel=1e-6, abs=1e-6 * factor)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(0.0)), min_size=1, max_size=60), st.sampled_from(FORMS))
def test_whatever_comes_the_bounds_are_finite_and_in_order(values: list[float | None], form: Form) -> None:
    one = forecaster(form, (0.01, 0.3, 0.5, 0.9, 0.998))
    for value in values:
        one.learn_one(value)
        for found in one.forecast():
            assert list(found.quantiles) == sorted(found.quantiles)
            assert found.lower <= found.median <= found.upper
            assert all(map(math.isfinite, found.quantiles))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-12])
def test_a_constant_is_forecast_as_itself(form: Form, value: float) -> None:
    (*_, last) = after([value] * 200, form)
    assert [(found.median, found.lower, found.upper) for found in last] == [pytest.approx((value,) * 3)] * 3


@pytest.mark.parametrize("form", FORMS)
def test_the_first_rows_are_the_last_value_within_generous_bounds(form: Form) -> None:
    said = after([10.0, 11.0, 9.0], form)
    assert [found.median for found in said[0]] == [10.0, 10.0, 10.0]
    assert [found.median for found in said[2]] == [pytest.approx(9.0, abs=0.5)] * 3
    assert all(found.lower < 9.0 < 11.0 < found.upper for row in said for found in row)


def test_before_the_first_row_nothing_is_known() -> None:
    assert [found.median for found in forecaster().forecast()] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("form", FORMS)
def test_a_season_is_found(form: Form) -> None:
    values = days(21)
    said = after([*values], form)
    ours = sum(abs(values[row + 3] - said[row][1].median) for row in range(14 * DAY, 21 * DAY - 3))
    last = sum(abs(values[row + 3] - values[row]) for row in range(14 * DAY, 21 * DAY - 3))
    assert ours < 0.3 * last


@pytest.mark.parametrize("form", FORMS)
def test_nine_rows_in_ten_are_within_the_bounds(form: Form) -> None:
    values = days(40, seed=1)
    said = after([*values], form)
    inside = [said[row - 1][0].lower <= values[row] <= said[row - 1][0].upper for row in range(10 * DAY, 40 * DAY)]
    assert 0.86 <= sum(inside) / len(inside) <= 0.94


def test_on_a_random_walk_it_is_about_as_good_as_the_last_value() -> None:
    dice, values = random.Random(4), [100.0]
    for _ in range(800):
        values.append(values[-1] * math.exp(dice.gauss(0.0, 0.05)))
    said = after([*values], "light")
    ours = sum(abs(values[row + 1] - said[row][0].median) for row in range(100, 800))
    assert ours < 1.06 * sum(abs(values[row + 1] - values[row]) for row in range(100, 800))


def test_a_shift_of_level_is_followed_within_a_day() -> None:
    values = [*days(20), *(3.0 * value for value in days(4, seed=3))]
    said = after([*values], "light")
    late = range(21 * DAY, 24 * DAY - 1)
    assert sum(abs(values[row + 1] - said[row][0].median) for row in late) < 0.12 * sum(values[row + 1] for row in late)


def test_asking_changes_nothing() -> None:
    asked, silent = forecaster(), forecaster()
    for value in days(5):
        asked.learn_one(value)
        assert asked.forecast() == asked.forecast()
        silent.learn_one(value)
    assert asked.snapshot() == silent.snapshot()


def test_an_unknown_row_carries_the_last_value_and_scores_nothing() -> None:
    one = forecaster()
    for value in [*days(6), None, None]:
        one.learn_one(value)
    assert one.state.recent[0] == days(6)[-1]
    assert one.state.scored == 6 * DAY


def test_a_gap_keeps_the_season_in_place() -> None:
    values: list[float | None] = [*days(14, seed=2)]
    values[5 * DAY : 7 * DAY + 5] = [None] * (2 * DAY + 5)
    said = after(values)
    truth = days(14, seed=2)
    errors = [abs(truth[row + 3] - said[row][1].median) for row in range(9 * DAY, 14 * DAY - 3)]
    assert sum(errors) / len(errors) < 3.0


def test_a_faster_series_is_pooled_and_still_answers_after_every_row() -> None:
    one = SeriesForecaster((1, 10), 1440, "light")
    dice = random.Random(0)
    for _ in range(2000):
        one.learn_one(float(dice.randrange(5)))
        assert len(one.forecast()) == 2
    assert one.state.grid.slots == 288
    assert 0.0 <= one.forecast()[1].median <= 4.0


def test_its_size_does_not_grow() -> None:
    one, sizes = forecaster(), []
    for row, value in enumerate(days(40)):
        one.learn_one(value)
        if row >= 22 * DAY and row % DAY == 0:
            sizes.append(len(json.dumps(one.snapshot())))
    assert max(sizes) - min(sizes) < 100


@pytest.mark.parametrize(("form", "most"), [("full", 400_000), ("light", 100_000)])
def test_three_horizons_of_ten_minute_rows_fit(form: Form, most: int) -> None:
    assert len(json.dumps(SeriesForecaster((1, 6, 36), 144, form).snapshot())) < most


@pytest.mark.parametrize(
    ("horizons", "rows_a_day", "levels", "said"),
    [
        ((), 144, (0.5,), "at least one"),
        ((0,), 144, (0.5,), "one row"),
        ((1,), 0, (0.5,), "a day"),
        ((1,), 144, (0.9, 0.1), "in order"),
        ((1,), 1, (1.0,), "in order"),
    ],
)
def test_what_makes_no_sense_is_refused(horizons: tuple[int, ...], rows_a_day: int, levels: tuple[float, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SeriesForecaster(horizons, rows_a_day, "full", levels)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="None for a row"):
        forecaster().learn_one(value)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-50.0, 50.0, width=32), min_size=1, max_size=40))
def test_sorted_windows_hold_the_last_values_in_order(values: list[float]) -> None:
    windows = SortedWindows(2, 1, (4, 9))
    for value in values:
        windows.learn(1, np.array([value]))
    found = windows.quantiles(np.array([[0.0, 1.0], [0.0, 1.0]]))[1, :, 0].tolist()
    assert found == [[min(values[-size:]), max(values[-size:])] for size in (4, 9)]


def test_neighbours_are_asked_once_enough_are_known() -> None:
    near = Neighbours(1, 1, 200)
    for slot in range(150):
        near.store(slot, np.array([float(slot % 2)]))
        near.learn([(0, slot)], slot + 1, [0.0], [float(slot % 2)])
    found = near.nearest(np.array([1.0]), np.array([0.0]))
    assert found is not None and found.medians().tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("check", [*checks.yield_checks(EnsembleForecaster(rows_a_day=4, horizons=(1, 3)))], ids=lambda check: str(check.__name__))
def test_it_is_a_river_forecaster(check: object) -> None:
    check(EnsembleForecaster(rows_a_day=4, horizons=(1, 3)))  # type: ignore[operator]
