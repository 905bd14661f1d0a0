"""What the policy learns and does, through the core in a closed loop."""

import random
from typing import Any

import pytest
from driving import drive, outputs, share
from events import START, completed, started, ticked

from pointsman.models.context import Context
from pointsman.models.sketch import sketch
from pointsman.schemas import AlertRaised, AlertResolved, ConfigChanged, Hedging, OptimizationConfig, PolicyPublished, RecommendationIssued, Strategy, Track
from pointsman.streams.core import Core

TWO = (Track(name="a"), Track(name="b"))
PROMPTS = ("Which platform does train {} leave from", "Paint a blue horse with {} legs please")


def judged(mean: float, track: str, number: int) -> dict[str, Any]:
    """An outcome whose quality scatters by 0.1."""
    return {"quality_score": min(max(mean + random.Random(f"{number}{track}").gauss(0.0, 0.1), 0.0), 1.0)}


def configured(at: float, *tracks: Track) -> ConfigChanged:
    return ConfigChanged(event_id=f"config-{at}", scope="chat", occurred_at=START + at, config=OptimizationConfig(tracks=tracks))


def propensities(core: Core, **fields: Any) -> dict[str, float]:
    return core.decide("chat", core.scope("chat").routing.context(started("asked", 0.0, None, **fields)), "asked").propensities


def test_two_contents_that_two_tracks_serve_differently_are_told_apart() -> None:
    core = Core(OptimizationConfig(tracks=TWO))
    drive(
        core,
        range(300),
        lambda track, n: judged(0.8 if (track == "a") == (n % 2 == 0) else 0.4, track, n),
        lambda n: {"sketch": sketch(PROMPTS[n % 2].format(n))},
    )
    assert propensities(core, sketch=sketch(PROMPTS[0].format(9999)))["a"] > 0.95
    assert propensities(core, sketch=sketch(PROMPTS[1].format(9999)))["b"] > 0.95


def test_an_embedding_tells_contents_apart_as_well() -> None:
    core = Core(OptimizationConfig(tracks=TWO))
    vectors = [{"sketch": sketch("").model_copy(update={"features": features})} for features in ((90, 90, *[0] * 57), (90, -90, *[0] * 57))]
    drive(core, range(300), lambda track, n: judged(0.8 if (track == "a") == (n % 2 == 0) else 0.4, track, n), lambda n: vectors[n % 2])
    assert propensities(core, **vectors[0])["a"] > 0.95 and propensities(core, **vectors[1])["b"] > 0.95


def test_a_track_that_appears_gets_its_share_and_one_that_disappears_none() -> None:
    core = Core(OptimizationConfig(tracks=TWO))

    def serve(track: str, n: int) -> dict[str, Any]:
        return judged({"a": 0.6, "b": 0.5, "new": 0.8}[track], track, n)

    drive(core, range(200), serve)
    core.step(configured(200.0, *TWO, Track(name="new")))
    assert share(drive(core, range(201, 401), serve)[-50:], "new") > 0.9
    core.step(configured(401.0, *TWO))
    assert {one.decision.track for one in drive(core, range(402, 500), serve)} <= {"a", "b"}
    assert set(propensities(core)) == {"a", "b"}


@pytest.mark.parametrize(
    ("strategy", "first", "second"),
    [
        ("quality", Track(name="a", quality=0.9), Track(name="b", quality=0.6)),
        ("cost", Track(name="a", cost_per_request_usd=0.001), Track(name="b", cost_per_request_usd=0.02)),
        ("latency", Track(name="a", latency_ms=500.0), Track(name="b", latency_ms=3000.0)),
    ],
)
def test_what_is_declared_decides_a_cold_start(strategy: Strategy, first: Track, second: Track) -> None:
    for tracks in ((first, second), (second, first)):
        core = Core(OptimizationConfig(strategy=strategy, tracks=tracks))
        core.step(started("r1", 0.0, None))
        assert propensities(core)["a"] > 0.8


def test_before_any_policy_the_first_track_is_taken() -> None:
    decision = Core(OptimizationConfig(tracks=TWO)).decide("chat", Context(), "r1")
    assert (decision.track, decision.propensity, decision.policy_version) == ("a", 1.0, 0)


def test_exploration_shrinks_until_it_costs_next_to_nothing() -> None:
    core = Core(OptimizationConfig(tracks=TWO))
    routed = drive(core, range(300), lambda track, n: judged(0.75 if track == "a" else 0.65, track, n))
    explored = [1.0 - max(one.decision.propensities.values()) for one in routed]
    assert explored[1] > 0.4 and sum(explored[1:20]) / 19 > 5.0 * sum(explored[250:]) / 50
    last = routed[-1].decision
    assert 0.0 < last.propensities["b"] * (last.utilities["a"] - last.utilities["b"]) < 1e-4


def test_propensities_sum_to_one_and_are_the_frequencies_of_the_draws() -> None:
    core = Core(OptimizationConfig(tracks=(*TWO, Track(name="c"))))
    drive(core, range(12), lambda track, n: judged(0.7, track, n))
    shares = propensities(core)
    drawn = [core.decide("chat", Context(), f"x{n}").track for n in range(5000)]
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-9) and min(shares.values()) > 0.005
    for track, propensity in shares.items():
        assert drawn.count(track) / 5000 == pytest.approx(propensity, abs=0.025)


def test_a_silent_degradation_is_alarmed_avoided_and_forgotten_when_it_is_over() -> None:
    core = Core(OptimizationConfig(tracks=TWO))

    def serve(track: str, n: int) -> dict[str, Any]:
        return judged({"a": 0.4 if 300 <= n < 600 else 0.85, "b": 0.75}[track], track, n)

    routed = drive(core, range(900), serve)
    alerts = [(one.number, alert) for one in routed for alert in one.outputs if isinstance(alert, AlertRaised | AlertResolved)]
    (raised_at, raised), (resolved_at, resolved) = ((at, alert) for at, alert in alerts if alert.kind == "drift")
    assert {alert.fingerprint for _, alert in alerts} <= {"a/quality", "a/quality_score/anomaly"}
    assert (raised.type, resolved.type) == ("alert.raised/1", "alert.resolved/1")
    assert (raised.kind, raised.fingerprint, resolved.fingerprint) == ("drift", "a/quality", "a/quality")
    assert 300 <= raised_at <= 320 and 600 < resolved_at < 750
    assert share(routed[200:300], "a") > 0.9 and share(routed[350:600], "a") < 0.2 and share(routed[800:], "a") > 0.9


def test_the_alert_says_what_was_usual_and_what_is_now() -> None:
    core = Core(OptimizationConfig(tracks=TWO))
    routed = drive(core, range(330), lambda track, n: judged(0.9 if n < 300 else 0.5, track, n), follow="a")
    (raised,) = (output for output in outputs(routed) if isinstance(output, AlertRaised) and output.kind == "drift")
    assert raised.expected == pytest.approx(0.9, abs=0.05) and raised.observed == pytest.approx(0.5, abs=0.15)


def test_a_level_that_stays_where_it_fell_to_is_adopted() -> None:
    core = Core(OptimizationConfig(tracks=TWO))
    drive(core, range(60), lambda track, n: judged(0.85, track, n), follow="a")
    routed = drive(core, range(60, 520), lambda track, n: judged(0.4, track, n), follow="a")
    assert [type(alert) for alert in outputs(routed) if isinstance(alert, AlertRaised | AlertResolved)] == [AlertRaised, AlertResolved]
    assert not core.scope("chat").routing.learner.drifts["a"].is_shifted
    assert core.scope("chat").routing.evaluator().expected(Context())["a"].quality == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize(("better", "stays"), [(0.705, True), (0.9, False)])
def test_a_conversation_stays_on_its_track_for_small_gains_and_moves_for_large_ones(better: float, stays: bool) -> None:
    core = Core(OptimizationConfig(tracks=TWO))
    drive(core, range(600), lambda track, n: {"quality_score": 0.7 if track == "a" else better}, follow="ab")
    core.step(started("turn1", 601.0, "a", conversation_id="c1"))
    assert (propensities(core, conversation_id="c1")["a"] > 0.5) is stays
    assert propensities(core)["b"] > 0.5 and propensities(core, conversation_id="another") == propensities(core)


def test_the_last_track_of_a_conversation_counts() -> None:
    core = Core(OptimizationConfig(tracks=TWO))
    for turn, track in enumerate(("a", "b")):
        core.step(started(f"turn{turn}", float(turn), track, conversation_id="c1"))
        assert core.scope("chat").routing.previous("c1") == track


# health


def test_a_track_in_cooldown_gets_nothing_is_probed_and_returns() -> None:
    core = Core(OptimizationConfig(tracks=TWO))

    def serve(track: str, n: int) -> dict[str, Any]:
        is_out = track == "a" and 200 <= n < 220
        return judged(0.9 if track == "a" else 0.2, track, n) | ({"success": False, "failure_class": "provider", "latency_ms": 100.0} if is_out else {})

    routed = drive(core, range(1000), serve, gap_s=0.5)
    failed = next(one.number for one in routed if one.outcome.get("success") is False) + 3
    admitted = {arm.admitted for output in outputs(routed) if isinstance(output, PolicyPublished) for arm in output.arms if arm.track == "a"}
    assert share(routed[failed + 1 : failed + 10], "a") == 0.0
    assert admitted == {1.0, 0.0, 0.05, 0.25}
    assert 0.0 < share(routed[failed + 10 : failed + 150], "a") < 0.3
    assert share(routed[-100:], "a") > 0.9 and core.status("chat")["tracks"]["a"]["health"] == "healthy"


def test_where_all_fail_nobody_is_out() -> None:
    core = Core(OptimizationConfig(tracks=TWO))
    routed = drive(core, range(200), lambda track, n: {"success": n < 50, "failure_class": "provider"})
    for policy in (output for output in outputs(routed) if isinstance(output, PolicyPublished)):
        assert max(arm.admitted for arm in policy.arms) == 1.0
    assert 0.1 < share(routed[100:], "a") < 0.9


# timeouts and second copies


def asked(core: Core, at: float) -> RecommendationIssued:
    """What is recommended to a request that asks for it."""
    said = core.step(started("asks", at, None))
    return next(output for output in said if isinstance(output, RecommendationIssued) and output.request_id == "asks")


def test_timeouts_hold_as_often_as_they_should_and_status_says_so() -> None:
    core = Core(OptimizationConfig(tracks=TWO))
    drive(core, range(600), lambda track, n: {"latency_ms": random.Random(n).lognormvariate(6.5, 0.5)}, gap_s=10.0, follow="a")
    status = core.status("chat")["tracks"]
    assert status["a"]["timeout_coverage"] == pytest.approx(0.99, abs=0.01) and status["b"]["timeout_coverage"] is None
    assert 1500.0 < next(row.timeout_ms for row in asked(core, 6001.0).tracks if row.track == "a") < 4500.0


def hangs(core: Core, every: int) -> RecommendationIssued:
    """The recommendation after 400 requests in which one in `every` of track a's hangs for a minute; b is slower, worse, dear and steady."""

    def serve(track: str, n: int) -> dict[str, Any]:
        if track == "b":
            return {"latency_ms": 1500.0, "quality_score": 0.5, "cost_usd": 0.1}
        return {"latency_ms": 60_000.0 if n % (2 * every) == 0 else 1000.0, "quality_score": 0.8, "cost_usd": 0.001}

    drive(core, range(400), serve, gap_s=2.0, follow="ab")
    return asked(core, 900.0)


def test_a_heavy_tail_is_hedged() -> None:
    said = hangs(Core(OptimizationConfig(strategy="latency", tracks=TWO)), every=17)
    assert (said.plan, said.track, said.second_track) == ("hedged", "a", "b")
    assert 1000.0 <= (said.hedge_delay_ms or 0.0) < 1500.0


def test_a_rarer_tail_is_hedged_as_well() -> None:
    assert hangs(Core(OptimizationConfig(strategy="latency", tracks=TWO)), every=25).plan == "hedged"


@pytest.mark.parametrize(("allowed", "plan"), [(True, "parallel"), (False, "single")])
def test_unreliable_tracks_run_in_parallel_where_that_is_allowed_and_worth_it(allowed: bool, plan: str) -> None:
    core = Core(OptimizationConfig(tracks=TWO, hedging=Hedging(parallel=allowed)))
    drive(core, range(401), lambda track, n: {"success": n % 5 > 0, "failure_class": "provider" if n % 5 == 0 else None}, gap_s=2.0, follow="ab")
    assert asked(core, 803.0).plan == plan


def test_steady_tracks_run_alone() -> None:
    core = Core(OptimizationConfig(tracks=TWO, hedging=Hedging(parallel=True)))
    drive(core, range(200), lambda track, n: {"quality_score": 0.8, "cost_usd": 0.001}, follow="ab")
    assert asked(core, 201.0).plan == "single"


def test_a_cancelled_loser_is_no_failure() -> None:
    core = Core(OptimizationConfig(tracks=TWO))
    for n in range(20):
        core.step(started(f"r{n}", n, "a"))
        core.step(started(f"r{n}", n + 0.1, "b"))
        core.step(completed(f"r{n}", n + 0.5, "a"))
        core.step(completed(f"r{n}", n + 0.6, "b", success=False, failure_class="cancelled"))
    core.step(ticked(30.0))
    status = core.status("chat")
    assert {name: (row["health"], row["recent_success"], row["in_flight"]) for name, row in status["tracks"].items()} == dict.fromkeys(
        "ab", ("healthy", 1.0, 0)
    )
    assert core.scope("chat").routing.learner.bandit.arms["b"].count == 0
    assert status["hedged_share"] == pytest.approx(1.0 - (1.0 - 0.002) ** 20, abs=0.001)
