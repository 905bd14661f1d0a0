"""Budgets, through the core in a closed loop: what is spent, how steadily, and what is said about it."""

import random
from collections import Counter
from typing import Any

import pytest
from driving import Routed, drive, outputs, share
from events import START, completed, started

from pointsman.models.context import Context
from pointsman.schemas import AlertRaised, AlertResolved, Budget, Event, OptimizationConfig, PolicyPublished, RecommendationIssued, Track
from pointsman.streams.core import Core

PAID = (Track(name="cheap", cost_per_request_usd=0.0005), Track(name="dear", cost_per_request_usd=0.01))
UNIT = 1.0 / 128.0  # USD; sums of it are exact
HOUR, DAY = 3600.0, 86_400.0
TO_THE_HOUR, TO_THE_DAY = HOUR - START % HOUR, DAY - START % DAY


def served(track: str, number: int) -> dict[str, Any]:
    """An outcome: dear is better, and costs scatter by 30 %."""
    draw = random.Random(f"{number}{track}")
    quality = {"cheap": 0.6, "dear": 0.8}[track] + draw.gauss(0.0, 0.1)
    return {"quality_score": min(max(quality, 0.0), 1.0), "cost_usd": {"cheap": 0.0005, "dear": 0.01}[track] * draw.lognormvariate(0.0, 0.3)}


def spent(routed: list[Routed]) -> float:
    return float(sum(one.outcome["cost_usd"] for one in routed))


def budgeted(**budget: Any) -> Core:
    return Core(OptimizationConfig(tracks=PAID, budget=Budget(**budget)))


def alerts(events: list[Event]) -> list[tuple[str, str, str]]:
    """What was said of budgets: raised or resolved, about what, how severe."""
    said = [event for event in events if isinstance(event, AlertRaised | AlertResolved) and event.kind == "budget"]
    return [(event.type.split(".")[1][:-2], event.fingerprint, event.severity) for event in said]


# what is spent


def test_a_budget_per_request_is_kept_within_two_percent() -> None:
    routed = drive(budgeted(usd_per_request=0.002), range(1500), served)
    assert spent(routed) / 1500 < 1.02 * 0.002
    assert spent(routed[500:]) / 1000 == pytest.approx(0.002, rel=0.03)
    assert max(spent(routed[start : start + 500]) for start in range(0, 1001, 100)) / 500 < 1.05 * 0.002


def test_a_budget_that_does_not_bind_changes_nothing() -> None:
    routed = drive(budgeted(usd_per_request=0.02), range(200), served)
    assert share(routed[50:], "dear") > 0.9
    assert {output.worth.shadow_price for output in outputs(routed) if isinstance(output, PolicyPublished)} == {0.0}


@pytest.mark.parametrize(("kind", "start", "gap_s"), [("usd_per_hour", TO_THE_HOUR, 5.0), ("usd_per_day", TO_THE_DAY, 120.0)])
def test_hourly_and_daily_budgets_are_kept_in_event_time(kind: str, start: float, gap_s: float) -> None:
    routed = drive(budgeted(**{kind: 1.5}), range(2 * 720), served, gap_s=gap_s, start=start)
    for period in (routed[:720], routed[720:]):
        assert 0.95 * 1.5 < spent(period) < 1.02 * 1.5


def test_an_hourly_budget_is_spent_where_requests_come_minutes_apart() -> None:
    routed = drive(budgeted(usd_per_hour=0.06), range(600), served, gap_s=180.0, start=TO_THE_HOUR)
    assert spent(routed) / 30 == pytest.approx(0.06, rel=0.05)


def test_an_hourly_budget_counts_what_others_spend_and_one_per_request_does_not() -> None:
    hourly, own = budgeted(usd_per_hour=1.0), budgeted(usd_per_request=0.005)
    for core in (hourly, own):
        drive(core, range(50), lambda track, n: {"cost_usd": UNIT}, gap_s=10.0, follow=("dear",))
    assert hourly.status("chat")["budgets"]["usd_per_hour"]["spent_share"] == pytest.approx(50 * UNIT, abs=1e-6)
    assert own.status("chat")["budgets"]["usd_per_request"]["mean_usd"] == 0.0


@pytest.mark.parametrize("flying_s", [0.5, 30.0])
def test_a_hard_budget_is_exceeded_by_no_more_than_what_was_in_flight(flying_s: float) -> None:
    core = Core(OptimizationConfig(tracks=(Track(name="free"), Track(name="dear", cost_per_request_usd=UNIT)), budget=Budget(usd_per_hour=1.0, hard=True)))

    def serve(track: str, n: int) -> dict[str, Any]:
        return {"quality_score": 0.9 if track == "dear" else 0.1, "cost_usd": UNIT if track == "dear" else 0.0, "latency_ms": 1000.0 * flying_s}

    drive(core, range(120), serve, gap_s=10.0, start=TO_THE_HOUR, follow=("dear",))
    routed = drive(core, range(120, 340), serve, gap_s=10.0, start=TO_THE_HOUR)
    assert sum(one.decision.track == "dear" for one in routed) <= 8 + flying_s // 10.0
    assert core.status("chat")["budgets"]["usd_per_hour"]["spent_share"] <= 1.0 + UNIT * (flying_s // 10.0)


def test_a_hard_budget_is_open_again_in_the_next_hour() -> None:
    core = Core(OptimizationConfig(tracks=(Track(name="free"), Track(name="dear", cost_per_request_usd=UNIT)), budget=Budget(usd_per_hour=1.0, hard=True)))

    def serve(track: str, n: int) -> dict[str, Any]:
        return {"quality_score": 0.9 if track == "dear" else 0.1, "cost_usd": UNIT if track == "dear" else 0.0}

    drive(core, range(140), serve, gap_s=20.0, start=TO_THE_HOUR, follow=("dear",))
    routed = drive(core, range(140, 230), serve, gap_s=20.0, start=TO_THE_HOUR)
    in_the_first_hour = [one for one in routed if one.number < 178]
    assert share(in_the_first_hour, "dear") == 0.0
    assert share(routed[len(in_the_first_hour) + 5 :], "dear") > 0.1


# what is said


def test_alerts_at_85_and_95_percent_are_raised_once_and_resolved_when_the_hour_ends() -> None:
    core = budgeted(usd_per_hour=1.0)
    routed = drive(core, range(359), lambda track, n: {"cost_usd": UNIT if n < 125 else 0.0}, gap_s=10.0, start=TO_THE_HOUR, follow=("dear",))
    said = [(number, alert) for one in routed for number, alert in ((one.number, alert) for alert in alerts(one.outputs)) if "projected" not in alert[1]]
    assert said == [
        (108, ("raised", "budget/usd_per_hour/85", "warning")),
        (121, ("raised", "budget/usd_per_hour/95", "critical")),
    ]
    after = drive(core, range(360, 365), lambda track, n: {"cost_usd": 0.0}, gap_s=10.0, start=TO_THE_HOUR, follow=("cheap",))
    resolved = [alert for alert in alerts(outputs(after)) if "projected" not in alert[1]]
    assert resolved == [("resolved", "budget/usd_per_hour/85", "warning"), ("resolved", "budget/usd_per_hour/95", "critical")]


def test_an_alert_is_raised_once_when_the_budget_will_not_last_and_resolved_when_the_pace_has_dropped() -> None:
    core = budgeted(usd_per_day=50.0)
    routed = drive(core, range(600), lambda track, n: {"cost_usd": UNIT if n < 150 else 0.0}, gap_s=10.0, start=TO_THE_DAY, follow=("dear",))
    assert [(one.number, *alert) for one in routed for alert in alerts(one.outputs)][:1] == [(100, "raised", "budget/usd_per_day/projected", "warning")]
    assert Counter(alert[0] for alert in alerts(outputs(routed))) == {"raised": 1, "resolved": 1}


@pytest.mark.parametrize("budget", [{"usd_per_request": 0.002}, {"usd_per_hour": 1.5}])
def test_no_alert_that_a_budget_will_not_last_while_it_is_kept(budget: dict[str, float]) -> None:
    routed = drive(budgeted(**budget), range(720), served, gap_s=5.0, start=TO_THE_HOUR)
    assert not [alert for alert in alerts(outputs(routed)) if "projected" in alert[1]]


def test_the_price_of_money_is_among_the_reasons() -> None:
    routed = drive(budgeted(usd_per_request=0.001), range(200), served)
    said = [output for output in outputs(routed) if isinstance(output, RecommendationIssued)][-1]
    assert any("the budget makes 0.001 USD worth" in reason for reason in said.reasons)


def test_what_completes_before_its_start_is_counted_in_a_budget_per_request() -> None:
    core = budgeted(usd_per_request=0.005)
    for number in range(10):
        core.step(completed(f"r{number}", number + 0.5, "dear", cost_usd=UNIT))
        core.step(started(f"r{number}", number + 0.6, "dear", policy_version=1, propensity=0.5))
    assert core.status("chat")["budgets"]["usd_per_request"]["mean_usd"] == pytest.approx(UNIT)


def test_an_ample_hourly_budget_leaves_the_first_decisions_free() -> None:
    tracks = (Track(name="cheap", quality=0.5), Track(name="dear", quality=0.9, cost_per_request_usd=0.01))
    core = Core(OptimizationConfig(tracks=tracks, budget=Budget(usd_per_hour=100.0)))
    core.step(started("r1", 0.0, None))
    assert core.decide("chat", Context(), "r2").propensities["dear"] > 0.5
