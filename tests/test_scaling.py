"""Scaling: levels chosen by what they would have left unserved, hold, clamps, replicas and scores."""

import json
import math
from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.forecast import SeriesForecaster
from pointsman.models.scaling import Advice, Scaler, SeriesScaler, lead_rows
from pointsman.models.scaling_account import LEVELS, Accounts
from pointsman.models.scaling_hold import Hold
from pointsman.models.scaling_replicas import Replicas, concurrency
from pointsman.models.scaling_score import Scorer

A_DAY = 144
AMOUNTS = st.floats(min_value=0.0, max_value=1e9, allow_subnormal=False)


class TrailingRatios:
    """The last value times the quantiles of its recent changes: a forecaster simple enough to know what comes out."""

    def __init__(self, lead: int, rows: int = 200) -> None:
        self.lead = lead
        self.values: deque[float] = deque(maxlen=lead + 1)
        self.ratios: deque[float] = deque(maxlen=rows)
        self.quantiles: list[float] = []

    def learn_one(self, value: float | None) -> None:
        self.values.append(self.values[-1] if value is None else value)
        if len(self.values) > self.lead:
            self.ratios.append(self.values[-1] / max(self.values[0], 1e-9))

    def forecast(self) -> tuple["TrailingRatios"]:
        ratios = np.quantile(self.ratios, LEVELS) if self.ratios else np.ones(len(LEVELS))
        self.quantiles = [self.values[-1] * float(ratio) for ratio in ratios]
        return (self,)

    def snapshot(self) -> Any:
        return [list(self.values), list(self.ratios)]


def demand(rows: int, seed: int = 1, spread: float = 0.1) -> list[float]:
    """A load with a day in it and multiplicative noise."""
    dice = np.random.default_rng(seed)
    day = 1.0 + 0.5 * np.sin(2 * np.pi * np.arange(rows) / A_DAY)
    return [float(value) for value in 100.0 * day * np.exp(spread * dice.standard_normal(rows))]


def run(scaler: Scaler, series: list[float], lead: int = 1) -> list[Advice]:
    controller = SeriesScaler(TrailingRatios(lead), scaler)
    return [controller.observe(value) for value in series]


def scored(advice: list[Advice], series: list[float], first: int, target: float = 0.01) -> Scorer:
    scorer = Scorer(A_DAY, target)
    for one, value in list(zip(advice, series, strict=True))[first:]:
        scorer.observe(value, one.present)
    return scorer


def test_a_raise_is_at_once_and_a_lowering_waits_for_the_cooldown() -> None:
    hold = Hold(1, rows=3, hysteresis=0.1)
    assert [float(hold.observe(np.array([one]))[0]) for one in (10.0, 20.0, 5.0, 5.0, 5.0, 5.0, 4.0)] == [10.0, 20.0, 20.0, 20.0, 5.0, 5.0, 5.0]


def test_what_is_within_the_hysteresis_stays() -> None:
    hold = Hold(1, rows=1, hysteresis=0.1)
    assert [float(hold.observe(np.array([one]))[0]) for one in (100.0, 91.0, 90.0, 89.0, 90.0)] == [100.0, 100.0, 100.0, 89.0, 90.0]


def test_after_a_lowering_the_next_waits_as_long() -> None:
    hold = Hold(1, rows=2, hysteresis=0.1)
    assert [float(hold.observe(np.array([one]))[0]) for one in (100.0, 50.0, 50.0, 20.0, 20.0, 20.0)] == [100.0, 100.0, 50.0, 50.0, 20.0, 20.0]


@given(st.integers(9, 40), st.lists(st.floats(1.0, 100.0), min_size=1, max_size=120))
def test_a_long_hold_is_never_below_an_advice_of_its_window(rows: int, advices: list[float]) -> None:
    hold = Hold(1, rows=rows, hysteresis=0.1)
    for place, advice in enumerate(advices):
        assert float(hold.observe(np.array([advice]))[0]) >= max(advices[max(place - rows + 1, 0) : place + 1])


def test_rows_left_says_how_long_nothing_is_lowered() -> None:
    hold = Hold(1, rows=3)
    left = []
    for advice in (10.0, 1.0, 1.0, 1.0, 1.0):
        hold.observe(np.array([advice]))
        left.append(hold.rows_left())
    assert left == [2, 1, 0, 2, 1]


def test_before_evidence_the_level_is_on_the_safe_side() -> None:
    accounts = [Accounts(A_DAY, target) for target in (0.005, 0.01, 0.04)]
    assert [round(one.level(one.choose()), 3) for one in accounts] == [0.964, 0.926, 0.7]


def test_the_level_rises_where_all_below_leave_too_much() -> None:
    accounts = Accounts(A_DAY, 0.01)
    for _ in range(500):
        accounts.learn(100.0, np.where(np.array(LEVELS) < 0.98, 90.0, 120.0))
    assert 0.97 < accounts.level(accounts.choose()) < 0.98


def test_where_no_level_is_enough_the_highest_is_taken() -> None:
    accounts = Accounts(A_DAY, 0.01)
    for _ in range(500):
        accounts.learn(100.0, np.full(len(LEVELS), 50.0))
    assert accounts.level(accounts.choose()) == LEVELS[-1]


def test_one_huge_row_counts_as_two_means_of_the_demand() -> None:
    accounts = Accounts(A_DAY, 0.01)
    for _ in range(100):
        accounts.follow(1.0)
    accounts.learn(1e6, np.zeros(len(LEVELS)))
    assert accounts.shares()[-1] == pytest.approx((2.0 + 7.2 * 0.002) / (1e6 + 60.0))


@pytest.mark.parametrize("lead", [1, 2, 7])
@pytest.mark.parametrize("target", [0.005, 0.01, 0.04])
def test_it_lands_at_the_target(lead: int, target: float) -> None:
    series = demand(14 * A_DAY)
    score = scored(run(Scaler(lead, A_DAY, target), series, lead), series, 7 * A_DAY, target).close()
    assert 0.5 * target <= score.unserved_share <= 1.2 * target


@settings(max_examples=12, deadline=None)
@given(st.floats(0.0, 0.01), st.integers(0, 5))
def test_it_is_safe_on_growth_up_to_fourfold_a_day(a_row: float, seed: int) -> None:
    series = [value * (1.0 + a_row) ** place for place, value in enumerate(demand(3 * A_DAY, seed, 0.05))]
    assert scored(run(Scaler(1, A_DAY, 0.01), series), series, A_DAY).close().is_met


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.one_of(AMOUNTS, st.just(math.nan), st.none()), st.lists(st.one_of(AMOUNTS, st.just(math.inf)), min_size=14, max_size=14))),
    st.floats(0.0, 1e3),
    st.floats(1e3, 1e6),
    st.integers(1, 90),
)
def test_minimum_and_maximum_hold_whatever_comes(rows: list[tuple[float | None, list[float]]], minimum: float, maximum: float, lead: int) -> None:
    scaler = Scaler(lead, A_DAY, minimum=minimum, maximum=maximum)
    assert all(minimum <= scaler.observe(value, quantiles).capacity <= maximum for value, quantiles in rows)


def test_what_the_maximum_makes_impossible_is_not_held_against_a_level() -> None:
    series = demand(600)
    free, capped = run(Scaler(1, A_DAY), series)[-1], run(Scaler(1, A_DAY, maximum=120.0), series)[-1]
    assert capped.level <= free.level and capped.capacity <= 120.0


def test_the_minimum_serves_too_so_that_a_lower_level_does() -> None:
    series = demand(600)
    assert run(Scaler(1, A_DAY, minimum=200.0), series)[-1].level == LEVELS[0]


def test_a_step_that_nobody_knows_changes_no_account() -> None:
    series, scaler = demand(300), Scaler(1, A_DAY)
    controller = SeriesScaler(TrailingRatios(1), scaler)
    advice = [controller.observe(value) for value in series]
    before = scaler.snapshot()[1]
    assert controller.observe(None).level == advice[-1].level and scaler.snapshot()[1] == before


def test_quantiles_that_are_no_numbers_give_the_last_hour_and_a_quarter() -> None:
    scaler = Scaler(1, A_DAY)
    advice = [scaler.observe(value, [math.nan] * len(LEVELS)) for value in (10.0, 40.0, 20.0)]
    assert advice[-1].capacity == 50.0


def test_asked_is_the_largest_until_the_delay_has_passed() -> None:
    scaler = Scaler(3, A_DAY)
    advice = [scaler.observe(10.0, [capacity] * len(LEVELS)) for capacity in (10.0, 30.0, 5.0, 5.0, 5.0)]
    assert [one.asked for one in advice] == [10.0, 30.0, 30.0, 30.0, 5.0]
    assert [one.present for one in advice] == [None, None, None, 10.0, 30.0]
    assert [one.reason for one in advice] == ["raised", "raised", "lowered", "steady", "steady"]


@pytest.mark.parametrize(("lead", "cooldown"), [(1, 1), (2, 6), (100, 30)])
def test_a_snapshot_goes_on_as_if_nothing_had_happened(lead: int, cooldown: int) -> None:
    def fresh() -> Scaler:
        return Scaler(lead, A_DAY, cooldown_rows=cooldown, minimum=10.0, maximum=160.0, quantum=3.0)

    series, whole, half = demand(500), fresh(), fresh()
    forecaster = TrailingRatios(lead)
    outputs = []
    for place, value in enumerate(series):
        forecaster.learn_one(value)
        quantiles = forecaster.forecast()[0].quantiles
        if place == 300:
            state = json.loads(json.dumps(whole.snapshot()))
            half.restore(state)
            assert half.snapshot() == state
        outputs.append((whole.observe(value, quantiles), half.observe(value, quantiles) if place >= 300 else None))
    assert all(one == other for one, other in outputs[300:])
    assert whole.snapshot() == half.snapshot()


def test_forecaster_and_scaler_go_on_together() -> None:
    whole = SeriesScaler(SeriesForecaster((2,), A_DAY, "light", LEVELS), Scaler(2, A_DAY))
    series = [*demand(80), math.nan, 0.0, *demand(40, 2)]
    for value in series[:60]:
        whole.observe(value)
    forecast, scale = json.loads(json.dumps(whole.snapshot()))
    half = SeriesScaler(SeriesForecaster.restore(forecast), Scaler(2, A_DAY))
    half.scaler.restore(scale)
    assert [whole.observe(value) for value in series[60:]] == [half.observe(value) for value in series[60:]]


def test_a_snapshot_is_small_however_long_the_delay() -> None:
    scaler = Scaler(1440, 1440, cooldown_rows=1440)
    assert len(json.dumps(scaler.snapshot())) < 32_000


@settings(max_examples=10, deadline=None)
@given(st.integers(-20, 20), st.integers(0, 3))
def test_the_unit_does_not_matter(power: int, seed: int) -> None:
    series, factor = demand(300, seed), 2.0**power
    plain = run(Scaler(1, A_DAY, minimum=60.0), series)
    scaled = run(Scaler(1, A_DAY, minimum=60.0 * factor), [factor * value for value in series])
    assert [one.capacity * factor for one in plain] == [one.capacity for one in scaled]


def test_nothing_asked_for_needs_nothing() -> None:
    assert [one.capacity for one in run(Scaler(1, A_DAY), [0.0] * 50)] == [0.0] * 50


def test_replicas_are_whole_and_their_rounding_is_used() -> None:
    replicas = Replicas(concurrency_per_replica=40.0, target_utilisation=0.5, minimum=2, maximum=50)
    series = demand(1000)
    advice = run(Scaler.for_replicas(replicas, 1, A_DAY, 0.02), series)
    assert {one.capacity % 20.0 for one in advice} == {0.0}
    assert [replicas.needed(one.capacity) for one in advice] == [round(one.capacity / 20.0) for one in advice]
    assert scored(advice, series, A_DAY, 0.02).close().is_met


@given(st.floats(0.0, 1e12), st.floats(0.01, 100.0), st.floats(0.05, 1.0))
def test_replicas_carry_the_demand_unless_the_maximum_forbids(amount: float, each: float, utilisation: float) -> None:
    replicas = Replicas(each, utilisation, minimum=1, maximum=1000)
    needed = replicas.needed(amount)
    assert 1 <= needed <= 1000
    assert needed == 1000 or needed * replicas.demand_each >= amount * (1 - 1e-6)


def test_replicas_follow_littles_law_and_cost() -> None:
    replicas = Replicas(concurrency_per_replica=8.0, target_utilisation=0.75, usd_per_hour=2.0)
    assert replicas.needed(concurrency(rate_per_s=10.0, service_time_s=3.0)) == 5
    assert replicas.cost(5) == 10.0


def test_the_lead_is_the_delay_in_rows_rounded_up() -> None:
    assert [lead_rows(delay, 600.0) for delay in (0.0, 1.0, 600.0, 600.1, 1200.0)] == [1, 1, 1, 2, 2]
    with pytest.raises(ValueError, match="lead 0"):
        Scaler(0, A_DAY)


def test_a_score_counts_what_was_there_only() -> None:
    scorer = Scorer(A_DAY, 0.05)
    for value, capacity in ((5.0, None), (10.0, 12.0), (10.0, 9.0), (20.0, 22.0)):
        scorer.observe(value, capacity)
    score = scorer.close()
    assert (score.rows, score.unserved_share, score.over_provisioned_share, score.changes) == (3, 0.025, 0.1, 2)
    assert score.changes_a_day == 96.0 and score.is_met


def test_closing_a_stretch_keeps_the_record() -> None:
    scorer = Scorer(A_DAY, 0.05)
    scorer.observe(10.0, 8.0)
    scorer.close()
    assert scorer.stretch().rows == 0 and scorer.stretch().unserved_share == 0.0
    assert scorer.record().unserved_share == 0.2


def test_a_scorer_goes_on_from_its_snapshot() -> None:
    whole, half = Scorer(A_DAY, 0.05), Scorer(A_DAY, 0.05)
    whole.observe(10.0, 8.0)
    half.restore(json.loads(json.dumps(whole.snapshot())))
    for scorer in (whole, half):
        scorer.observe(10.0, 11.0)
    assert whole.snapshot() == half.snapshot()
