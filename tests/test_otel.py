"""GenAI spans become events: which span is a request, by which names, on which track, and what went wrong."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openinference.semconv.trace import SpanAttributes
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind
from spans import CHAT, MS, START_NS, as_json, both, export, remote, span

from pointsman.models.sketch import sketch
from pointsman.schemas import AnyInput, EventRejected, OptimizationConfig, QualityAssessed, RequestCompleted, RequestStarted
from pointsman.schemas.settings import OtelSettings, OtelTrack
from pointsman.streams.core import Core
from pointsman.streams.otel import Adapter
from pointsman.streams.otel_attributes import ASSESSOR, INPUT, LABEL, NAMES, SCORE, VERSIONS, found, recognised
from pointsman.streams.otel_events import events_of
from pointsman.streams.otel_nesting import Call, Nesting
from pointsman.streams.otlp import OtlpError, Span, decode

OPENAI = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


def told(body: bytes, otel: OtelSettings | None = None, counts: Counter[str] | None = None) -> list[Any]:
    return events_of(Adapter(otel), body, "spans", Counter() if counts is None else counts)


def of(*spans: dict[str, Any], otel: OtelSettings | None = None, counts: Counter[str] | None = None, **options: Any) -> list[Any]:
    """The events of spans; both encodings must agree."""
    protobuf, plain = both(export(*spans, **options))
    events = told(protobuf, otel, counts)
    assert told(plain, otel) == events
    return events


def request(*spans: dict[str, Any], **options: Any) -> tuple[RequestStarted, RequestCompleted]:
    started, completed = of(*spans, **options)
    assert isinstance(started, RequestStarted) and isinstance(completed, RequestCompleted)
    return started, completed


def test_a_client_span_is_a_start_and_a_completion() -> None:
    started, completed = request(span())
    identity = "0000000000000002" + "0" * 16 + "-0000000000000003"
    common = {"scope": "chat", "source": "otel/1.41", "request_id": identity, "track": "gpt-4o", "input_tokens": 12}
    assert started.model_dump(exclude_none=True) == common | {
        "type": "request.started/1",
        "event_id": f"{identity}/started",
        "occurred_at": 1_763_700_000.0,
        "max_output_tokens": 200,
        "conversation_id": "c1",
        "traceparent": f"00-{identity}-01",
        "attributes": {"model": "gpt-4o", "provider": "openai", "operation": "chat"},
    }
    assert completed.model_dump(exclude_none=True) == common | {
        "type": "request.completed/1",
        "event_id": f"{identity}/completed",
        "occurred_at": 1_763_700_000.8,
        "success": True,
        "latency_ms": 800.0,
        "ttft_ms": 250.0,
        "output_tokens": 30,
    }


def test_events_come_in_the_order_of_their_times() -> None:
    events = of(span(ms=5000), span(ms=100), span(ms=100))
    assert [event.occurred_at - 1_763_700_000.0 for event in events] == pytest.approx([0.0, 1.0, 1.1, 2.0, 2.1, 5.0])


@pytest.mark.parametrize(
    ("version", "attributes"),
    [
        ("1.25", {"gen_ai.system": "openai", **OPENAI, "gen_ai.usage.prompt_tokens": 12, "gen_ai.usage.completion_tokens": 30}),
        ("1.27", {"gen_ai.system": "openai", **OPENAI, "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 30}),
        ("1.34", {"gen_ai.system": "openai", **OPENAI, "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 30, "gen_ai.conversation.id": "c1"}),
        ("1.37", {"gen_ai.provider.name": "openai", **OPENAI, "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 30}),
        ("1.41", CHAT),
        (
            "openllmetry",
            {
                "llm.vendor": "OpenAI",
                "llm.request.type": "chat",
                "llm.request.model": "gpt-4o",
                "llm.usage.prompt_tokens": 12,
                "llm.usage.completion_tokens": 30,
            },
        ),
        (
            "openinference",
            {
                "openinference.span.kind": "LLM",
                "llm.system": "openai",
                "llm.model_name": "gpt-4o",
                "llm.token_count.prompt": 12,
                "llm.token_count.completion": 30,
            },
        ),
    ],
)
def test_every_version_says_the_same(version: str, attributes: dict[str, Any]) -> None:
    started, completed = request(span(attributes))
    assert started.source == f"otel/{version}"
    assert started.attributes == {"model": "gpt-4o", "provider": "openai", "operation": "chat"}
    assert (completed.track, completed.input_tokens, completed.output_tokens) == ("gpt-4o", 12, 30)


def test_a_schema_url_says_the_version_and_names_of_another_are_read_all_the_same() -> None:
    started, completed = request(span(CHAT), schema_url="https://opentelemetry.io/schemas/1.27.0")
    assert (started.source, completed.input_tokens) == ("otel/1.27", 12)


@pytest.mark.parametrize(
    ("url", "version"),
    [("1.20.0", "1.25"), ("1.26.0", "1.25"), ("1.36.0", "1.34"), ("1.40.0", "1.37"), ("1.44.0", "1.41"), ("9.1.0", "1.41"), ("gen-ai/0.1.0", "1.41")],
)
def test_the_newest_table_that_is_not_newer_than_the_schema_is_taken(url: str, version: str) -> None:
    assert recognised(f"https://opentelemetry.io/schemas/{url}", ()) == version


def test_each_version_reads_its_own_name_first() -> None:
    attributes = {"gen_ai.usage.input_tokens": 1, "gen_ai.usage.prompt_tokens": 2, "llm.token_count.prompt": 3}
    assert [found(version, "input_tokens", attributes) for version in ("1.25", "1.27", "openinference")] == [2, 1, 3]
    assert all(set(fields) == set(VERSIONS["1.25"]) for fields in NAMES.values())


def constants(of: Any) -> set[str]:
    """What the names of a module or a class stand for."""
    return {value for value in vars(of).values() if isinstance(value, str)}


def test_names_are_those_of_the_packages_of_the_conventions() -> None:
    known = constants(gen_ai_attributes)
    usual = {"gen_ai.usage.cost", "gen_ai.usage.total_cost", "gen_ai.latency.time_to_first_token"}
    own = {name for version in VERSIONS if version[0].isdigit() for names in VERSIONS[version].values() for name in names}
    assert own - known == usual
    assert {SCORE, LABEL, ASSESSOR, *INPUT[:2]} <= known
    inference = {name for names in VERSIONS["openinference"].values() for name in names}
    assert inference <= constants(SpanAttributes)


def test_a_provider_that_was_renamed_has_one_name() -> None:
    started, _ = request(span({"gen_ai.system": "az.ai.openai", **OPENAI}))
    assert started.attributes is not None and started.attributes["provider"] == "azure.ai.openai"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"attributes": {**CHAT, "gen_ai.operation.name": "execute_tool"}}, "other_operation"),
        ({"attributes": {**CHAT, "gen_ai.operation.name": "invoke_agent"}}, "other_operation"),
        ({"attributes": {"openinference.span.kind": "CHAIN"}}, "other_operation"),
        ({"attributes": CHAT, "kind": SpanKind.SERVER}, "not_a_client"),
        ({"attributes": {"http.request.method": "GET"}}, "not_genai"),
        ({"attributes": {"gen_ai.operation.name": "chat"}}, "no_model"),
    ],
)
def test_other_spans_are_counted_with_their_reason(fields: dict[str, Any], reason: str) -> None:
    counts: Counter[str] = Counter()
    assert of(span(**fields), counts=counts) == [] and counts[reason] == 1


def test_a_span_of_before_there_were_operations_is_a_request() -> None:
    started, _ = request(span({"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4"}, kind=SpanKind.INTERNAL))
    assert (started.track, started.source) == ("gpt-4", "otel/1.27")


@pytest.mark.parametrize(
    ("attributes", "track"),
    [
        ({"pointsman.track": "mine", "server.address": "10.0.0.5"}, "mine"),
        ({"server.address": "10.0.0.5"}, "local"),
        ({"server.address": "example.org", "server.port": 8000}, "vllm"),
        ({}, "small"),
        ({"gen_ai.request.model": "gpt-5"}, "openai/gpt-5"),
    ],
)
def test_a_track_is_named_by_the_span_or_the_first_rule_that_matches(attributes: dict[str, Any], track: str) -> None:
    rules = (OtelTrack(track="local", server_address="10.*"), OtelTrack(track="vllm", server_address="*:8000"), OtelTrack(track="small", model="gpt-4o*"))
    started, completed = request(span({**CHAT, **attributes}), otel=OtelSettings(tracks=rules, name="provider/model"))
    assert started.track == completed.track == track


@pytest.mark.parametrize(
    ("resource", "scope"),
    [({"pointsman.scope": "tenant", "service.name": "chat"}, "tenant"), ({"service.name": "assistant"}, "assistant"), ({}, "unknown_service")],
)
def test_the_scope_is_the_resources(resource: dict[str, Any], scope: str) -> None:
    assert {event.scope for event in of(span(), resource=resource)} == {scope}


def test_a_decision_is_kept_with_its_propensity() -> None:
    started, _ = request(span({**CHAT, "pointsman.propensity": 0.25, "pointsman.policy_version": 7, "pointsman.recommendation_id": "chat/1/0"}))
    assert (started.propensity, started.policy_version, started.recommendation_id) == (0.25, 7, "chat/1/0")


@pytest.mark.parametrize(
    ("attributes", "kind", "cause"),
    [
        ({"error.type": "timeout"}, "timeout", "timeout"),
        ({"error.type": "openai.APITimeoutError"}, "openai.APITimeoutError", "timeout"),
        ({"error.type": "504"}, "504", "timeout"),
        ({"error.type": "429"}, "429", "provider"),
        ({"error.type": "openai.RateLimitError"}, "openai.RateLimitError", "provider"),
        ({"error.type": "500"}, "500", "provider"),
        ({"error.type": "anthropic.OverloadedError"}, "anthropic.OverloadedError", "provider"),
        ({"error.type": "400"}, "400", "client"),
        ({"error.type": "openai.BadRequestError"}, "openai.BadRequestError", "client"),
        ({"error.type": "asyncio.CancelledError"}, "asyncio.CancelledError", "cancelled"),
        ({"error.type": "499"}, "499", "cancelled"),
        ({"error.type": "_OTHER", "http.response.status_code": 503}, "_OTHER", "provider"),
        ({"http.response.status_code": 404}, "404", "client"),
        ({}, "other", "unknown"),
        ({"error.type": "the prompt was about cats"}, "other", "unknown"),
    ],
)
def test_a_failure_is_of_the_one_whose_fault_it_was(attributes: dict[str, Any], kind: str, cause: str) -> None:
    _, completed = request(span({**CHAT, **attributes}, error="it failed"))
    assert (completed.success, completed.error_type, completed.failure_class) == (False, kind, cause)


def test_an_exceptions_type_names_the_failure_and_its_message_does_not() -> None:
    events = [("exception", 700, {"exception.type": "httpx.ReadTimeout", "exception.message": "no answer to: my secret"})]
    _, completed = request(span(error="no answer to: my secret", events=events))
    assert (completed.error_type, completed.failure_class) == ("httpx.ReadTimeout", "timeout")


def test_the_first_tokens_event_gives_the_ttft_where_no_attribute_does() -> None:
    attributes = {name: value for name, value in CHAT.items() if "first" not in name}
    chunks: list[Any] = [("llm.content.completion.chunk", after, {}) for after in (120, 240)]
    assert request(span(attributes, events=chunks))[1].ttft_ms == 120.0
    assert request(span(attributes, events=[("first_token", 900, {})]))[1].ttft_ms is None


def alone(whole: Any, one: Any) -> bytes:
    """An export with this one of its spans."""
    part = type(whole).FromString(whole.SerializeToString())
    spans = part.resource_spans[0].scope_spans[0].spans
    del spans[:]
    spans.append(one)
    found: bytes = part.SerializeToString()
    return found


(SPAN,) = decode(export(span()).SerializeToString()).spans


def below(number: int) -> Span:
    """A span below the one of this number."""
    return replace(SPAN, trace_id="1" * 32, parent_id=f"{number:016x}")


FRAMEWORK = {"openinference.span.kind": "LLM", "llm.provider": "openai", "llm.model_name": "openai/gpt-4o"}
OUTER = span(FRAMEWORK, kind=SpanKind.INTERNAL, ms=3000)


def test_a_call_that_a_framework_and_its_client_describe_counts_once_as_the_clients() -> None:
    counts: Counter[str] = Counter()
    started, completed = of(OUTER, span(parent=0), counts=counts)
    assert (started.source, started.request_id, completed.latency_ms) == ("otel/1.41", "0000000000000002" + "0" * 16 + "-0000000000000004", 800.0)
    assert (counts["requests"], counts["described_below"]) == (1, 1)


def test_what_stands_between_the_two_does_not_matter_and_every_attempt_counts() -> None:
    between = span({"http.request.method": "POST"}, parent=0)
    assert len(of(OUTER, between, span(parent=1), span(parent=1))) == 4


def test_a_call_of_another_model_or_below_a_tool_is_one_of_its_own() -> None:
    tool = span({"gen_ai.operation.name": "execute_tool"}, kind=SpanKind.INTERNAL, parent=0)
    assert len(of(OUTER, span({**CHAT, "gen_ai.request.model": "gpt-4o-mini"}, parent=0))) == 4
    assert len(of(OUTER, tool, span(parent=1))) == 4


def test_the_outer_span_of_a_later_export_is_known_to_be_the_same_call() -> None:
    adapter, counts = Adapter(), Counter[str]()
    whole = export(OUTER, span({"http.request.method": "POST"}, parent=0), span(parent=1))
    events = [event for one in whole.resource_spans[0].scope_spans[0].spans[::-1] for event in events_of(adapter, alone(whole, one), "spans", counts)]
    assert (len(events), counts["described_below"]) == (2, 1)


def test_a_judgement_of_the_outer_span_is_one_of_the_request() -> None:
    events = of(OUTER, span(parent=0), span(evaluation(), kind=SpanKind.INTERNAL, links=(0,)))
    assert events[-1].TYPE == "quality.assessed/1" and events[-1].request_id == events[0].request_id


def test_spans_that_are_each_others_parents_are_requests() -> None:
    document = json.loads(as_json(export(span(), span())))
    first, second = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    second["traceId"], first["parentSpanId"], second["parentSpanId"] = first["traceId"], second["spanId"], first["spanId"]
    assert len(told(json.dumps(document).encode())) >= 2


def test_what_is_known_of_nesting_is_bounded() -> None:
    nesting = Nesting()
    for number in range(1, 20_000):
        nesting.counted(below(number), Call("chat", "m"), "r")
    for number in range(20):
        nesting.counted(below(7), Call("chat", f"m{number}"), f"r{number}")
    assert nesting.remembered == 16_384
    assert [nesting.below(replace(SPAN, trace_id="1" * 32, span_id=f"{7:016x}"), Call("chat", f"m{number}")) for number in (11, 12)] == [None, "r12"]


def test_a_cost_is_taken_where_an_attribute_has_it() -> None:
    assert request(span({**CHAT, "gen_ai.usage.cost": 0.0021}))[1].cost_usd == 0.0021
    assert request(span({**CHAT, "llm.cost.total": 0.5}))[1].cost_usd == 0.5


def evaluation(score: float | None = 0.75, **fields: Any) -> dict[str, Any]:
    return {"gen_ai.evaluation.name": "relevance"} | ({"gen_ai.evaluation.score.value": score} if score is not None else {}) | fields


def test_an_evaluation_on_the_request_itself_comes_after_its_completion_and_is_learned() -> None:
    events = of(span(events=[("gen_ai.evaluation.result", 10, evaluation())]))
    judged = events[-1]
    assert isinstance(judged, QualityAssessed) and [event.occurred_at for event in events[1:]] == [1_763_700_000.8] * 2
    assert (judged.score, judged.assessor, judged.track, judged.request_id) == (0.75, "relevance", "gpt-4o", events[0].request_id)


def test_judgements_are_learned_from() -> None:
    core = Core(OptimizationConfig())
    for event in of(*[span(events=[("gen_ai.evaluation.result", 10, evaluation(0.2))]) for _ in range(40)]):
        core.step(event)
    assert core.status("chat")["tracks"]["gpt-4o"]["expected"]["quality_score"]["median"] == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize("relation", [{"parent": 0}, {"links": (0,)}])
def test_an_evaluation_span_judges_its_parent_or_what_it_links_to(relation: dict[str, Any]) -> None:
    judge = span(evaluation(), kind=SpanKind.INTERNAL, ms=5, **relation)
    started, _, judged = of(span(), judge)
    assert (judged.request_id, judged.track, judged.scope) == (started.request_id, "gpt-4o", "chat")


def test_an_evaluation_of_a_request_in_an_earlier_export_finds_its_track() -> None:
    adapter, counts = Adapter(), Counter[str]()
    whole = export(span(), span(evaluation(), parent=0, kind=SpanKind.INTERNAL))
    events = [event for one in whole.resource_spans[0].scope_spans[0].spans for event in events_of(adapter, alone(whole, one), "spans", counts)]
    assert [event.track for event in events] == ["gpt-4o"] * 3  # type: ignore[union-attr]


def test_an_evaluation_of_an_unknown_request_is_a_dead_letter() -> None:
    (letter,) = of(span(evaluation(), kind=SpanKind.INTERNAL, links=(remote(7, 7),)))
    assert isinstance(letter, EventRejected) and letter.reason.code == "missing_field" and "track" in letter.reason.message


def test_an_evaluation_that_names_no_request_is_counted() -> None:
    counts: Counter[str] = Counter()
    assert of(span(evaluation(), kind=SpanKind.INTERNAL), counts=counts) == [] and counts["judges_no_request"] == 1


def test_pass_and_fail_are_scores_and_other_labels_are_counted() -> None:
    marks = [{"gen_ai.evaluation.score.label": label, "gen_ai.evaluation.name": "g"} for label in ("pass", "fail", "meh")]
    counts: Counter[str] = Counter()
    events = of(span(events=[("gen_ai.evaluation.result", 10, mark) for mark in marks]), counts=counts)
    assert [event.score for event in events[2:]] == [1.0, 0.0] and counts["no_score"] == 1


MESSAGES = [{"role": "system", "parts": [{"type": "text", "content": "Be kind"}]}, {"role": "user", "parts": [{"type": "text", "content": "Sort a list"}]}]


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.input.messages": json.dumps(MESSAGES)},
        {"gen_ai.prompt": '[{"role": "user", "content": "Sort a list"}]'},
        {"gen_ai.prompt": "Sort a list"},
        {"gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "Be kind", "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": "Sort a list"},
        {"llm.prompts.0.role": "user", "llm.prompts.0.content": "Sort a list"},
        {"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "Sort a list"},
        {"input.value": '{"messages": [{"role": "user", "content": [{"type": "text", "text": "Sort a list"}]}]}'},
        {"input.value": "Sort a list"},
        {"embedding.embeddings.0.embedding.text": "Sort a list"},
    ],
)
def test_the_input_text_is_sketched_wherever_it_stands(attributes: dict[str, Any]) -> None:
    assert request(span({**CHAT, **attributes}))[0].sketch == sketch("Sort a list")


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("gen_ai.content.prompt", {"gen_ai.prompt": '[{"role": "user", "content": "Sort a list"}]'}),
        ("gen_ai.user.message", {"content": "Sort a list"}),
        ("gen_ai.client.inference.operation.details", {"gen_ai.input.messages": json.dumps(MESSAGES)}),
    ],
)
def test_the_input_text_is_sketched_from_span_events(name: str, attributes: dict[str, Any]) -> None:
    assert request(span(events=[(name, 0, attributes)]))[0].sketch == sketch("Sort a list")


def test_a_span_sent_again_changes_nothing() -> None:
    core = Core(OptimizationConfig())
    body = export(*[span() for _ in range(20)]).SerializeToString()
    events: list[AnyInput] = told(body)
    for event in events:
        core.step(event)
    known = core.status("chat")
    assert [output for event in told(body) for output in core.step(event)] == []
    assert core.status("chat") == known | {"duplicates": 40}


def changed(**fields: Any) -> bytes:
    """A chat as OTLP/JSON, with other fields in its span."""
    document = json.loads(as_json(export(span())))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0].update(fields)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"traceId": "xyz"}, "bad_id"),
        ({"spanId": "0" * 16}, "bad_id"),
        ({"endTimeUnixNano": "1"}, "bad_time"),
        ({"startTimeUnixNano": "now"}, "bad_integer"),
        ({"startTimeUnixNano": 10**400}, "bad_integer"),
        ({"attributes": {"a": 1}}, "not_a_list_of_objects"),
    ],
)
def test_a_span_that_cannot_be_read_is_a_dead_letter_with_its_place_and_without_bytes(fields: dict[str, Any], code: str) -> None:
    body = changed(**fields)
    (letter,) = told(body)
    assert (letter.reason.code, letter.place, letter.payload, letter.payload_bytes) == ("unreadable_spans", "spans", "", len(body))
    assert f"1 {code}" in letter.reason.message


def test_an_attribute_that_is_no_finite_number_is_none() -> None:
    huge = [{"key": "gen_ai.request.model", "value": {"stringValue": "m"}}, {"key": "gen_ai.system", "value": {"stringValue": "s"}}]
    huge += [{"key": "gen_ai.usage.cost", "value": {"doubleValue": 10**400}}]
    _, completed = told(changed(attributes=huge))
    assert completed.cost_usd is None


def test_ids_that_are_none_are_not_kept() -> None:
    marks = [{"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": 0.5}}]
    body = changed(kind=1, attributes=marks, links=[{"traceId": "secret", "spanId": "secret"}], parentSpanId="secret")
    assert told(body) == []


def test_every_dead_letter_has_a_place_and_so_an_id_of_its_own() -> None:
    letters = of(span({**CHAT, "pointsman.track": "t" * 300}))
    assert [(letter.place, letter.event_id) for letter in letters] == [("spans#0", "rejected/spans#0"), ("spans#1", "rejected/spans#1")]


def test_names_of_enums_and_upper_case_ids_are_understood() -> None:
    identity = json.loads(as_json(export(span())))["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"]
    assert told(changed(kind="SPAN_KIND_CLIENT", traceId=identity.upper())) == told(changed())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"resourceSpans": {}}', b'{"resourceSpans": [1]}', b'{"resourceSpans": [{"resource": {"attributes": 1}}]}', b"\xff"]
)
def test_what_is_no_otlp_is_one_dead_letter(body: bytes) -> None:
    letters = told(body)
    assert [letter.reason.code for letter in letters] == (["malformed_otlp"] if body else [])  # nothing at all is an empty message


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400) | st.binary(max_size=200).map(lambda tail: export(span()).SerializeToString()[:120] + tail))
def test_any_bytes_are_spans_or_an_error_that_quotes_nothing(body: bytes) -> None:
    try:
        Adapter().adapt(decode(body))
    except OtlpError as error:
        assert str(error).isascii()


def values(inner: Any) -> Any:
    names = ("stringValue", "intValue", "doubleValue", "arrayValue", "kvlistValue", "values", "key", "value", "name", "attributes", "timeUnixNano")
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=3)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), values)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["kind", "status", "events", "links", "attributes", "startTimeUnixNano", "parentSpanId", "traceId"]), JSON, max_size=4))
def test_any_json_in_a_span_is_events_or_dead_letters(fields: dict[str, Any]) -> None:
    document = json.loads(as_json(export(span())))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0].update(fields)
    told(json.dumps(document).encode())


def test_what_is_remembered_is_bounded() -> None:
    adapter = Adapter()
    for first in range(1, 40_000, 2_000):
        adapter.adapt(decode(export(*[span() for _ in range(1_000)], first=first).SerializeToString()))
    assert adapter.remembered == 16_384


def test_times_are_kept_to_the_microsecond() -> None:
    started, completed = request(span(start=START_NS + 123_456_789, ms=1))
    assert (started.occurred_at, completed.latency_ms) == (1_763_700_000.123457, 1.0)
    assert completed.occurred_at == pytest.approx((START_NS + 123_456_789 + MS) / 1e9, abs=1e-6)
