"""The reference of all events as Markdown, from the classes that validate them: `pointsman schema --markdown` prints it, docs/events.md is it."""

from collections.abc import Iterator, Mapping

from .codec import INPUTS, OUTPUTS
from .field_types import Schema, field_type
from .json_schema import json_schema
from .meanings import is_of_the_configuration

HEAD = """# Events

Every event is one JSON object with a versioned type string. What producers publish is validated; what does not fit becomes a dead letter with its reason.
An unknown field is ignored, an unknown type is not.

Times are epoch seconds in UTC, durations milliseconds, money US dollars, shares 0 to 1, memory MB (10⁶ bytes).
`pointsman schema TYPE` prints the JSON Schema of a type, `pointsman schema --asyncapi` the AsyncAPI document; this page is what
`pointsman schema --markdown` prints."""
ENVELOPE = ("event_id", "scope", "occurred_at", "source", "caused_by", "origin", "type")
DEFAULTED = "source"


def events_reference(channels: Mapping[str, tuple[str, ...]]) -> str:
    """The page: the envelope, then every type with its topics (`channels`: topic to types), its fields, and the records they are made of."""
    parts = [HEAD, *_envelope()]
    shared: dict[str, Schema] = {}
    for title, types in (("In: what producers publish", INPUTS), ("Out: what Pointsman publishes", OUTPUTS)):
        parts.append(f"## {title}")
        for kind in types:
            schema = json_schema(kind)
            shared |= {name: record for name, record in schema.get("$defs", {}).items() if not is_of_the_configuration(name) and "properties" in record}
            topics = ", ".join(f"`{topic}`" for topic, carried in channels.items() if kind in carried)
            parts += [f"### {kind}", schema["description"], f"Topics: {topics}." if topics else "", *_table(schema, skip=ENVELOPE)]
    parts += ["## Records within events", *(part for name in sorted(shared) for part in _record(name, shared[name]))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _envelope() -> Iterator[str]:
    yield "## The envelope"
    yield "Every event has these fields; `origin` is on inputs, `caused_by` on outputs."
    first, last = (json_schema(next(iter(types))) for types in (INPUTS, OUTPUTS))
    fields = {name: {**first["properties"], **last["properties"]}[name] for name in ENVELOPE}
    fields["type"] = {"type": "string", "description": "The versioned type string, for example `request.started/1`."}
    yield from _table({"properties": fields, "required": {*first["required"], *last["required"]} - {DEFAULTED}}, skip=())


def _record(name: str, record: Schema) -> Iterator[str]:
    yield f"### {name}"
    yield record.get("description", "")
    yield from _table(record, skip=())


def _table(schema: Schema, skip: tuple[str, ...]) -> list[str]:
    fields = {name: field for name, field in schema.get("properties", {}).items() if name not in skip}
    if not fields:
        return ["No fields beyond the envelope."]
    required = schema.get("required", ())
    rows = [f"| `{name}` | {field_type(field)} | {'yes' if name in required else ''} | {field.get('description', '')} |" for name, field in fields.items()]
    return ["\n".join(["| field | type | required | meaning |", "| --- | --- | --- | --- |", *rows])]


__all__ = ["events_reference"]
