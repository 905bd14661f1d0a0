"""An application's own embedding in place of the hashed features, through every door, and what is said of one that is none."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from test_intake import JSON, NOW, STARTED

from pointsman.models.sketch import embed, sketch
from pointsman.schemas import EventRejected, OptimizationConfig, RequestStarted, Track, decode, encode
from pointsman.schemas.settings import KafkaSettings
from pointsman.sinks.router_view import View
from pointsman.streams import Optimizer
from pointsman.streams.intake import accept
from pointsman.streams.producer import Producer

CONFIG = OptimizationConfig(tracks=(Track(name="a"), Track(name="b")))
VECTOR = [0.25, -0.5, 0.125]
SENTENCE = "an embedding is a list of 1 to 8192 finite numbers"
BAD: dict[str, Any] = {
    "NaN": [0.1, float("nan")],
    "infinity": [float("-inf")],
    "text": "a vector",
    "texts": ["0.1", "0.2"],
    "nothing": [],
    "null": [None, 0.1],
    "objects": [{"x": 1.0}],
    "rows": [[0.1], [0.2]],
    "uneven rows": [[0.1], [0.2, 0.3]],
    "a number": 0.5,
    "an object": {"values": [0.1]},
    "truth values": [True, False],
    "10,000 entries": [0.1] * 10_000,
}
bad = pytest.mark.parametrize("vector", BAD.values(), ids=BAD)


def opened() -> Optimizer:
    return Optimizer.open(":memory:", CONFIG, clock=lambda: NOW)


def line(**fields: Any) -> bytes:
    return json.dumps(STARTED | fields).encode()


# what arrives


def test_it_takes_the_place_of_the_hashed_features_and_is_dropped() -> None:
    event = accept(line(embedding=VECTOR), place="t/0/0")
    assert isinstance(event, RequestStarted) and event.sketch is not None
    assert (event.sketch.features, event.sketch.tokens, event.sketch.minhash, event.input_tokens) == (embed(VECTOR), 0, (), None)
    assert b"embedding" not in encode(event) and decode(encode(event)) == event


def test_beside_a_prompt_the_prompts_hints_stay() -> None:
    event = accept(line(embedding=VECTOR, query="Summarise this mail"), place="t/0/0")
    assert isinstance(event, RequestStarted)
    assert event.sketch == sketch("Summarise this mail").model_copy(update={"features": embed(VECTOR)}) and event.input_tokens == 5


def test_beside_a_sketch_the_sketchs_hints_stay() -> None:
    event = accept(line(embedding=VECTOR, sketch=sketch("Summarise this mail").model_dump(mode="json")), place="t/0/0")
    assert isinstance(event, RequestStarted)
    assert event.sketch == sketch("Summarise this mail").model_copy(update={"features": embed(VECTOR)})


def test_tokens_that_were_counted_stay() -> None:
    event = accept(line(embedding=VECTOR, input_tokens=77), place="t/0/0")
    assert isinstance(event, RequestStarted) and event.sketch is not None
    assert (event.input_tokens, event.sketch.tokens) == (77, 77)


def test_null_is_none() -> None:
    event = accept(line(embedding=None), place="t/0/0")
    assert isinstance(event, RequestStarted) and event.sketch is None


@bad
def test_a_bad_one_is_a_dead_letter_with_a_clear_sentence_and_without_the_vector(vector: Any) -> None:
    letter = accept(line(embedding=vector, query="Summarise this mail"), place="t/0/7")
    assert isinstance(letter, EventRejected)
    assert (letter.reason.code, letter.reason.message, letter.place) == ("invalid_field", SENTENCE, "t/0/7")
    payload = base64.b64decode(letter.payload)
    assert b"embedding" not in payload and b"mail" not in payload and b'"r1"' in payload


@given(JSON)
@example(10**400)
@example([10**400, 1])
@example(json.loads("[" * 100 + "]" * 100))
def test_any_is_answered(vector: Any) -> None:
    event = accept(line(embedding=vector), place="t/0/0")
    assert isinstance(event, RequestStarted | EventRejected)


@pytest.mark.parametrize("fields", [{"sketch": "none"}, {"input_tokens": "many"}])
def test_bad_fields_beside_a_good_one_are_dead_letters(fields: dict[str, Any]) -> None:
    letter = accept(line(embedding=VECTOR, **fields), place="t/0/0")
    assert isinstance(letter, EventRejected) and letter.reason.code == "invalid_field" and letter.reason.message.startswith("no sketch: ")


# embedded


def test_a_request_is_recorded_with_it() -> None:
    with opened() as optimizer:
        optimizer.record_request_start("r1", scope="chat", track="a", embedding=VECTOR)
        attempt = optimizer._core.scope("chat").join.flying["r1", "a"]
    assert attempt.context.features == bytes(value & 0xFF for value in embed(VECTOR))


def test_a_decision_is_made_by_it_and_hands_it_on() -> None:
    with opened() as optimizer:
        decision = optimizer.recommend("chat", request_id="r1", embedding=VECTOR)
        assert decision.sketch is not None and decision.sketch.features == embed(VECTOR)
        optimizer.record_request_start("r1", scope="chat", decision=decision)
        attempt = optimizer._core.scope("chat").join.flying["r1", decision.track]
    assert attempt.context.features == bytes(value & 0xFF for value in embed(VECTOR))


@bad
def test_a_bad_one_raises_and_nothing_is_recorded(vector: Any) -> None:
    with opened() as optimizer:
        for ask in (
            lambda: optimizer.record_request_start("r1", scope="chat", track="a", embedding=vector),
            lambda: optimizer.recommend("chat", request_id="r1", embedding=vector),
        ):
            with pytest.raises(ValueError, match=f"^{SENTENCE}$"):
                ask()
        assert optimizer.status() == {} and list(optimizer.outputs()) == []


def test_lines_with_a_bad_one_are_kept_as_dead_letters_and_the_others_folded() -> None:
    with opened() as optimizer:
        optimizer.record_lines([line(embedding=[0.1] * 10_000, track="a"), line(embedding=VECTOR, track="a", request_id="r2", event_id="e2")])
        assert [letter.reason.message for letter in optimizer.dead_letters()] == [SENTENCE]
        assert list(optimizer._core.scope("chat").join.flying) == [("r2", "a")]


# producers and routers


@bad
def test_a_producer_raises_in_the_caller(vector: Any) -> None:
    async def publish() -> None:
        await Producer(KafkaSettings()).request_started(scope="chat", request_id="r1", track="a", embedding=vector)

    with pytest.raises(ValueError, match=f"^{SENTENCE}$"):
        asyncio.run(publish())


@pytest.mark.parametrize("vector", [VECTOR, tuple(VECTOR), [1, -2, 0], [1e300] * 8192])
def test_a_router_decides_by_it_as_the_core_does(vector: Sequence[float]) -> None:
    with opened() as optimizer:
        for number in range(20):
            optimizer.record_request_start(f"r{number}", scope="chat", track="ab"[number % 2], embedding=vector, occurred_at=NOW + number)
            optimizer.record_request_completion(
                f"r{number}", scope="chat", track="ab"[number % 2], success=True, latency_ms=500.0, quality_score=0.5, occurred_at=NOW + number + 0.5
            )
        view = View(clock=lambda: NOW)
        for _, output in optimizer.outputs():
            view.add(output)
        decision = optimizer.recommend("chat", request_id="r99", embedding=vector)
        routed = view.decide("chat", request_id="r99", embedding=vector)
    assert (routed.track, routed.propensity, routed.policy_version) == (decision.track, decision.propensity, decision.policy_version)
    assert decision.policy_version > 1
