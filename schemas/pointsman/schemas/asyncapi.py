"""The AsyncAPI 3.0.0 document: a channel for each topic, a message for each event, CloudEvents headers on all of them."""

from collections.abc import Mapping
from typing import Any

from .codec import INPUTS, OUTPUTS
from .json_schema import json_schema

HEADERS: dict[str, Any] = {
    "type": "object",
    "required": ["ce_id", "ce_type", "ce_source", "ce_time", "ce_specversion"],
    "properties": {
        "ce_id": {"type": "string", "description": "The event_id."},
        "ce_type": {"type": "string", "description": "The type string with its version."},
        "ce_source": {"type": "string", "description": "The source."},
        "ce_time": {"type": "string", "format": "date-time", "description": "The occurred_at, in UTC."},
        "ce_specversion": {"type": "string", "const": "1.0"},
        "content-type": {"type": "string", "const": "application/json"},
    },
}


def name_of(event_type: str) -> str:
    """`request.started/1` as a component name, `request.started.1`."""
    return event_type.replace("/", ".")


def asyncapi(channels: Mapping[str, tuple[str, ...]], *, version: str = "0.1.0") -> dict[str, Any]:
    """The document for topics and the types each carries; Pointsman receives the inputs and sends the outputs."""
    listed: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for topic, types in channels.items():
        messages = {name_of(kind): {"$ref": f"#/components/messages/{name_of(kind)}"} for kind in types}
        listed[topic] = {"address": topic, "messages": messages, "bindings": {"kafka": {"topic": topic}}}
        for action, known in (("receive", INPUTS), ("send", OUTPUTS)):
            chosen = [{"$ref": f"#/channels/{topic}/messages/{name_of(kind)}"} for kind in types if kind in known]
            if chosen:
                operations[f"{action}.{topic}"] = {"action": action, "channel": {"$ref": f"#/channels/{topic}"}, "messages": chosen}
    carried = dict.fromkeys(kind for types in channels.values() for kind in types)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Pointsman",
            "version": version,
            "description": "Events about LLM requests in; recommendations, policies, predictions and alerts out. The key is the scope.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": listed,
        "operations": operations,
        "components": {"messages": {name_of(kind): _message(kind) for kind in carried}},
    }


def _message(event_type: str) -> dict[str, Any]:
    schema = json_schema(event_type)
    return {
        "name": event_type,
        "title": schema["title"],
        "summary": schema.get("description", "").splitlines()[0],
        "contentType": "application/json",
        "headers": HEADERS,
        "payload": {"schemaFormat": "application/schema+json;version=draft-07", "schema": _located(event_type, schema)},
        "bindings": {"kafka": {"key": {"type": "string", "description": "The scope."}}},
    }


def _located(event_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema inside the document: draft 7, which AsyncAPI tools read, with references from the document's root."""
    root = f"#/components/messages/{name_of(event_type)}/payload/schema/definitions/"

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {_draft7(key): moved(inner) for key, inner in value.items() if key not in ("$schema", "$id")}
        if isinstance(value, list):
            return [moved(inner) for inner in value]
        return value.replace("#/$defs/", root) if isinstance(value, str) and value.startswith("#/$defs/") else value

    located: dict[str, Any] = moved(schema)
    return located


def _draft7(key: str) -> str:
    return {"$defs": "definitions", "prefixItems": "items"}.get(key, key)


__all__ = ["HEADERS", "asyncapi", "name_of"]
