"""`POST /v1/traces` and `/v1/logs`: OTLP over HTTP, JSON and protobuf.

Answers and errors are OTLP's: a partial success, or a `Status`, in the encoding that was sent.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from fastapi import Request
from prometheus_client import Counter as Metric
from starlette.responses import Response

from pointsman.schemas import Reason
from pointsman.schemas.settings import OtelSettings, ServeSettings

from .desk import Overloaded
from .http_bodies import Posted
from .http_guard import Bucket, Problem, too_fast
from .http_gzip import read_unpacked
from .http_metrics import Meter
from .http_openapi import Place
from .otel import Adapted, Adapter
from .otlp import OtlpError, Spans
from .otlp_json import decode_json, decode_logs_json
from .otlp_protobuf import decode_logs_protobuf, decode_protobuf

JSON, PROTOBUF = "application/json", "application/x-protobuf"
_INVALID, _DEADLINE, _EXHAUSTED, _UNAVAILABLE = 3, 4, 8, 14  # google.rpc.Code
_CODES = {408: _DEADLINE, 413: _EXHAUSTED, 429: _EXHAUSTED, 503: _UNAVAILABLE}
Record = Callable[[Sequence[Posted]], Awaitable[list[Reason | None]]]


class Signal(NamedTuple):
    """One kind of telemetry: how it is decoded, and what its answer calls that which was rejected."""

    path: str
    summary: str
    method: str
    json: Callable[[bytes], Spans]
    protobuf: Callable[[bytes], Spans]
    levels: str
    rejected: str


TRACES = Signal("/v1/traces", "Record GenAI spans (OTLP)", "traces", decode_json, decode_protobuf, "resourceSpans", "rejectedSpans")
LOGS = Signal("/v1/logs", "Record evaluations (OTLP log records)", "logs", decode_logs_json, decode_logs_protobuf, "resourceLogs", "rejectedLogRecords")


class Otlp:
    """Takes spans and log records the same way and within the same limits as `/v1/events`."""

    def __init__(self, record: Record, bucket: Bucket, meter: Meter, settings: ServeSettings, otel: OtelSettings) -> None:
        self._record, self._bucket, self._meter, self._settings = record, bucket, meter, settings
        self._adapter = Adapter(otel)
        self._turn = asyncio.Lock()  # the adapter remembers requests: one thread at a time
        self._spans = Metric("pointsman_otel_spans", "Spans received, by what became of them.", ("outcome",), registry=meter.registry)

    async def answer(self, request: Request, signal: Signal) -> Response:
        """Record what the spans or log records of a body tell."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            return await self._taken(await read_unpacked(request, self._settings.max_body_bytes, self._settings.body_s), kind, signal)
        except Problem as problem:
            return _failed(problem, kind)

    async def _taken(self, body: bytes, kind: str, signal: Signal) -> Response:
        async with self._turn:
            made = await asyncio.to_thread(self._adapted, body, kind, signal)
        if len(made.events) > self._settings.max_batch:
            raise Problem(413, "too_large", f"a body becomes at most {self._settings.max_batch} events, two a span: lower send_batch_max_size")
        if wait := self._bucket.take(max(len(made.events), 1)):
            raise too_fast(wait)
        try:
            reasons = await self._record([Posted(told.value) for told in made.events])
        except Overloaded:
            raise too_fast(1.0) from None
        self._meter.recorded(reasons)
        places = {told.place: reason for told, reason in zip(made.events, reasons, strict=True) if reason is not None}
        self._count(made, len(places))
        return _success(made.refused, list(places.values()), kind, signal)

    def _adapted(self, body: bytes, kind: str, signal: Signal) -> Adapted:
        try:
            return self._adapter.adapt(_decoded(body, kind, signal))
        except OtlpError as error:
            raise Problem(400, "malformed_otlp", str(error)) from None

    def _count(self, made: Adapted, dead: int) -> None:
        self._spans.labels("request").inc(made.requests)
        self._spans.labels("evaluation").inc(made.evaluations)
        self._spans.labels("dead_letter").inc(dead)
        for outcome, count in (made.skipped + made.refused).items():
            self._spans.labels(outcome).inc(count)


def _decoded(body: bytes, kind: str, signal: Signal) -> Spans:
    if kind == JSON:
        return signal.json(body)
    if kind != PROTOBUF:
        raise Problem(415, "unknown_media_type", f"content-type {kind[:100]!r}: send {PROTOBUF} or {JSON}")
    try:
        return signal.protobuf(body)
    except ModuleNotFoundError:
        raise Problem(415, "no_protobuf", f"protobuf is not installed here: pip install 'pointsman[otel]', or send {JSON}") from None


def _success(flaws: Counter[str], reasons: list[Reason], kind: str, signal: Signal) -> Response:
    """`ExportTraceServiceResponse`, or that of logs, whose fields have the same numbers: empty where all was taken or is of no concern."""
    rejected = flaws.total() + len(reasons)
    said = [f"{count} {code}" for code, count in sorted(flaws.items())] + [f"{reason.code}: {reason.message}" for reason in reasons[:5]]
    message = "; ".join(said)[:2000]
    if kind == PROTOBUF:
        inner = b"\x08" + _varint(rejected) + _field(2, message.encode("utf-8", "replace"))
        return Response(_field(1, inner) if rejected else b"", media_type=PROTOBUF)
    found = {"partialSuccess": {signal.rejected: str(rejected), "errorMessage": message}} if rejected else {}
    return Response(json.dumps(found), media_type=JSON)


def _failed(problem: Problem, kind: str) -> Response:
    """`google.rpc.Status`, by which exporters say what was wrong; they try 429 and 503 again."""
    code, message = _CODES.get(problem.status, _INVALID), problem.reason.message
    if kind == PROTOBUF:
        return Response(b"\x08" + _varint(code) + _field(2, message.encode("utf-8", "replace")), problem.status, problem.headers, PROTOBUF)
    return Response(json.dumps({"code": code, "message": message}), problem.status, problem.headers, JSON)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def place(signal: Signal) -> Place:
    """The route of a signal, for the OpenAPI document."""
    status = {"type": "object", "required": ["code", "message"], "properties": {"code": {"type": "integer"}, "message": {"type": "string"}}}
    partial = {"type": "object", "properties": {signal.rejected: {"type": "string"}, "errorMessage": {"type": "string"}}}
    reason = {"schema": {"$ref": "#/components/schemas/Reason"}}
    said = {
        400: "No OTLP, or not compressed as it says.",
        408: "The body did not come in time.",
        413: "The body is too large, or becomes too many events.",
        415: "A media type or an encoding that is not known here.",
        429: "Too fast: try again after `Retry-After` seconds.",
    }
    responses: dict[int, Any] = {
        200: {"description": "Recorded; what could not be is counted.", "content": _both({"type": "object", "properties": {"partialSuccess": partial}})},
        401: {"description": "No token, or a wrong one.", "content": {JSON: reason}},
        503: {"description": "Not now: try again after `Retry-After` seconds.", "content": {JSON: reason}},
    }
    responses |= {code: {"description": text, "content": _both(status)} for code, text in said.items()}
    for code in (429, 503):
        responses[code]["headers"] = {"Retry-After": {"schema": {"type": "string"}}}
    body = _both({"type": "object", "properties": {signal.levels: {"type": "array", "items": {"type": "object"}}}})
    fields = {"summary": signal.summary, "responses": responses, "openapi_extra": {"requestBody": {"required": True, "content": body}}}
    return Place(signal.path, "POST", signal.method, fields | {"response_model": None})


def _both(schema: dict[str, Any]) -> dict[str, Any]:
    return {JSON: {"schema": schema}, PROTOBUF: {"schema": {"type": "string", "format": "binary"}}}


__all__ = ["LOGS", "TRACES", "Otlp", "place"]
