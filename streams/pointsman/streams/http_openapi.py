"""The OpenAPI document: the routes, what they take and every way in which they answer."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from pointsman.schemas import INPUTS, PolicyPublished, Reason

from .embedded import Recommended
from .http_bodies import CLOUD_BATCH, CLOUD_EVENT

_REF = "#/components/schemas/{model}"
_SAID = {
    400: "A compressed body that cannot be unpacked.",
    401: "No token, or a wrong one.",
    404: "Not known here.",
    408: "The body did not come in time.",
    409: "No track is known in this scope: configure tracks, or report a request first.",
    413: "The body is too large, or has too many events.",
    415: "A media type or a content encoding that is not known here.",
    422: "A field is missing or has a wrong value.",
    429: "Too fast, or too many: try again after `Retry-After` seconds.",
    503: "Not now: try again after `Retry-After` seconds.",
}
_SERVER_SENT = {
    "type": "object",
    "description": "A server-sent event: an output as its data, or without id one about the stream (`lost`, `behind`) or a dead letter.",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}, "retry": {"type": "integer"}},
}
try:
    VERSION = version("pointsman")
except PackageNotFoundError:
    VERSION = "0"


@dataclass(frozen=True, slots=True)
class Place:
    """One route: its path, its verb, the method of the API that answers, and what the document says of it."""

    path: str
    verb: str
    method: str
    fields: dict[str, Any]


def describe(taken: type[BaseModel], ask: type[BaseModel]) -> list[Place]:
    """Every route."""
    events = _fields("Record events", (400, 401, 408, 413, 415, 429, 503), _content(_ref(taken.__name__)), body=_events())
    events["responses"][422] = {"description": "Nothing in the body is valid: the reasons of the dead letters.", **_content(_ref(taken.__name__))}
    asked = _content(_ref(ask.__name__))
    stream = _fields("Follow the outputs", (401, 422, 429, 503), {"content": {"text/event-stream": {"schema": _SERVER_SENT}}})
    stream["openapi_extra"]["parameters"] = [
        {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"}, "description": "The last `id` that was seen."}
    ]
    anything = _content({"type": "object"})
    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    return [
        Place("/v1/events", "POST", "events", events),
        Place(
            "/v1/recommendations",
            "POST",
            "recommendations",
            _fields("Ask for a track", (400, 401, 408, 409, 413, 415, 422, 429, 503), _content(_ref("Recommended")), body=asked["content"]),
        ),
        Place("/v1/status", "GET", "status", _fields("What is known", (401, 404, 422, 429, 503), anything)),
        Place("/v1/incidents", "GET", "incidents", _fields("What is wrong, and what was", (401, 404, 422, 429, 503), anything)),
        Place("/v1/incidents/{incident:path}", "GET", "incident", _fields("One incident", (401, 404, 422, 429, 503), anything)),
        Place("/v1/series", "GET", "series", _fields("What was, for charts", (401, 404, 422, 429, 503), anything)),
        Place("/v1/policy", "GET", "policy", _fields("The policy in force", (401, 404, 422, 429, 503), _content(_ref("PolicyPublished")))),
        Place("/v1/requests/{request_id:path}", "GET", "explanation", _fields("Explain a request", (401, 404, 422, 429, 503), anything)),
        Place("/v1/stream", "GET", "outputs", stream),
        Place("/metrics", "GET", "metrics", _fields("Prometheus metrics", (401, 503), text)),
        Place("/health", "GET", "health", _fields("Does the server answer?", (), anything, is_open=True)),
        Place("/ready", "GET", "ready", _fields("Does it take events?", (503,), anything, is_open=True)),
    ]


def finish(app: FastAPI) -> None:
    """Give the document what no route has: the schemas, the token, and nothing that FastAPI adds by itself."""
    from .http_api import Ask, Taken

    plain = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        found: dict[str, Any] = plain()
        models: list[Any] = [(model, "validation") for model in (Ask, *INPUTS.values())]
        models += [(model, "serialization") for model in (Taken, PolicyPublished)]
        _, schemas = models_json_schema(models, ref_template=_REF)
        recommended = TypeAdapter(Recommended).json_schema(ref_template=_REF, mode="serialization")
        components = schemas["$defs"] | recommended.pop("$defs", {}) | {"Recommended": recommended, "Reason": Reason.model_json_schema()}
        found["components"] = {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        found["security"] = [{"token": []}]
        found["info"]["description"] = "Events about LLM requests in; recommendations, policies, predictions and alerts out."
        found["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
        return found

    app.openapi = document  # type: ignore[method-assign]


def _fields(summary: str, errors: tuple[int, ...], success: dict[str, Any], *, body: dict[str, Any] | None = None, is_open: bool = False) -> dict[str, Any]:
    responses: dict[int, Any] = {200: {"description": "It worked.", **success}}
    responses |= {status: {"description": _SAID[status], **_content(_ref("Reason"))} | _headers(status) for status in errors}
    extra: dict[str, Any] = {"requestBody": {"required": True, "content": body}} if body is not None else {}
    if is_open:
        extra["security"] = []
    return {"summary": summary, "responses": responses, "openapi_extra": extra, "response_model": None}


def _headers(status: int) -> dict[str, Any]:
    named = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}.get(status)
    return {"headers": {named: {"schema": {"type": "string"}}}} if named else {}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _events() -> dict[str, Any]:
    mapping = {kind: _REF.format(model=model.__name__) for kind, model in INPUTS.items()}
    event = {"oneOf": [{"$ref": place} for place in mapping.values()], "discriminator": {"propertyName": "type", "mapping": mapping}}
    cloud = {
        "type": "object",
        "required": ["specversion", "id", "type", "source"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string"},
            "type": {"type": "string"},
            "source": {"type": "string"},
            "time": {"type": "string"},
            "partitionkey": {"type": "string", "description": "The scope."},
            "data": {"type": "object"},
        },
    }
    return {
        "application/json": {"schema": {"anyOf": [event, {"type": "array", "items": event}]}},
        "application/x-ndjson": {"schema": {"type": "string", "description": "One event a line."}},
        CLOUD_EVENT: {"schema": cloud},
        CLOUD_BATCH: {"schema": {"type": "array", "items": cloud}},
    }


__all__ = ["VERSION", "Place", "describe", "finish"]
