"""JSON Schema 2020-12 of every event, from the same classes that validate them."""

import difflib
from typing import Any

from .codec import INPUTS, OUTPUTS
from .meanings import meaning

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_types() -> list[str]:
    """Every type string, inputs first."""
    return [*INPUTS, *OUTPUTS]


def json_schema(event_type: str) -> dict[str, Any]:
    """The schema of one type; raises `LookupError` with the types there are."""
    model = INPUTS.get(event_type) or OUTPUTS.get(event_type)
    if model is None:
        near = difflib.get_close_matches(event_type, event_types(), n=1)
        advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(event_types())}"
        raise LookupError(f"no event type {event_type!r}; {advice}")
    schema = model.model_json_schema(mode="validation")
    required = [*schema.get("required", []), "type"]
    name, version = event_type.split("/")
    _describe(schema)
    for record in schema.get("$defs", {}).values():
        _describe(record)
    return {"$schema": DIALECT, "$id": f"urn:pointsman:{name}:{version}", **schema, "required": required}


def _describe(record: dict[str, Any]) -> None:
    """Say what each field means."""
    for field, schema in record.get("properties", {}).items():
        if said := meaning(record["title"], field):
            schema.setdefault("description", said)


__all__ = ["DIALECT", "event_types", "json_schema"]
