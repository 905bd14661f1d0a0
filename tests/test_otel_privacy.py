"""What stands in content attributes goes nowhere: not into events, dead letters, logs, errors, metrics or the database."""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import caught_up, serving
from spans import CHAT, as_json, both, export, span

from pointsman.schemas import OptimizationConfig, encode
from pointsman.streams.otel import Adapter
from pointsman.streams.otel_events import events_of

SECRET = "canaryzebra"
MESSAGES = json.dumps([{"role": "user", "parts": [{"type": "text", "content": f"Tell nobody of {SECRET}"}]}])
CONTENT = {
    "gen_ai.prompt": MESSAGES,
    "gen_ai.completion": MESSAGES,
    "gen_ai.input.messages": MESSAGES,
    "gen_ai.output.messages": MESSAGES,
    "gen_ai.system_instructions": MESSAGES,
    "gen_ai.tool.definitions": MESSAGES,
    "gen_ai.tool.call.arguments": SECRET,
    "gen_ai.tool.call.result": SECRET,
    "gen_ai.retrieval.query.text": SECRET,
    "gen_ai.evaluation.explanation": SECRET,
    "gen_ai.prompt.0.content": SECRET,
    "gen_ai.completion.0.content": SECRET,
    "llm.prompts.0.content": SECRET,
    "llm.completions.0.content": SECRET,
    "llm.input_messages.0.message.content": SECRET,
    "llm.output_messages.0.message.content": SECRET,
    "llm.invocation_parameters": SECRET,
    "llm.prompt_template.template": SECRET,
    "embedding.embeddings.0.embedding.text": SECRET,
    "retrieval.documents.0.document.content": SECRET,
    "input.value": SECRET,
    "output.value": SECRET,
    "traceloop.entity.input": SECRET,
    "traceloop.entity.output": SECRET,
    "langfuse.observation.input": SECRET,
    "exception.message": SECRET,
    "http.request.body": SECRET,
    "error.type": f"no answer to {SECRET}",
    "anything.else": SECRET,
}
_TOLD = {"content": SECRET, "body": SECRET, "gen_ai.prompt": MESSAGES, "gen_ai.completion": MESSAGES, "gen_ai.input.messages": MESSAGES}
EVENTS = [
    (name, 5, _TOLD | {"exception.message": SECRET})
    for name in (
        "gen_ai.content.prompt",
        "gen_ai.content.completion",
        "gen_ai.user.message",
        "gen_ai.choice",
        "gen_ai.client.inference.operation.details",
        "exception",
        "gen_ai.evaluation.result",
        SECRET,
    )
]
FULL = [
    span({**CHAT, **CONTENT}, name=f"chat {SECRET}", events=EVENTS, error=f"it said {SECRET}"),
    span({**CONTENT, "gen_ai.operation.name": "execute_tool"}, name=SECRET),
    span({**CHAT, **CONTENT, "gen_ai.usage.input_tokens": -1, "pointsman.propensity": 7.0}),  # a dead letter
    span({"gen_ai.evaluation.name": "e", "gen_ai.evaluation.score.value": 7.0, "gen_ai.evaluation.explanation": SECRET}, parent=0),  # a dead letter
]


@pytest.mark.parametrize("place", [0, 1])
def test_content_is_in_no_event_and_no_dead_letter(place: int) -> None:
    body = both(export(*FULL, resource={"service.name": "chat", "process.command_line": SECRET}))[place]
    found = events_of(Adapter(), body, "spans", Counter())
    said = b"\n".join(encode(event) for event in found)
    assert len(found) == 5 and b"event.rejected/1" in said and b'"minhash"' in said
    assert SECRET.encode() not in said and b"nobody" not in said


def test_content_reaches_neither_answers_nor_the_database_nor_logs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    request = export(*FULL)
    broken = [request.SerializeToString()[:-3], as_json(request)[:-3], as_json(request).replace(b'"resourceSpans": [', b'"resourceSpans": ["canaryzebra", ')]
    caplog.set_level(logging.DEBUG)
    with serving(tmp_path / "pointsman.db", OptimizationConfig()) as client:
        bodies = [*zip((*both(request), *broken), ("x-protobuf", "json", "x-protobuf", "json", "json"), strict=True)]
        answers = [client.post("/v1/traces", content=body, headers={"content-type": f"application/{kind}"}) for body, kind in bodies]
        said = [answer.text for answer in answers] + [json.dumps(caught_up(client, "0")), client.get("/metrics").text, client.get("/v1/status").text]
    assert [answer.status_code for answer in answers] == [200, 200, 400, 400, 400]
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert SECRET not in "".join(said) + caplog.text and SECRET.encode() not in kept and b"nobody" not in kept


STRUCTURES: Any = st.recursive(
    st.sampled_from([SECRET, f"{SECRET} {SECRET}", 7, True, None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "parts", "text", "messages", SECRET]), inner, max_size=3),
)
NAMES = [name for name in CONTENT if name != "error.type"]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), STRUCTURES, max_size=4), st.integers(min_value=0, max_value=40))
def test_content_of_any_shape_is_dropped(content: dict[str, Any], cut: int) -> None:
    attributes = {name: value if isinstance(value, str) else json.dumps(value)[: cut or None] for name, value in content.items()}
    body = export(span({**CHAT, **attributes})).SerializeToString()
    assert all(SECRET.encode() not in encode(event) for event in events_of(Adapter(), body, "spans", Counter()))


@pytest.mark.parametrize(
    "name", ["gen_ai.conversation.id", "gen_ai.provider.name", "pointsman.propensity", "pointsman.recommendation_id", "pointsman.policy_version"]
)
@pytest.mark.parametrize("value", [{"stringValue": "my secret " * 30}, {"arrayValue": {"values": [{"stringValue": "my secret"}]}}])
def test_a_name_that_can_be_none_is_dropped_and_its_event_is_kept(name: str, value: dict[str, Any]) -> None:
    document = json.loads(as_json(export(span({key: said for key, said in CHAT.items() if key != name}))))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"].append({"key": name, "value": value})
    events = events_of(Adapter(), json.dumps(document).encode(), "spans", Counter())
    assert [event.TYPE for event in events] == ["request.started/1", "request.completed/1"]
    assert not any("secret" in event.model_dump_json() for event in events)
