"""Intervals cover what they say, on still and on drifting streams, in any unit."""

import json
import math
import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.conformal import Band, Conformal, ConformalSettings, _Near  # pyright: ignore[reportPrivateUsage]

LIGHT = ConformalSettings(light=True)
FULL = ConformalSettings()
QUALITY = ConformalSettings(bounds=(0.0, 1.0))
Row = tuple[float, tuple[float, ...], float]


def stream(seed: int, outcomes: int, drift: float = 0.0, unit: float = 1.0) -> list[Row]:
    """(median, near, actual): the noise is wider where `near` is high, and its spread and centre move by `drift`."""
    dice = random.Random(seed)
    rows = list[Row]()
    for number in range(outcomes):
        median, near = dice.lognormvariate(0.0, 1.0), dice.random()
        moved = drift * math.sin(number / 300.0)
        noise = dice.gauss(moved, (0.1 + 0.4 * near) * math.exp(moved))
        rows.append((unit * median, (near,), unit * median * math.exp(noise)))
    return rows


def played(conformal: Conformal, rows: list[Row], delay: int = 0) -> list[Band]:
    """The bands issued, each outcome `delay` requests late."""
    bands, flying = list[Band](), deque[tuple[Band, float]]()
    for median, near, actual in rows:
        bands.append(conformal.issue(median, near, len(flying)))
        flying.append((bands[-1], actual))
        if len(flying) > delay:
            conformal.observe(*flying.popleft())
    return bands


def held(bands: list[Band], rows: list[Row]) -> list[bool]:
    return [band.lower <= row[2] <= band.upper for band, row in zip(bands, rows, strict=True)]


@pytest.mark.parametrize("given", [LIGHT, FULL])
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_nine_in_ten_outcomes_are_covered_overall_and_most_in_any_500(given: ConformalSettings, drift: float) -> None:
    rows = stream(1, 3000, drift)
    inside = held(played(Conformal(given), rows, delay=5), rows)
    assert 0.88 <= sum(inside) / len(inside) <= 0.92
    assert min(sum(inside[start : start + 500]) for start in range(0, 2501, 50)) >= 430


@pytest.mark.parametrize("given", [LIGHT, FULL, QUALITY])
def test_a_snapshot_continues_bit_for_bit(given: ConformalSettings) -> None:
    rows = [(median % 1.0, near, actual % 1.0) for median, near, actual in stream(2, 1500)]
    whole, first = Conformal(given), Conformal(given)
    bands = played(whole, rows)
    played(first, rows[:1200])
    state = json.loads(json.dumps(first.snapshot()))
    second = Conformal.restore(state, given)
    assert second.snapshot() == state
    assert played(second, rows[1200:]) == bands[1200:]
    assert second.snapshot() == whole.snapshot()


def test_a_band_comes_back_from_a_snapshot() -> None:
    band = Conformal(FULL).issue(3.0, (1.0, 2.0))
    assert Band.read(json.loads(json.dumps(band))) == band


@pytest.mark.parametrize("given", [LIGHT, FULL])
@pytest.mark.parametrize("unit", [1e-6, 1e4])
def test_the_unit_makes_no_difference(given: ConformalSettings, unit: float) -> None:
    plain, other = (played(Conformal(given), stream(3, 800, unit=factor)) for factor in (1.0, unit))
    assert [band.lower * unit for band in plain] == pytest.approx([band.lower for band in other], rel=1e-3)
    assert [band.upper * unit for band in plain] == pytest.approx([band.upper for band in other], rel=1e-3)


def test_coverage_counts_the_last_500_exactly() -> None:
    conformal, rows = Conformal(FULL), stream(4, 1300)
    inside = held(played(conformal, rows), rows)
    assert conformal.coverage() == sum(inside[-500:]) / 500
    assert len(conformal) == 1300
    assert Conformal(FULL).coverage() is None


@pytest.mark.parametrize("given", [LIGHT, FULL])
def test_one_sided_quantiles_hold_what_they_say(given: ConformalSettings) -> None:
    conformal, rows = Conformal(given), stream(5, 3000)
    under = 0
    for median, near, actual in rows:
        under += actual <= conformal.quantile(median, 0.95, near)
        conformal.observe(conformal.issue(median, near), actual)
    assert 0.93 <= under / len(rows) <= 0.97


@pytest.mark.parametrize("given", [LIGHT, FULL])
def test_what_never_changes_is_covered(given: ConformalSettings) -> None:
    conformal = Conformal(given)
    for value in (0.0, 7.0 / 3.0):
        for _ in range(50):
            conformal.observe(conformal.issue(value), value)
    assert conformal.coverage() == 1.0


def test_a_young_track_gets_a_wide_interval() -> None:
    assert Conformal(FULL).issue(100.0)[:2] == (25.0, 400.0)
    assert Conformal(QUALITY).issue(0.8)[:2] == (0.5, 1.0)


@pytest.mark.parametrize("given", [LIGHT, FULL])
def test_beyond_what_is_known_the_longer_side_counts_for_both_and_grows(given: ConformalSettings) -> None:
    conformal = Conformal(given)
    for number in range(200):
        conformal.observe(conformal.issue(100.0), 100.0 + number % 45)
    known, unknown = conformal.issue(100.0), conformal.issue(100.0, beyond=math.log(1.5))
    assert known.lower > 95.0
    assert math.sqrt(unknown.upper) - 10.0 == pytest.approx(math.sqrt(1.5) * (math.sqrt(known.upper) - 10.0), rel=1e-4)
    assert 10.0 - math.sqrt(unknown.lower) == pytest.approx(math.sqrt(unknown.upper) - 10.0, rel=1e-4)
    assert unknown.forms == known.forms
    assert conformal.issue(100.0, beyond=5.0)[:2] == conformal.issue(100.0, beyond=math.log(2.0))[:2]


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([LIGHT, FULL, QUALITY]), st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, st.integers(0, 1000)), min_size=30, max_size=60))
def test_nothing_that_comes_makes_an_interval_of_no_number(given: ConformalSettings, rows: list[tuple[float, float, float, int]]) -> None:
    conformal = Conformal(given)
    for median, near, actual, in_flight in rows:
        band = conformal.issue(median, (near,), in_flight)
        assert math.isfinite(band.lower) and math.isfinite(band.upper) and band.lower <= band.upper
        conformal.observe(band, actual)
    json.dumps(conformal.snapshot(), allow_nan=False)


def test_of_outcomes_equally_near_the_first_by_place_speak() -> None:
    near = _Near(ConformalSettings(ring=10, neighbours=4))
    for number in range(10):
        near.learn(float(number), (1.0 if number else 0.0,))
    assert near.around((0.0,)).tolist() == [0.0, 1.0, 2.0, 3.0]


def test_an_interval_goes_beyond_all_residuals_while_too_many_fell_outside() -> None:
    conformal = Conformal(LIGHT)
    for number in range(300):
        conformal.observe(conformal.issue(100.0), 80.0 + 61 * number % 41)
    narrow = conformal.issue(100.0).upper
    for _ in range(8):
        conformal.observe(conformal.issue(100.0), 121.0)
    assert conformal.issue(100.0).upper > 121.0 > narrow
