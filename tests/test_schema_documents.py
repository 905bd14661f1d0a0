"""JSON Schema and AsyncAPI documents, held against the official schemas."""

import json
from pathlib import Path
from typing import Any

import jsonschema as _jsonschema
import pytest
from click.testing import CliRunner
from events import stream

from pointsman.schemas import INPUTS, encode
from pointsman.schemas.asyncapi import asyncapi, name_of
from pointsman.schemas.json_schema import event_types, json_schema
from pointsman.schemas.meanings import is_of_the_configuration
from pointsman.schemas.settings import KafkaSettings
from pointsman.streams.cli import main
from pointsman.streams.topics import channels, specs

jsonschema: Any = _jsonschema
CHANNELS = channels()
DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("event_type", event_types())
def test_every_schema_is_json_schema_2020_12(event_type: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(event_type))


def test_events_fit_their_schemas() -> None:
    for event in stream(3, 20):
        jsonschema.Draft202012Validator(json_schema(event.TYPE)).validate(json.loads(encode(event)))


def test_an_event_without_its_type_does_not_fit() -> None:
    fields = json.loads(encode(stream(3, 1)[0]))
    schema = json_schema(fields.pop("type"))
    assert not jsonschema.Draft202012Validator(schema).is_valid(fields)


def test_the_document_fits_asyncapi_3_0_0() -> None:
    official = json.loads((Path(__file__).parent / "data" / "asyncapi-3.0.0.json").read_text())
    jsonschema.Draft7Validator(official).validate(json.loads(json.dumps(asyncapi(CHANNELS))))


def test_every_payload_is_draft_7_and_its_references_resolve() -> None:
    document = json.loads(json.dumps(asyncapi(CHANNELS)))
    event = stream(3, 1)[0]
    for message in document["components"]["messages"].values():
        jsonschema.Draft7Validator.check_schema(message["payload"]["schema"])
    reference = {"$ref": f"#/components/messages/{name_of(event.TYPE)}/payload/schema", **document}
    jsonschema.Draft7Validator(reference).validate(json.loads(encode(event)))


def test_the_document_names_every_topic_that_carries_our_events() -> None:
    carried = {spec.name for spec in specs(KafkaSettings()) if not spec.name.endswith("-changelog")}
    assert carried == set(CHANNELS)
    assert CHANNELS["pointsman.policies"] == ("policy.published/1",) and set(CHANNELS["pointsman.journal"]) == set(INPUTS)


def test_every_field_of_an_event_says_what_it_means() -> None:
    mute = []
    for kind in event_types():
        schema = json_schema(kind)
        records = [schema, *(record for name, record in schema.get("$defs", {}).items() if not is_of_the_configuration(name))]
        mute += [(record["title"], name) for record in records for name, field in record.get("properties", {}).items() if "description" not in field]
    assert mute == []


@pytest.mark.parametrize(("command", "page"), [("schema --markdown", "events.md"), ("config reference", "settings.md")])
def test_the_reference_pages_are_what_the_classes_say(command: str, page: str) -> None:
    found = CliRunner().invoke(main, command.split())
    assert found.exit_code == 0, found.output
    assert (DOCS / page).read_text() == found.output, f"docs/{page} is old: pointsman {command} > docs/{page}"
