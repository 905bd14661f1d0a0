"""OTLP protobuf to neutral spans, with the generated classes of opentelemetry-proto."""

import math
from collections.abc import Callable
from typing import Any

from .otel_attributes import EVENT_NAME, is_read, is_read_of_event, is_read_of_record
from .otlp import DEEPEST, ERROR, MOST_LINKS, Attributes, Moment, OtlpError, Picked, Span, Spans, judgement


def decode_protobuf(body: bytes) -> Spans:
    """The spans of an `ExportTraceServiceRequest` as protobuf; raises `OtlpError`, and `ModuleNotFoundError` without opentelemetry-proto."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = Spans()
    for whole in _parsed(ExportTraceServiceRequest, body).resource_spans:
        resource = _pairs(whole.resource.attributes, is_read)
        for scoped in whole.scope_spans:
            url = scoped.schema_url or whole.schema_url
            for span in scoped.spans:
                found.add(_span, span, resource, url)
    return found


def decode_logs_protobuf(body: bytes) -> Spans:
    """The evaluations among the log records of an `ExportLogsServiceRequest` as protobuf; raises as `decode_protobuf`."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    found = Spans()
    for whole in _parsed(ExportLogsServiceRequest, body).resource_logs:
        resource = _pairs(whole.resource.attributes, is_read)
        for scoped in whole.scope_logs:
            for record in scoped.log_records:
                found.add(_record, record, resource, scoped.schema_url or whole.schema_url)
    return found


def _parsed(message: Any, body: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return message.FromString(body)
    except DecodeError:
        raise OtlpError(f"not protobuf: send an {message.DESCRIPTOR.name}") from None


def _record(record: Any, resource: Attributes, schema_url: str) -> Span:
    attributes = _pairs(record.attributes, is_read_of_record)
    named = {**attributes, EVENT_NAME: record.event_name or attributes.get(EVENT_NAME)}
    at_ns = record.time_unix_nano or record.observed_time_unix_nano
    return judgement(record.trace_id.hex(), record.span_id.hex(), at_ns, named, resource, schema_url)


def _span(span: Any, resource: Attributes, schema_url: str) -> Span:
    return Span(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == ERROR,
        _pairs(span.attributes, is_read),
        _moments(span.events) if span.events else (),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links[:MOST_LINKS]) if span.links else (),
        resource,
        schema_url,
    )


def _moments(events: Any) -> tuple[Moment, ...]:
    is_picked = Picked()
    return tuple(Moment(event.name, event.time_unix_nano, _pairs(event.attributes, is_read_of_event)) for event in events if is_picked(event.name))


def _pairs(pairs: Any, is_wanted: Callable[[str], bool]) -> Attributes:
    return {name: _content(pair.value) for pair in pairs if is_wanted(name := pair.key)}


def _content(value: Any, depth: int = 0) -> Any:
    kind = value.WhichOneof("value")
    if kind in ("string_value", "int_value", "bool_value"):
        return getattr(value, kind)
    if kind == "double_value":
        return value.double_value if math.isfinite(value.double_value) else None
    if depth > DEEPEST:
        return None
    if kind == "array_value":
        return [_content(element, depth + 1) for element in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _content(pair.value, depth + 1) for pair in value.kvlist_value.values}
    return None


__all__ = ["decode_logs_protobuf", "decode_protobuf"]
