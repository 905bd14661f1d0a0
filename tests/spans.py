"""Spans made by the real OpenTelemetry SDK on a clock of their own, as requests to export in both encodings."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, set_span_in_context

START_NS = 1_763_700_000_000_000_000
MS = 1_000_000
CHAT: Mapping[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.request.max_tokens": 200,
    "gen_ai.conversation.id": "c1",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 30,
    "gen_ai.response.time_to_first_chunk": 0.25,
}


class Counted(IdGenerator):
    """Ids in their order, so that a test gives the same bytes every time."""

    def __init__(self, first: int = 1) -> None:
        self._next = first

    def generate_span_id(self) -> int:
        """The next one."""
        self._next += 1
        return self._next

    def generate_trace_id(self) -> int:
        """The next one."""
        return self.generate_span_id() << 64

    def is_trace_id_random(self) -> bool:
        """They are counted."""
        return False


def span(attributes: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """What a span should be: a chat of 800 ms unless told."""
    return {"attributes": CHAT if attributes is None else attributes, **fields}


def export(*spans: dict[str, Any], resource: Mapping[str, Any] | None = None, schema_url: str | None = None, first: int = 1) -> ExportTraceServiceRequest:
    """The request with which the SDK's exporter would send these spans; `parent` is the place of an earlier one."""
    memory = InMemorySpanExporter()
    named = {"service.name": "chat"} if resource is None else resource
    provider = TracerProvider(resource=Resource(named), id_generator=Counted(first), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("tests", schema_url=schema_url)
    begun: list[Any] = []
    for number, one in enumerate(spans):
        start = one.get("start", START_NS + number * 1000 * MS)
        around = set_span_in_context(begun[one["parent"]]) if "parent" in one else None
        links = [Link(to if isinstance(to, SpanContext) else begun[to].get_span_context()) for to in one.get("links", ())]
        made = tracer.start_span(one.get("name", "chat"), around, one.get("kind", SpanKind.CLIENT), one["attributes"], links, start_time=start)
        for name, after_ms, attributes in one.get("events", ()):
            made.add_event(name, attributes, timestamp=start + after_ms * MS)
        if "error" in one:
            made.set_status(Status(StatusCode.ERROR, one["error"]))
        made.end(start + one.get("ms", 800) * MS)
        begun.append(made)
    return encode_spans(memory.get_finished_spans())


def as_json(request: ExportTraceServiceRequest) -> bytes:
    """The same as OTLP/JSON: protobuf's JSON, with hexadecimal ids and numbers for enums."""
    document = MessageToDict(request, use_integers_for_enums=True)
    _hexadecimal(document)
    return json.dumps(document).encode()


def _hexadecimal(value: Any) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("traceId", "spanId", "parentSpanId"):
                value[name] = base64.b64decode(inner).hex()
            else:
                _hexadecimal(inner)
    elif isinstance(value, list):
        for inner in value:
            _hexadecimal(inner)


def remote(trace_id: int, span_id: int) -> SpanContext:
    """The context of a span that another process made."""
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))


def both(request: ExportTraceServiceRequest) -> Sequence[bytes]:
    """Protobuf, then JSON."""
    return request.SerializeToString(), as_json(request)


def many(count: int, first: int = 1) -> Iterator[dict[str, Any]]:
    """So many chats, ten a second."""
    for number in range(count):
        yield span(start=START_NS + (first + number) * 100 * MS)


__all__ = ["CHAT", "MS", "START_NS", "as_json", "both", "export", "many", "remote", "span"]
