"""Second copies where they are worth it, and no more of them than the budget allows."""

import doctest
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models import hedging as module
from pointsman.models.hedging import Candidate, HedgeBudget, HedgeSettings, Worth, better, plan

AT_ONE = Worth(latency=0.15)


def steady(track: str, latency_ms: float, value: float = 0.0, spread: float = 0.0, cost_usd: float = 0.0) -> Candidate:
    """A track whose latency never varies."""
    return Candidate(track, lambda level: latency_ms, value, spread, cost_usd=cost_usd)


def test_the_documentation_is_true() -> None:
    assert doctest.testmod(module).failed == 0


def test_a_slower_dearer_and_worse_second_is_never_sent() -> None:
    assert plan(steady("a", 1000.0), [steady("b", 2000.0, value=-0.1, cost_usd=0.01)], AT_ONE, 0.97).kind == "single"


def test_no_hedge_where_the_copy_would_come_too_late() -> None:
    first = Candidate("a", lambda level: 1000.0 if level < 0.97 else 4000.0)
    worth = Worth(latency=0.15, per_usd=100.0)
    assert plan(first, [steady("b", 2500.0, -1.0, cost_usd=0.0001)], worth, 0.96).kind == "hedged"
    assert plan(first, [steady("b", 3500.0, -1.0, cost_usd=0.0001)], worth, 0.96).kind == "single"


def test_no_hedge_while_the_budget_is_spent() -> None:
    first = Candidate("a", lambda level: 1000.0 if level < 0.97 else 40_000.0)
    assert plan(first, [steady("b", 2500.0, -1.0)], AT_ONE, None).kind == "single"


def test_two_uncertain_answers_are_worth_more_than_one_until_they_cost_more() -> None:
    one, other = steady("a", 1000.0, 0.7, 0.3), steady("b", 1000.0, 0.7, 0.3, cost_usd=0.001)
    assert plan(one, [other], Worth(latency=0.15, per_usd=100.0), None)[:2] == ("parallel", "b")
    assert plan(one, [other], Worth(latency=0.15, per_usd=200.0), None).kind == "single"


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(-1, 1), st.floats(0, 1))
def test_the_better_of_two_is_no_worse_than_either(value: float, spread: float, other: float, width: float) -> None:
    gain = better(steady("a", 1000.0, value, spread), steady("b", 1000.0, other, width), AT_ONE)
    assert gain >= max(0.0, other - value) - 1e-9


@settings(deadline=None, max_examples=50)
@given(st.lists(st.booleans(), max_size=400), st.floats(0.01, 0.2))
def test_never_more_extra_copies_than_the_budget_and_one(wanted: list[bool], share: float) -> None:
    budget, sent = HedgeBudget(HedgeSettings(share=share)), 0
    for wish in wanted:
        extra = wish and budget.level() is not None
        sent += extra
        budget.observe(extra=extra)
    assert sent <= share * len(wanted) + 1.0 + 1e-6


@settings(deadline=None, max_examples=50)
@given(st.lists(st.booleans(), max_size=100), st.floats(0, 1))
def test_a_snapshot_continues_alike(extras: list[bool], share: float) -> None:
    cut = int(share * len(extras))
    whole, first = HedgeBudget(), HedgeBudget()
    for extra in extras:
        whole.observe(extra=extra)
    for extra in extras[:cut]:
        first.observe(extra=extra)
    second = HedgeBudget.restore(json.loads(json.dumps(first.snapshot())))
    for extra in extras[cut:]:
        second.observe(extra=extra)
    assert second.snapshot() == whole.snapshot()
