"""OTLP over HTTP: the real SDK with its real exporter against a running server, and what the server answers."""

import gzip
import json
import re
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord
from opentelemetry.context import get_current
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanKind
from serving import CONFIG, TOKEN, serving
from spans import CHAT, as_json, both, export, many, span

from pointsman.schemas import OptimizationConfig, QualityAssessed, decode
from pointsman.schemas.settings import OtelSettings, OtelTrack, load
from pointsman.streams.record import record_database

OPEN = OptimizationConfig()
PROTOBUF, JSON = {"content-type": "application/x-protobuf"}, {"content-type": "application/json"}


def completed(client: httpx.Client, scope: str = "chat") -> int:
    """How many requests of a scope are done."""
    state = client.get("/v1/status").json().get(scope, {"tracks": {}})
    return sum(track["completed"] for track in state["tracks"].values())


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_the_sdks_exporter_reports_every_request(compression: Compression) -> None:
    with serving(config=OPEN) as client:
        exporter = OTLPSpanExporter(f"{client.base_url}/v1/traces", headers={"authorization": f"Bearer {TOKEN}"}, compression=compression)
        provider = TracerProvider(resource=Resource.create({"service.name": "chat"}), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=64))
        tracer = provider.get_tracer("gateway")
        for _ in range(200):
            with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT, attributes=CHAT), tracer.start_as_current_span("inner"):
                pass
        provider.shutdown()
        assert completed(client) == 200
        assert 'pointsman_otel_spans_total{outcome="not_genai"} 200.0' in client.get("/metrics").text


def test_the_token_comes_from_the_exporters_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(config=OPEN) as client:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", str(client.base_url))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{TOKEN.replace(' ', '%20')}")
        assert OTLPSpanExporter().export([]) is SpanExportResult.SUCCESS
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20wrong")
        assert OTLPSpanExporter().export([]) is SpanExportResult.FAILURE


def test_both_encodings_are_answered_in_kind_and_a_span_sent_again_changes_nothing() -> None:
    protobuf, plain = both(export(*many(10)))
    with serving(config=OPEN) as client:
        first = client.post("/v1/traces", content=protobuf, headers=PROTOBUF)
        second = client.post("/v1/traces", content=plain, headers=JSON | {"content-type": "application/json; charset=utf-8"})
        assert (first.status_code, first.content, first.headers["content-type"]) == (200, b"", "application/x-protobuf")
        assert (second.status_code, second.json(), second.headers["content-type"]) == (200, {}, "application/json")
        assert completed(client) == 10 and client.get("/v1/status").json()["chat"]["duplicates"] == 20


def test_what_could_not_be_recorded_is_a_partial_success() -> None:
    request = export(span(), span({**CHAT, "pointsman.track": "local"}), span({"gen_ai.operation.name": "execute_tool"}))
    request.resource_spans[0].scope_spans[0].spans[1].span_id = b"short"
    with serving() as client:  # has the tracks `local` and `api`: the first span's is unknown, the second has no id
        answer = client.post("/v1/traces", content=request.SerializeToString(), headers=PROTOBUF)
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
        plain = client.post("/v1/traces", content=as_json(export(span())), headers=JSON).json()
        assert completed(client) == 0
    assert (answer.status_code, partial.rejected_spans) == (200, 2)
    assert partial.error_message.startswith("1 bad_id; unknown_track: track 'gpt-4o' is not configured")
    assert plain["partialSuccess"]["rejectedSpans"] == "1"


def test_the_settings_name_tracks() -> None:
    with serving(config=CONFIG, otel=OtelSettings(tracks=(OtelTrack(track="api", provider="openai"),))) as client:
        client.post("/v1/traces", content=both(export(span()))[0], headers=PROTOBUF).raise_for_status()
        assert client.get("/v1/status").json()["chat"]["tracks"]["api"]["completed"] == 1


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_what_is_no_otlp_is_told_as_a_status(kind: dict[str, str]) -> None:
    with serving(config=OPEN) as client:
        answer = client.post("/v1/traces", content=b"\xff{", headers=kind)
    assert answer.status_code == 400 and answer.headers["content-type"] == kind["content-type"]
    status = Status.FromString(answer.content) if kind is PROTOBUF else Status(**answer.json())
    assert status.code == 3 and "ExportTraceServiceRequest" in status.message


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (PROTOBUF | {"content-encoding": "gzip"}, b"not gzip", 400),
        (PROTOBUF | {"content-encoding": "gzip"}, gzip.compress(b"\x00" * 5_000)[:-12], 400),
        (PROTOBUF | {"content-encoding": "br"}, b"", 415),
        ({"content-type": "text/plain"}, b"", 415),
        (PROTOBUF | {"content-encoding": "gzip"}, gzip.compress(b"\x00" * 50_000_000), 413),
        (PROTOBUF | {"content-encoding": "deflate"}, zlib.compress(b"\x00" * 50_000_000), 413),
        (PROTOBUF, b"\x00" * 300_000, 413),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(headers: dict[str, str], body: bytes, status: int) -> None:
    with serving(config=OPEN, max_body_bytes=200_000) as client:
        assert client.post("/v1/traces", content=body, headers=headers).status_code == status


def test_too_many_at_once_are_told_when_to_try_again() -> None:
    body = both(export(*many(20)))[0]
    with serving(config=OPEN, events_per_s=1.0, burst=50.0) as client:
        answers = [client.post("/v1/traces", content=body, headers=PROTOBUF) for _ in range(2)]
        large = client.post("/v1/traces", content=both(export(*many(20)))[0], headers=PROTOBUF)
    assert [answer.status_code for answer in answers] == [200, 429] and int(answers[1].headers["retry-after"]) >= 25
    assert Status.FromString(large.content).code == 8
    with serving(config=OPEN, max_batch=30) as client:
        assert client.post("/v1/traces", content=body, headers=PROTOBUF).status_code == 413


def test_without_protobuf_json_is_taken_and_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    protobuf, plain = both(export(span()))
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.trace.v1.trace_service_pb2", None)
    with serving(config=OPEN) as client:
        answer = client.post("/v1/traces", content=protobuf, headers=PROTOBUF)
        assert answer.status_code == 415 and "pip install 'pointsman[otel]'" in Status.FromString(answer.content).message
        assert client.post("/v1/traces", content=plain, headers=JSON).status_code == 200


def test_no_token_no_spans() -> None:
    with serving(config=OPEN) as client:
        assert client.post("/v1/traces", content=b"", headers=PROTOBUF | {"authorization": "Bearer wrong"}).status_code == 401


def test_any_bytes_are_answered_and_never_by_a_server_error() -> None:
    encodings = st.sampled_from(["", "gzip", "deflate", "identity", "zstd"])
    kinds = st.sampled_from(["application/json", "application/x-protobuf", "text/html", ""])
    valid = both(export(span()))
    bodies = st.binary(max_size=300) | st.sampled_from([*valid, *(gzip.compress(one) for one in valid)])

    with serving(config=OPEN) as client:

        @settings(max_examples=150, deadline=None, database=None, derandomize=True)
        @given(body=bodies, encoding=encodings, kind=kinds)
        def fuzz(body: bytes, encoding: str, kind: str) -> None:
            answer = client.post("/v1/traces", content=body, headers={"content-type": kind, "content-encoding": encoding})
            assert answer.status_code in (200, 400, 413, 415)

        fuzz()


def test_exports_from_many_threads_are_all_recorded() -> None:
    bodies = [both(export(*many(20), first=1 + 1000 * number))[0] for number in range(8)]
    with serving(config=OPEN) as client:
        threads = [threading.Thread(target=lambda body=body: client.post("/v1/traces", content=body, headers=PROTOBUF)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert completed(client) == 160


def evaluated(client: httpx.Client, event: str = "gen_ai.evaluation.result") -> None:
    """One request by the SDK, and a log record within its span, each by its exporter."""
    place, headers = str(client.base_url).rstrip("/"), {"authorization": f"Bearer {TOKEN}"}
    provider = TracerProvider(resource=Resource.create({"service.name": "chat"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{place}/v1/traces", headers=headers)))
    logs = LoggerProvider(resource=Resource.create({"service.name": "judge"}), shutdown_on_exit=False)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{place}/v1/logs", headers=headers)))
    with provider.get_tracer("gateway").start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=CHAT):
        context = get_current()
    marks: dict[str, Any] = {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.25, "gen_ai.evaluation.explanation": "canaryzebra"}
    logs.get_logger("judge").emit(LogRecord(event_name=event, context=context, timestamp=time.time_ns(), body="canaryzebra", attributes=marks))
    logs.shutdown()
    provider.shutdown()


def test_an_evaluation_that_is_a_log_record_judges_the_request_of_its_context(tmp_path: Path) -> None:
    with serving(tmp_path / "pointsman.db", OPEN) as client:
        evaluated(client)
        assert client.get("/v1/status").json()["chat"]["events"] == 3
        evaluated(client, event="gen_ai.choice")
        assert client.get("/v1/status").json()["chat"]["events"] == 5
        assert 'pointsman_otel_spans_total{outcome="other_record"} 1.0' in client.get("/metrics").text
    recording = tmp_path / "recording.jsonl"
    record_database(tmp_path / "pointsman.db", recording)
    (judged,) = [event for line in recording.read_bytes().splitlines() if isinstance(event := decode(line), QualityAssessed)]
    assert (judged.scope, judged.track, judged.score, judged.assessor) == ("chat", "gpt-4o", 0.25, "relevance")
    assert b"canaryzebra" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def record(**fields: Any) -> bytes:
    """One log record of an evaluation as OTLP/JSON."""
    marks = [{"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": 0.5}}, {"key": "pointsman.track", "value": {"stringValue": "local"}}]
    one = {"eventName": "gen_ai.evaluation.result", "traceId": "ab" * 16, "spanId": "cd" * 8, "timeUnixNano": str(time.time_ns()), "attributes": marks}
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{**one, **fields}]}]}]}).encode()


def test_log_records_are_answered_as_spans_are_and_a_record_sent_again_changes_nothing() -> None:
    body = record()
    with serving() as client:
        answers = [client.post("/v1/logs", content=one, headers=JSON) for one in (body, body, record(spanId="x"), b"{", record(attributes=1))]
        protobuf = client.post("/v1/logs", content=b"\xff", headers=PROTOBUF)
        assert client.get("/v1/status").json()["unknown_service"]["duplicates"] == 1
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400, 200] and protobuf.status_code == 400
    assert [answer.json() for answer in answers[:2]] == [{}, {}]
    assert answers[2].json() == {"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "1 bad_id"}}


def test_the_example_of_the_documentation() -> None:
    text = (Path(__file__).parent.parent / "docs" / "otel.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 12
    with serving(config=OPEN) as client:
        names: dict[str, Any] = {"URL": str(client.base_url).rstrip("/"), "TOKEN": TOKEN}
        exec(compile(code, "docs/otel.md", "exec"), names)
        assert completed(client, "assistant") == 1


def test_the_collectors_configurations_name_what_they_define_and_where_we_listen() -> None:
    text = (Path(__file__).parent.parent / "docs" / "otel.md").read_text()
    http, kafka = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
    for one in (http, kafka):
        pipeline = one["service"]["pipelines"]["traces/pointsman"]
        assert set(pipeline["exporters"]) == set(one["exporters"]) and set(pipeline["processors"]) == set(one["processors"])
    assert http["exporters"]["otlphttp/pointsman"]["endpoint"] == "http://127.0.0.1:8080"  # the exporter adds /v1/traces
    assert kafka["exporters"]["kafka/pointsman"]["traces"] == {"topic": "otlp_spans", "encoding": "otlp_proto"}


def test_the_settings_of_the_documentation_are_settings(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "otel.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "pointsman.toml"
    path.write_text(block)
    assert [rule.track for rule in load(path).otel.tracks] == ["local", "api"]


def test_the_documentation_has_every_name_that_is_read() -> None:
    from pointsman.streams.otel_attributes import INPUT, READ_EVENTS, VERSIONS

    text = (Path(__file__).parent.parent / "docs" / "otel.md").read_text()
    names = {name for table in VERSIONS.values() for of in table.values() for name in of} | set(READ_EVENTS) | set(INPUT) - {"content"}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
