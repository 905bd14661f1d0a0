"""The rotating forest: learns, forgets slowly, and goes on from a snapshot as if nothing had happened."""

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.forest import RotatingForest


def _rows(count: int, seed: int) -> list[tuple[list[float], float]]:
    dice = random.Random(seed)
    rows = [[dice.random() for _ in range(3)] for _ in range(count)]
    return [(x, 2.0 * (x[0] > 0.5) + x[1]) for x in rows]


def _error(forest: RotatingForest, rows: list[tuple[list[float], float]]) -> float:
    return sum(abs(forest.predict(x) - y) for x, y in rows) / len(rows)


def test_a_step_and_a_slope_are_learned_within_a_tenth_of_their_range() -> None:
    forest = RotatingForest(3)
    for x, y in _rows(1500, 1):
        forest.learn(x, [y])
    assert _error(forest, _rows(200, 2)) < 0.3


def test_what_changed_is_learned_anew() -> None:
    forest = RotatingForest(3, capacity=256, every=32)
    for x, y in _rows(600, 1):
        forest.learn(x, [y])
    for x, y in _rows(1500, 2):
        forest.learn(x, [-y])
    assert _error(forest, [(x, -y) for x, y in _rows(200, 3)]) < 0.4


def test_a_target_without_weight_is_not_learned() -> None:
    forest = RotatingForest(1, 2)
    for number in range(200):
        forest.learn([float(number % 2)], [1.0, 7.0], [1.0, 0.0])
    assert forest.predict([1.0], 0) == 1.0
    assert forest.predict([1.0], 1) == 0.0


def test_a_target_sees_its_own_columns_only() -> None:
    forest = RotatingForest(2, 2, columns=((0,), (1,)))
    for number in range(200):
        forest.learn([float(number % 2), float(number // 2 % 2)], [float(number % 2)] * 2)
    assert forest.predict([1.0, 0.0], 0) == 1.0
    assert forest.predict([1.0, 0.0], 1) == forest.predict([0.0, 0.0], 1)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 300))
def test_a_snapshot_goes_on_bit_by_bit(cut: int) -> None:
    rows = _rows(400, 4)
    whole, resumed = (RotatingForest(3, capacity=128, every=16) for _ in range(2))
    for x, y in rows[:cut]:
        whole.learn(x, [y])
    resumed.restore(json.loads(json.dumps(whole.snapshot())))
    for forest in (whole, resumed):
        for x, y in rows[cut:]:
            forest.learn(x, [y])
    assert json.dumps(resumed.snapshot()) == json.dumps(whole.snapshot())
