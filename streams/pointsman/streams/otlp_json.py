"""OTLP/JSON to neutral spans. What is outside a span and wrong refuses the whole; a span that is wrong is counted alone."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from .otel_attributes import EVENT_NAME, is_read, is_read_of_event, is_read_of_record
from .otlp import DEEPEST, ERROR, MOST_LINKS, Attributes, Flaw, Moment, OtlpError, Picked, Span, Spans, is_id, judgement

LARGEST = sys.float_info.max
_KINDS = {f"SPAN_KIND_{name}": number for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))}
_STATUSES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": ERROR}


def decode_json(body: bytes) -> Spans:
    """The spans of an `ExportTraceServiceRequest` as JSON; raises `OtlpError`."""
    return _decoded(body, "ExportTraceServiceRequest", ("resourceSpans", "scopeSpans", "spans"), _span)


def decode_logs_json(body: bytes) -> Spans:
    """The evaluations among the log records of an `ExportLogsServiceRequest` as JSON; raises `OtlpError`."""
    return _decoded(body, "ExportLogsServiceRequest", ("resourceLogs", "scopeLogs", "logRecords"), _record)


def _decoded(body: bytes, message: str, levels: tuple[str, str, str], make: Callable[[Any, Attributes, str], Span]) -> Spans:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise OtlpError(f"not JSON: send an {message} as OTLP/JSON") from None
    found = Spans()
    for whole in _objects(_object(document, "the body"), levels[0]):
        resource = _resource(_object(whole.get("resource") or {}, "resource"))
        for scoped in _objects(whole, levels[1]):
            url = _text(scoped.get("schemaUrl")) or _text(whole.get("schemaUrl"))
            for one in _list(scoped, levels[2]):
                found.add(make, one, resource, url)
    return found


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise OtlpError(f"{name} is not an object")
    return value


def _list(whole: dict[str, Any], name: str) -> list[Any]:
    value = whole.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise OtlpError(f"{name} is not a list")
    return value


def _objects(whole: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [_object(element, f"an element of {name}") for element in _list(whole, name)]


def _span(span: Any, resource: Attributes, schema_url: str) -> Span:
    if not isinstance(span, dict):
        raise Flaw("not_an_object")
    status = span.get("status")
    return Span(
        _identity(span, "traceId", 32),
        _identity(span, "spanId", 16),
        _identity(span, "parentSpanId", 16),
        _enum(span.get("kind"), _KINDS),
        _integer(span.get("startTimeUnixNano")),
        _integer(span.get("endTimeUnixNano")),
        _enum(status.get("code"), _STATUSES) == ERROR if isinstance(status, dict) else False,
        _attributes(span.get("attributes"), is_read),
        _moments(_dicts(span.get("events"))),
        tuple((_identity(link, "traceId", 32), _identity(link, "spanId", 16)) for link in _dicts(span.get("links"))[:MOST_LINKS]),
        resource,
        schema_url,
    )


def _record(record: Any, resource: Attributes, schema_url: str) -> Span:
    if not isinstance(record, dict):
        raise Flaw("not_an_object")
    attributes = _attributes(record.get("attributes"), is_read_of_record)
    name = _text(record.get("eventName")) or attributes.get(EVENT_NAME)
    at_ns = _integer(record.get("timeUnixNano")) or _integer(record.get("observedTimeUnixNano"))
    identity = (_identity(record, "traceId", 32), _identity(record, "spanId", 16))
    return judgement(*identity, at_ns, {**attributes, EVENT_NAME: name}, resource, schema_url)


def _identity(whole: dict[str, Any], name: str, length: int) -> str:
    """An id in lower case; anything else is empty, since it may be any text."""
    text = _text(whole.get(name)).lower()
    return text if is_id(text, length) else ""


def _resource(resource: dict[str, Any]) -> Attributes:
    try:
        return _attributes(resource.get("attributes"), is_read)
    except Flaw:
        raise OtlpError("the attributes of a resource are not a list of keys and values") from None


def _moments(events: list[dict[str, Any]]) -> tuple[Moment, ...]:
    is_picked = Picked()
    return tuple(
        Moment(name, _integer(event.get("timeUnixNano")), _attributes(event.get("attributes"), is_read_of_event))
        for event in events
        if is_picked(name := _text(event.get("name")))
    )


def _attributes(pairs: Any, is_wanted: Callable[[str], bool]) -> Attributes:
    return {name: _value(pair.get("value")) for pair in _dicts(pairs) if isinstance(name := pair.get("key"), str) and is_wanted(name)}


def _dicts(value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
        raise Flaw("not_a_list_of_objects")
    return value


def _value(value: Any, depth: int = 0) -> Any:
    """An `AnyValue`; what is too deep, not finite or of no known kind is None."""
    if not isinstance(value, dict) or depth > DEEPEST:
        return None
    for kind, content in value.items():
        if (kind == "stringValue" and isinstance(content, str)) or (kind == "boolValue" and isinstance(content, bool)):
            return content
        if kind == "intValue":
            return _integer(content)
        if kind == "doubleValue" and isinstance(content, int | float):
            return float(content) if abs(content) <= LARGEST else None
        if kind == "arrayValue" and isinstance(content, dict):
            return [_value(element, depth + 1) for element in _dicts(content.get("values"))]
        if kind == "kvlistValue" and isinstance(content, dict):
            return {_text(pair.get("key")): _value(pair.get("value"), depth + 1) for pair in _dicts(content.get("values"))}
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64:
        return value
    if isinstance(value, str) and len(value) <= 20 and value.lstrip("-").isdecimal() and value.isascii():
        try:
            return int(value)
        except ValueError:
            raise Flaw("bad_integer") from None
    if value is None:
        return 0
    raise Flaw("bad_integer")


def _enum(value: Any, names: Mapping[str, int]) -> int:
    return names.get(value, 0) if isinstance(value, str) else value if isinstance(value, int) else 0


__all__ = ["decode_json", "decode_logs_json"]
