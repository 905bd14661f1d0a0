"""A router that follows docs/policy.md decides as the core does."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from events import COSTS, traffic
from hypothesis import given
from hypothesis import strategies as st
from policy_reference import decide, expected, probabilities, vector

from pointsman.models.context import Context
from pointsman.models.decision import Evaluator
from pointsman.schemas import Budget, Objective, OptimizationConfig, PolicyPublished, RecommendationIssued, RequestStarted, Sketch, Strategy, Track, encode
from pointsman.streams.core import Core

DOCUMENT = Path(__file__).parent.parent / "docs" / "policy.md"
TRACKS = tuple(Track(name=name, cost_per_request_usd=cost) for name, cost in COSTS.items())
STRATEGIES: tuple[Strategy, ...] = ("balanced", "latency", "throughput", "resource", "quality", "cost", "adaptive")
CONFIGS = {strategy: OptimizationConfig(strategy=strategy, tracks=TRACKS) for strategy in STRATEGIES} | {
    "usd_per_request": OptimizationConfig(tracks=TRACKS, budget=Budget(usd_per_request=0.002)),
    "usd_per_hour": OptimizationConfig(tracks=TRACKS, budget=Budget(usd_per_hour=4.0)),
    "hard": OptimizationConfig(tracks=TRACKS, budget=Budget(usd_per_hour=1.0, hard=True)),
    "objectives": OptimizationConfig(
        tracks=TRACKS,
        objectives=(
            Objective(metric="latency_ms", bound=400.0, share=0.95),
            Objective(metric="success", bound=1.0, share=0.999),
            Objective(metric="quality_score", bound=0.95, share=0.9),
            Objective(metric="cost_usd", bound=0.0005, share=0.9),
        ),
    ),
    "bypass": OptimizationConfig(tracks=TRACKS, mode="bypass"),
    "observe": OptimizationConfig(tracks=TRACKS, mode="observe"),
}


@cache
def policies(name: str) -> list[PolicyPublished]:
    """Every eleventh policy of a fold."""
    core = Core(CONFIGS[name])
    return [output for event in traffic(1, 400) for output in core.step(event) if isinstance(output, PolicyPublished)][::11]


def requests() -> Iterator[tuple[dict[str, Any], Context]]:
    """Requests as the wire and as the core have them, within a conversation and outside."""
    for number, event in enumerate(event for event in traffic(2, 12) if isinstance(event, RequestStarted)):
        previous, running = (None, "api", "local")[number % 3], (None, {"local": number}, {"local": 100 * number, "api": 1})[number % 3]
        context = Context.of(event.input_tokens, event.max_output_tokens, event.category, event.sketch, event.attributes, previous, running)
        yield json.loads(encode(event)) | {"previous": previous, "running": running}, context


@pytest.mark.parametrize("name", CONFIGS)
def test_utilities_propensities_and_draws_are_the_cores(name: str) -> None:
    asked = list(requests())
    for policy in policies(name):
        evaluator, published = Evaluator(policy), json.loads(encode(policy))
        for number, (request, context) in enumerate(asked):
            own, rows = evaluator.decide(context, "chat", f"r{number}"), expected(published, request)
            assert {arm["track"]: row["utility"] for arm, row in zip(published["arms"], rows, strict=True)} == pytest.approx(own.utilities, abs=1.5e-9)
            assert probabilities(published, rows) == pytest.approx(list(own.propensities.values()), rel=1e-5, abs=2e-9)
            track, propensity = decide(published, request, f"r{number}")
            assert track == own.track and propensity == pytest.approx(own.propensity, rel=1e-5)


def test_these_policies_have_everything_in_them() -> None:
    every = [policy for name in CONFIGS for policy in policies(name)]
    arms = [arm for policy in every for arm in policy.arms]
    assert any(arm.probe for arm in arms) and any(arm.shift for arm in arms) and any(arm.penalty for arm in arms)
    assert any(arm.load is not None for arm in arms)
    assert {0.0, 0.05, 0.25, 1.0} == {arm.admitted for arm in arms}
    for name in ("usd_per_request", "usd_per_hour", "hard"):
        assert any(policy.worth.shadow_price > 0.0 and policy.ceiling_usd is not None for policy in policies(name))
    assert {one.target for policy in policies("objectives") for one in policy.worth.objectives} == {"log_latency", "success", "quality", "log_cost"}
    assert any(policy.hard_ceiling_usd == 0.0 for policy in policies("hard"))


REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": st.integers(0, 10**12),
        "max_output_tokens": st.integers(0, 10**12),
        "category": st.text(min_size=1, max_size=20),
        "attributes": st.dictionaries(
            st.text(min_size=1, max_size=9), st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | st.booleans() | st.text(max_size=9), max_size=16
        ),
        "sketch": st.fixed_dictionaries(
            {"tokens": st.integers(0, 10**6), "characters": st.just(0), "features": st.lists(st.integers(-127, 127), min_size=59, max_size=59) | st.just([])},
            optional={"category": st.text(min_size=1, max_size=20)},
        ),
    },
)


@given(REQUESTS)
def test_any_request_has_the_vector_of_the_document(request: dict[str, Any]) -> None:
    sketch = Sketch.model_validate(request["sketch"]) if "sketch" in request else None
    context = Context.of(request.get("input_tokens"), request.get("max_output_tokens"), request.get("category"), sketch, request.get("attributes"))
    assert vector(request) == pytest.approx(context.vector().tolist(), abs=1e-12)


def wide(sparse: dict[str, float]) -> list[float]:
    return [sparse.get(str(place), 0.0) for place in range(68)]


def example() -> tuple[dict[str, Any], dict[str, Any]]:
    """The document's policy, its weights written out, and its request."""
    policy, request = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL))
    for arm in policy["arms"]:
        arm["weights"] = {target: wide(row) for target, row in arm["weights"].items()}
        arm["variance"] = wide(arm["variance"])
    return policy, request


def evaluator(policy: dict[str, Any]) -> Evaluator:
    envelope = {"type": "policy.published/1", "event_id": "p", "occurred_at": 1_700_000_000.0, "caused_by": "e"}
    return Evaluator(PolicyPublished.model_validate_json(json.dumps(policy | envelope)))


def test_the_documents_example_is_true() -> None:
    text, (policy, request) = DOCUMENT.read_text(), example()
    context = Context.of(request["input_tokens"], None, request["category"], None, request["attributes"], request["previous"])
    for number in (0, 5):
        own = evaluator(policy).decide(context, "chat", f"r{number}")
        assert decide(policy, request, f"r{number}") == (own.track, own.propensity)
        assert f"`{own.track}` with {own.propensity}" in text
    assert [row["utility"] for row in expected(policy, request)] == list(own.utilities.values())
    for track, row in zip(own.utilities, expected(policy, request), strict=True):
        assert f"| {row['utility']:.9f} |" in text and f"| {own.propensities[track]:.6f} |" in text


def test_what_a_recovering_track_may_not_take_goes_to_one_that_can_be_paid() -> None:
    policy, _ = example()
    policy["arms"][2]["offsets"]["quality"] = 1.5
    shares, utilities = evaluator(policy).propensities(Context(500))
    assert utilities["large"] > utilities["api"] > utilities["local"]
    assert shares["large"] < 0.011 and shares["local"] > 0.7


@pytest.mark.parametrize("name", ["balanced", "usd_per_hour", "hard"])
def test_a_router_that_hears_outputs_only_gives_the_cores_recommendations(name: str) -> None:
    core, conversations, compared = Core(CONFIGS[name]), dict[str, str](), 0
    policy: dict[str, Any] = {}
    for event in traffic(3, 300):
        outputs = core.step(event)
        advised = next((output for output in outputs if isinstance(output, RecommendationIssued) and output.request_id), None)
        policy = next((json.loads(encode(output)) for output in reversed(outputs) if isinstance(output, PolicyPublished)), policy)
        if not isinstance(event, RequestStarted):
            continue
        previous = conversations.get(event.conversation_id or "")
        if advised is not None:
            track, propensity = decide(policy, json.loads(encode(event)) | {"previous": previous}, event.request_id)
            assert (track, policy["version"]) == (advised.track, advised.policy_version) and propensity == pytest.approx(advised.propensity, rel=1e-5)
            compared += 1
        elif event.track is not None and event.conversation_id is not None and not event.event_id.endswith("s2"):
            conversations[event.conversation_id] = event.track
    assert compared > 30
