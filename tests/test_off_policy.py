"""Off-policy estimates: exact cases, laws, and the coverage of their intervals."""

import doctest

import numpy as np
import pytest
from benchmarks import evaluation
from hypothesis import given
from hypothesis import strategies as st

from pointsman.models import off_policy, outcome_model
from pointsman.models.off_policy import Log, doubly_robust, interval, ips, scores, snips, support

ARMS = 3
seeds = st.integers(0, 10_000)


def logged(seed: int, count: int = 60, *, noise: float = 0.0, target: str = "random") -> Log:
    """A made-up log; the predictions are the noiseless outcomes."""
    draw = np.random.default_rng(seed)
    shares = draw.dirichlet(np.ones(ARMS), count) * 0.9 + 0.1 / ARMS
    chosen = np.array([draw.choice(ARMS, p=row / row.sum()) for row in shares])
    truth = draw.uniform(0.0, 1.0, (count, ARMS))
    rows = np.arange(count)
    asked = shares if target == "logged" else draw.dirichlet(np.ones(ARMS), count)
    outcome = truth[rows, chosen] + draw.normal(0.0, noise, count)
    return Log.of(outcome=outcome, propensity=shares[rows, chosen], chosen=chosen, target=asked, predicted=truth)


@pytest.mark.parametrize("module", [off_policy, outcome_model], ids=lambda module: str(module.__name__))
def test_the_examples_in_the_documentation_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@given(seeds)
def test_snips_of_the_logging_policy_is_the_sample_mean(seed: int) -> None:
    log = logged(seed, noise=0.1, target="logged")
    estimate = snips(log)
    assert estimate is not None and estimate.value == pytest.approx(log.outcome.mean(), abs=1e-12)


@given(seeds)
def test_doubly_robust_with_a_perfect_model_is_exact(seed: int) -> None:
    log = logged(seed)
    assert scores(log) == pytest.approx((log.target * log.predicted).sum(axis=1), abs=1e-12)


@given(seeds)
def test_without_a_model_doubly_robust_is_ips(seed: int) -> None:
    log = logged(seed, noise=0.1)
    plain = Log.of(outcome=log.outcome, propensity=log.propensity, chosen=log.chosen, target=log.target)
    found, same = doubly_robust(plain), ips(plain)
    assert found is not None and same is not None and found.value == same.value


@given(seeds, st.floats(-5.0, 5.0), st.floats(0.1, 10.0))
def test_an_interval_moves_and_stretches_with_its_scores(seed: int, move: float, stretch: float) -> None:
    drawn = np.random.default_rng(seed).exponential(1.0, 30)
    before, after = interval(drawn, 20.0), interval(move + stretch * drawn, 20.0)
    assert after.lower == pytest.approx(move + stretch * before.lower, abs=1e-6)
    assert after.upper == pytest.approx(move + stretch * before.upper, abs=1e-6)


@given(seeds)
def test_an_interval_holds_its_value(seed: int) -> None:
    log = logged(seed, noise=0.2)
    for estimate in (ips(log), snips(log), doubly_robust(log)):
        assert estimate is not None and estimate.lower <= estimate.value <= estimate.upper


def test_a_target_that_the_log_never_follows_has_no_estimate() -> None:
    log = Log.of(outcome=[1.0, 1.0], propensity=[0.5, 0.5], chosen=[0, 0], target=[[0.0, 1.0]] * 2)
    assert (ips(log), snips(log), doubly_robust(log)) == (None, None, None)
    assert support(log).warnings(["local", "api"])[0] == "takes api in 100% of the requests, which was never logged with a propensity"


def test_what_was_never_seen_may_be_anything() -> None:
    """The log takes arm 0 for one half of the requests and arm 1 for the other, never both: arm 0 is half unknown."""
    chosen, outcome = [0, 1] * 200, [0.9, 0.5] * 200
    log = Log.of(outcome=outcome, propensity=[1.0] * 400, chosen=chosen, target=[[1.0, 0.0]] * 400, predicted=[[0.9, 0.5]] * 400, bounds=(0.0, 1.0))
    estimate = doubly_robust(log)
    assert estimate is not None and (estimate.lower, estimate.value, estimate.upper) == pytest.approx((0.45, 0.9, 0.95))
    assert "nothing was seen of 50%" in support(log).warnings(["local", "api"])[0]


def test_successes_without_a_failure_leave_room_for_one() -> None:
    log = Log.of(outcome=[1.0] * 100, propensity=[1.0] * 100, chosen=[0] * 100, target=[[1.0]] * 100, spread=1.0)
    estimate = snips(log)
    assert estimate is not None and estimate.lower == pytest.approx(0.98, abs=1e-3)


def test_weights_above_the_largest_are_clipped_and_said() -> None:
    log = Log.of(outcome=[1.0, 1.0], propensity=[0.001, 1.0], chosen=[0, 0], target=[[1.0]] * 2)
    assert log.weight.tolist() == [100.0, 1.0]
    assert support(log).clipped == pytest.approx(1.0 - 101.0 / 1001.0)


@pytest.mark.parametrize("propensity", [0.0, -0.1, 1.1, float("nan")])
def test_a_propensity_outside_zero_to_one_is_refused(propensity: float) -> None:
    with pytest.raises(ValueError, match="propensity"):
        Log.of(outcome=[1.0], propensity=[propensity], chosen=[0], target=[[1.0]])


def test_intervals_hold_at_fifty_rows_with_heavy_weights_where_a_normal_one_does_not() -> None:
    draw, held, normal = np.random.default_rng(7), 0, 0
    for _ in range(400):
        heavy = draw.random(50) < 0.1
        scores = np.where(heavy, 10.0 * draw.uniform(0.0, 2.0, 50), 0.0)
        estimate = interval(scores, float(heavy.sum()))
        held += estimate.lower <= 1.0 <= estimate.upper
        normal += abs(scores.mean() - 1.0) <= 1.96 * scores.std(ddof=1) / np.sqrt(50)
    assert held / 400 >= 0.93 > normal / 400


def test_the_benchmark_holds_the_truth_on_the_excerpt(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluation.main(["--policies", "40"]) == 0
    assert capsys.readouterr().out.count("naive mean") == 6
