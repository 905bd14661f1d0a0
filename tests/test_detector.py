"""The detector of a series: what it sees, what it leaves alone, and what it must not depend on."""

import json
import math
import random
import tracemalloc
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import checks, datasets

from pointsman.models.detector import HALF, SeriesDetector
from pointsman.models.detector_river import Detector
from pointsman.models.false_alarms import level
from pointsman.models.surprise import Surprise

STEP_S = 300.0


def day(row: int, dice: random.Random) -> float:
    """A value with a daily season and noise."""
    return 50.0 + 20.0 * math.sin(2.0 * math.pi * row * STEP_S / 86_400.0) + dice.gauss(0.0, 1.0)


def lived(rows: int = 4000, seed: int = 1) -> tuple[SeriesDetector, random.Random]:
    """A detector that knows two weeks of a daily season."""
    detector, dice = SeriesDetector(), random.Random(seed)
    for row in range(rows):
        detector.learn(row * STEP_S, day(row, dice))
    return detector, dice


@pytest.mark.parametrize(
    ("fault", "rows"),
    [
        (lambda row, value: value + 30.0 * (row == 0), 1),
        (lambda row, value: value + 6.0, 20),
        (lambda row, value: value + 0.4 * row, 60),
        (lambda row, value: 50.0 + 4.0 * (value - 50.0), 300),
        (lambda row, value: 63.0, 40),
    ],
    ids=["spike", "shift", "drift", "amplitude", "stuck"],
)
def test_a_fault_is_told(fault: object, rows: int) -> None:
    detector, dice = lived()
    scores = [detector.step((4000 + row) * STEP_S, fault(row, day(4000 + row, dice))).score for row in range(rows)]  # type: ignore[operator]
    assert max(scores) > 0.5


def test_a_gap_is_told_at_the_row_that_ends_it_and_a_missing_row_is_not() -> None:
    detector, dice = lived()
    assert detector.score(4001 * STEP_S, day(4001, dice)).score < 0.5
    late = detector.score(4288 * STEP_S, day(4288, dice))
    assert late.kind == "gap" and late.score > 0.5


def test_a_quiet_series_is_left_alone() -> None:
    detector, dice = lived()
    scores = [detector.step((4000 + row) * STEP_S, day(4000 + row, dice)).score for row in range(2000)]
    assert sum(score > 0.5 for score in scores) <= 6


def test_the_first_rows_are_no_surprise() -> None:
    detector, dice = SeriesDetector(), random.Random(3)
    assert {detector.step(row * STEP_S, dice.expovariate(1.0)).score for row in range(100)} == {0.0}


def test_an_anomaly_is_told_once() -> None:
    detector, dice = lived()
    scores = [detector.step((4000 + row) * STEP_S, day(4000 + row, dice) + 200.0).score for row in range(80)]
    assert sum(score > 0.5 for score in scores) == 1


def test_the_band_holds_nine_values_in_ten() -> None:
    detector, dice = lived()
    held = 0
    for row in range(2000):
        value = day(4000 + row, dice)
        found = detector.step((4000 + row) * STEP_S, value)
        held += found.lower <= value <= found.upper
    assert 1740 <= held <= 1860


@pytest.mark.parametrize("scale", [1e-12, 3.7, 1e12, 1e290])
def test_scale_and_shift_in_time_change_nothing(scale: float) -> None:
    plain, moved, dice = SeriesDetector(), SeriesDetector(), random.Random(5)
    for row in range(1500):
        value = day(row, dice) + 100.0 * (row == 1200)
        first, second = plain.step(row * STEP_S, value), moved.step(row * STEP_S + 1_234_567.0, value * scale)
        assert second.score == pytest.approx(first.score, abs=1e-3)


def test_a_restored_detector_goes_on_with_the_same_digits() -> None:
    detector, dice = lived(1500)
    other = SeriesDetector.restore(json.loads(json.dumps(detector.snapshot())))
    for row in range(700):
        value = day(1500 + row, dice)
        assert detector.step((1500 + row) * STEP_S, value) == other.step((1500 + row) * STEP_S, value)


def test_scoring_changes_nothing() -> None:
    asked, dice = lived(1000)
    plain, _ = lived(1000)
    for row in range(50):
        asked.score(1e9, 1e9 * dice.random())
        value = float(row)
        assert asked.step((1000 + row) * STEP_S, value) == plain.step((1000 + row) * STEP_S, value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e10), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=300))
def test_whatever_comes_in_whatever_order_the_score_is_within_0_and_1(rows: list[tuple[float, float]]) -> None:
    detector = SeriesDetector()
    for at, value in rows:
        found = detector.step(at, value)
        assert 0.0 <= found.score < 1.0 and math.isfinite(found.surprise)


def test_a_series_takes_at_most_32_kilobytes_in_memory_and_saved() -> None:
    saved = [len(json.dumps(lived(rows)[0].snapshot())) for rows in (4000, 13_000)]
    tracemalloc.start()
    detector = lived(7000)[0]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert max(*saved, held) < 32_000, detector


def test_the_level_follows_the_false_alarms_asked_for() -> None:
    levels = [level(per_month, STEP_S) for per_month in (30.0, 8.0, 3.0, 1.0, 0.3, 0.01)]
    assert levels == sorted(levels) and levels[1] == pytest.approx(HALF, abs=0.05)
    assert level(8.0, 60.0) > level(8.0, 300.0)


def test_ties_count_as_at_least_as_large() -> None:
    surprise = Surprise()
    for _ in range(5000):
        surprise.learn(7.0)
    assert surprise.say(7.0) < 0.01 < 2.5 < surprise.say(8.0)


@pytest.mark.parametrize("check", [*checks.yield_checks(Detector())], ids=lambda check: str(check.__name__))
def test_river_s_own_checks_pass(check: Any) -> None:
    """On a data set that comes with river: its own for anomalies is downloaded."""
    if isinstance(check, partial):
        check.func(Detector(feature="age_of_domain"), datasets.Phishing())
    else:
        check(Detector(feature="age_of_domain"))
