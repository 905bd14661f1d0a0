"""What the core does with single events."""

import pytest
from events import completed, sampled, started, stream, ticked

from pointsman.models.context import Context
from pointsman.models.decision import Evaluator
from pointsman.models.members import Linear
from pointsman.schemas import (
    AlertRaised,
    AlertResolved,
    AnyInput,
    ConfigChanged,
    Event,
    EventRejected,
    OptimizationConfig,
    PolicyPublished,
    PredictionIssued,
    QualityAssessed,
    RecommendationIssued,
    StrategyAdapted,
    Track,
    WindowClosed,
)
from pointsman.streams.core import Core

TWO = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))


def fold(core: Core, *events: AnyInput) -> list[Event]:
    return [output for event in events for output in core.step(event)]


def test_completion_before_its_start_is_joined() -> None:
    core = Core(TWO)
    fold(core, completed("r1", 1.0), started("r1", 1.1))
    assert core.scope("chat").routing.learner.bandit.arms["local"].count == 1
    assert core.status("chat")["in_flight"] == 0


def test_completion_without_a_start_is_learned_from_once_the_wait_is_over() -> None:
    core = Core(TWO)
    fold(core, completed("r1", 1.0), ticked(700.0))
    assert core.scope("chat").routing.learner.bandit.arms["local"].count == 1


def test_a_request_that_never_completes_leaves_the_count_in_flight() -> None:
    core = Core(TWO)
    fold(core, started("r1", 0.0))
    assert core.scope("chat").tracks["local"].in_flight == 1
    fold(core, ticked(601.0))
    assert core.scope("chat").tracks["local"].in_flight == 0


def test_a_second_start_of_the_same_attempt_is_counted_once() -> None:
    core = Core(TWO)
    again = started("r1", 1.0).model_copy(update={"event_id": "other"})
    fold(core, started("r1", 0.0), again)
    assert core.scope("chat").tracks["local"].in_flight == 1
    assert core.status("chat")["duplicates"] == 1


def test_beyond_4096_in_flight_the_oldest_runs_no_longer() -> None:
    core = Core(TWO)
    fold(core, *(started(f"r{number}", 0.001 * number) for number in range(4100)))
    assert core.scope("chat").tracks["local"].in_flight == 4096
    assert core.scope("chat").join.evicted == 4


def test_a_second_completion_of_the_same_attempt_is_counted_once() -> None:
    core = Core(TWO)
    again = completed("r1", 2.0).model_copy(update={"event_id": "other"})
    fold(core, started("r1", 0.0), completed("r1", 1.0), again)
    assert core.scope("chat").tracks["local"].completed == 1


def test_a_window_closes_with_what_was_in_it() -> None:
    outputs = fold(Core(TWO), *(completed(f"r{n}", n, latency_ms=100.0 * (n + 1), cost_usd=0.25) for n in range(4)), ticked(120.0))
    window = next(output for output in outputs if isinstance(output, WindowClosed))
    assert (window.count, window.cost_usd, window.success_share) == (4, 1.0, 1.0)
    assert window.latency_p50_ms == pytest.approx(200.0, rel=0.01)


def test_a_completion_for_a_closed_window_is_counted_as_late() -> None:
    outputs = fold(Core(TWO), completed("r1", 1.0), ticked(120.0), completed("r2", 2.0), ticked(300.0))
    assert [window.late for window in outputs if isinstance(window, WindowClosed)] == [0, 1]


def test_a_prediction_is_issued_before_the_outcome_it_is_about() -> None:
    events = [event for n in range(40) for event in (started(f"r{n}", 2.0 * n), completed(f"r{n}", 2.0 * n + 0.8))]
    last = [output for output in fold(Core(TWO), *events) if isinstance(output, PredictionIssued)][-1]
    assert last.latency_ms is not None
    assert last.latency_ms.lower <= last.latency_ms.median <= last.latency_ms.upper
    assert last.latency_ms.median == pytest.approx(800.0, rel=0.05)


def test_a_request_without_a_track_gets_a_recommendation_of_its_own() -> None:
    outputs = fold(Core(TWO), started("r1", 0.0, track=None))
    advice = next(output for output in outputs if isinstance(output, RecommendationIssued) and output.request_id == "r1")
    assert sum(row.propensity for row in advice.tracks) == pytest.approx(1.0)
    assert advice.propensity == next(row.propensity for row in advice.tracks if row.track == advice.track)
    assert advice.reasons


def test_evaluating_the_published_policy_outside_gives_the_cores_own_decisions() -> None:
    core, policy, compared = Core(TWO), None, 0
    for event in stream(11, 400):
        for output in core.step(event):
            if isinstance(output, PolicyPublished) and output.scope == "chat":
                policy = PolicyPublished.model_validate_json(output.model_dump_json())
            elif isinstance(output, RecommendationIssued) and output.request_id and output.scope == "chat" and policy:
                assert event.type == "request.started/1"
                own = Evaluator(policy).decide(Context.of(event.input_tokens, event.max_output_tokens, event.category), "chat", output.request_id)
                assert (own.track, own.propensity, own.policy_version) == (output.track, output.propensity, output.policy_version)
                compared += 1
    assert compared > 20


def test_the_faster_track_is_recommended_and_no_longer_once_it_is_slow() -> None:
    core = Core(OptimizationConfig(strategy="latency", tracks=TWO.tracks))
    for n in range(200):
        slow = 20_000.0 if n > 100 else 300.0
        for track, latency in (("local", slow), ("api", 1500.0)):
            fold(core, started(f"r{n}", 2.0 * n, track=track), completed(f"r{n}", 2.0 * n + 1.0, track=track, latency_ms=latency))
        if n == 100:
            assert core.decide("chat", Context(500, 500), "x").propensities["local"] > 0.9
    assert core.decide("chat", Context(500, 500), "x").propensities["api"] > 0.9


def test_propensities_are_the_frequencies_of_the_draw() -> None:
    core = Core(TWO)
    fold(core, started("r1", 0.0), completed("r1", 1.0))
    shares = core.decide("chat", Context(), "r").propensities
    drawn = [core.decide("chat", Context(), f"r{n}").track for n in range(4000)]
    assert drawn.count("api") / 4000 == pytest.approx(shares["api"], abs=0.03)


def test_a_track_that_fails_loses_its_place() -> None:
    core = Core(TWO)
    for n in range(60):
        fold(core, started(f"a{n}", n), completed(f"a{n}", n + 0.5, success=False, failure_class="provider"))
        fold(core, started(f"b{n}", n, track="api"), completed(f"b{n}", n + 0.5, track="api"))
    assert core.decide("chat", Context(), "x").propensities["api"] > 0.9


def test_a_clients_hang_up_does_not_count_against_the_track() -> None:
    core = Core(TWO)
    for n in range(60):
        fold(core, started(f"a{n}", n), completed(f"a{n}", n + 0.5, success=False, failure_class="cancelled"))
    assert core.scope("chat").tracks["local"].recent_success == 1.0
    assert core.scope("chat").tracks["local"].in_flight == 0


def test_a_track_outside_the_configuration_is_refused_and_the_next_event_handled() -> None:
    core = Core(TWO)
    refused, *_ = fold(core, started("r1", 0.0, track="unheard-of"))
    assert isinstance(refused, EventRejected)
    assert refused.reason.code == "unknown_track"
    assert any(isinstance(output, PredictionIssued) for output in fold(core, started("r2", 1.0)))


def test_tracks_are_discovered_where_none_is_configured() -> None:
    core = Core()
    fold(core, started("r1", 0.0, track="anything"))
    assert list(core.status("chat")["tracks"]) == ["anything"]


def test_a_constraint_is_raised_once_and_resolved_once() -> None:
    busy = [sampled(n, cpu_percent=95.0) for n in range(5)]
    calm = [sampled(10 + n, cpu_percent=15.0) for n in range(5)]
    alerts = [output for output in fold(Core(TWO), *busy, *calm) if isinstance(output, AlertRaised | AlertResolved)]
    assert [type(alert) for alert in alerts] == [AlertRaised, AlertResolved]
    assert {alert.fingerprint for alert in alerts} == {"laptop/cpu_percent"}


def test_adaptive_moves_to_resource_when_a_host_is_over_its_bounds_and_back() -> None:
    core = Core(OptimizationConfig(strategy="adaptive", tracks=TWO.tracks))
    samples = [sampled(n, cpu_percent=95.0 if n < 60 else 10.0) for n in range(150)]
    moves = [(output.previous, output.current) for output in fold(core, *samples) if isinstance(output, StrategyAdapted)]
    assert moves == [("balanced", "resource"), ("resource", "balanced")]


def test_a_changed_configuration_takes_effect_and_keeps_what_was_learned() -> None:
    core = Core(TWO)
    fold(core, started("r1", 0.0), completed("r1", 1.0))
    config = OptimizationConfig(strategy="cost", tracks=(*TWO.tracks, Track(name="new")))
    fold(core, ConfigChanged(event_id="c", scope="chat", occurred_at=started("x", 2.0).occurred_at, config=config))
    assert list(core.status("chat")["tracks"]) == ["local", "api", "new"]
    assert core.scope("chat").routing.learner.bandit.arms["local"].count == 1


def test_a_quality_that_comes_late_is_learned() -> None:
    core = Core(TWO)
    fold(core, started("r1", 0.0), completed("r1", 1.0))
    late = QualityAssessed(event_id="q", scope="chat", occurred_at=started("x", 90.0).occurred_at, request_id="r1", track="local", score=0.1)
    fold(core, late)
    assert core.scope("chat").routing.learner.bandit.arms["local"].seen[0] == 1


def test_a_diverged_learner_is_replaced_by_the_windowed_median() -> None:
    core = Core(TWO)
    for n in range(40):
        fold(core, started(f"r{n}", 2.0 * n), completed(f"r{n}", 2.0 * n + 1.0))
    linear = core.scope("chat").tracks["local"].outlook.predictors["latency_ms"].members["linear"]
    assert isinstance(linear, Linear)
    linear.intercept = float("nan")
    expected = core.expectation("chat", "local", Context()).latency_ms
    assert expected is not None
    assert expected.median == pytest.approx(800.0, rel=0.01)


def test_a_refused_event_may_come_again_mended() -> None:
    core = Core(OptimizationConfig(tracks=(Track(name="local"),)))
    wrong = started("r1", 0.0, "nowhere")
    assert [type(output) for output in core.step(wrong)] == [EventRejected]
    assert core.step(wrong.model_copy(update={"track": "local"}))
