"""The reference of all events as Markdown, from the classes that validate them: `pointsman schema --markdown` prints it, docs/events.md is it."""

from collections.abc import Iterator, Mapping
from typing import Any

from .codec import INPUTS, OUTPUTS
from .json_schema import json_schema
from .meanings import is_of_the_configuration

Schema = Mapping[str, Any]
HEAD = """# Events

Every event is one JSON object with a versioned type string. What producers publish is validated; what does not fit becomes a dead letter with its reason.
An unknown field is ignored, an unknown type is not.

Times are epoch seconds in UTC, durations milliseconds, money US dollars, shares 0 to 1, memory MB (10⁶ bytes).
`pointsman schema TYPE` prints the JSON Schema of a type, `pointsman schema --asyncapi` the AsyncAPI document; this page is what
`pointsman schema --markdown` prints."""
ENVELOPE = ("event_id", "scope", "occurred_at", "source", "caused_by", "origin", "type")
DEFAULTED = "source"
CONFIGURATION = "OptimizationConfig"


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
    rows = [f"| `{name}` | {_type(field)} | {'yes' if name in required else ''} | {field.get('description', '')} |" for name, field in fields.items()]
    return ["\n".join(["| field | type | required | meaning |", "| --- | --- | --- | --- |", *rows])]


def _type(field: Schema) -> str:
    """A field's type in a few words, its bounds included.

    >>> _type({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]})
    'number, 0 to 1'
    """
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return "[configuration](settings.md)" if name == CONFIGURATION else f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"] if choice.get("type") != "null")
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    return _plain(field)


def _plain(field: Schema) -> str:
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"list of {_type(field.get('items', {}))}"
    if kind == "object":
        inner = field.get("additionalProperties")
        return f"map of {_type(inner)}" if isinstance(inner, Mapping) else "map"
    return kind + _bounds(field)


def _bounds(field: Schema) -> str:
    lower, upper = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum", field.get("exclusiveMaximum"))
    if upper is not None and upper <= 1000 and lower is not None:
        return f", {lower:g} to {upper:g}"
    if lower is not None and lower >= 0:
        return f", {'above' if 'exclusiveMinimum' in field else 'at least'} {lower:g}" if lower < 1e6 else ""
    return f", at most {field['maxLength']} characters" if "maxLength" in field else ""


__all__ = ["events_reference"]
