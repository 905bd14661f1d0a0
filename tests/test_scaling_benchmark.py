"""The scaling benchmark scores what it says, on data that need no download."""

import doctest
import math

import numpy as np
import pytest
from benchmarks import scaling
from benchmarks.scaling import Point, landed, of_last_hour, over_at, reactive
from benchmarks.two_weeks import Series

STEADY = Series("steady", np.array([10.0, 10.0, 20.0, 10.0, 10.0, 10.0]), 2)


def test_its_documentation_is_true() -> None:
    assert doctest.testmod(scaling).failed == 0


def test_capacity_serves_the_row_that_comes_the_delay_later() -> None:
    capacity = np.array([10.0, 12.0, 30.0, 10.0, 10.0, 99.0])
    point = landed(STEADY, capacity, 1)
    assert (point.unserved, point.over) == (8.0 / 50.0, 20.0 / 50.0)
    assert landed(STEADY, capacity, 2).unserved == 10.0 / 50.0


def test_the_hour_rule_remembers_six_rows() -> None:
    series = Series("one peak", np.array([1.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), 0)
    assert of_last_hour(series, 2.0).tolist() == [2.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 2.0]


def test_the_reactive_rule_leaves_what_is_within_a_tenth() -> None:
    series = Series("small steps", np.array([100.0, 109.0, 115.0, 104.0]), 0)
    assert reactive(series, 1.0).tolist() == [100.0, 100.0, 115.0, 115.0]


def test_beyond_a_curve_nothing_is_said() -> None:
    assert math.isnan(over_at((Point(0.04, 0.05, 0.0), Point(0.01, 0.15, 0.0)), 0.05))


def test_the_tables_have_a_row_per_rule_and_per_target(capsys: pytest.CaptureFixture[str]) -> None:
    short = [Series(one.name, one.rows[:200], 150) for one in scaling.shapes()[:2]]
    (result,) = scaling.report("short", short, "light", (1,))
    assert [row["policy"] for row in result["equal"]] == ["pointsman", *scaling.RULES]
    assert [row["policy"] for row in result["landings"]] == ["target 0.5 %", "target 1 %", "target 2 %", "target 4 %"]
    assert "where it lands by itself" in capsys.readouterr().out
