"""The CloudEvents 1.0 binary binding for Kafka: the attributes are headers, the event is the value, the scope is the key."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from .envelope import Event

SPECIFICATION = b"1.0"
CONTENT_TYPE = b"application/json"
_FIELDS = {"ce_id": "event_id", "ce_type": "type", "ce_source": "source", "ce_time": "occurred_at"}


def headers(event: Event) -> list[tuple[str, bytes]]:
    """The headers of an event's record."""
    moment = datetime.fromtimestamp(event.occurred_at, UTC).isoformat().replace("+00:00", "Z")
    return [
        ("ce_specversion", SPECIFICATION),
        ("ce_id", event.event_id.encode()),
        ("ce_type", event.TYPE.encode()),
        ("ce_source", event.source.encode()),
        ("ce_time", moment.encode()),
        ("content-type", CONTENT_TYPE),
    ]


def event_fields(value: bytes, given: Iterable[tuple[str, bytes]], key: bytes | None) -> bytes:
    """The value with what its body leaves to the headers and the key; bytes that are no JSON object come back as they are."""
    try:
        body = json.loads(value)
    except (ValueError, RecursionError):
        return value
    if not isinstance(body, dict):
        return value
    missing = {field: header.decode("utf-8", "replace") for name, header in given if (field := _FIELDS.get(name)) is not None and field not in body}
    if key is not None and "scope" not in body:
        missing["scope"] = key.decode("utf-8", "replace")
    return json.dumps({**missing, **body}, separators=(",", ":")).encode() if missing else value
