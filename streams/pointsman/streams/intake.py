"""The intake: whatever bytes a producer sent become an event of the journal, or a dead letter that says why."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from pointsman.models.redact import redact
from pointsman.models.sketch import describe
from pointsman.schemas import (
    AlertAcknowledged,
    AlertSilenced,
    AnyInput,
    EventRejected,
    IncidentAnnotated,
    MaintenanceScheduled,
    Origin,
    QualityAssessed,
    Refused,
    RequestCompleted,
    RequestStarted,
    Sketch,
    dead_letter,
    decode,
    explain,
)
from pointsman.schemas.cloudevents import event_fields

AHEAD_S = 300.0
TEXT_FIELDS = ("query", "prompt")
LONG_FIELDS = ("note", "resolution")
SAID_FIELDS = (*LONG_FIELDS, "cause", "by")
_REPAIRABLE = frozenset({"missing_field", "unknown_type"})


def accept(
    value: bytes | None,
    *,
    place: str,
    headers: Iterable[tuple[str, bytes]] = (),
    key: bytes | None = None,
    keyed: bool = False,
    origin: Origin | None = None,
    now: float | None = None,
) -> AnyInput | EventRejected:
    """The event in these bytes, its text sketched and dropped, its free text redacted; never raises.

    `place` says where the bytes stood. What the body leaves out is taken from CloudEvents `headers` and the `key`; with `keyed`
    the key must be there and be the scope. With `now` (epoch seconds) a time more than 5 minutes ahead of it is refused.
    A dead letter keeps the bytes, a prompt's text in well-formed JSON sketched all the same.
    """
    body, problem = value or b"", None
    if b'"query"' in body or b'"prompt"' in body or b'"embedding"' in body:
        body, problem = _sketched(body)
    try:
        if problem is not None:
            raise Refused("invalid_field", problem)
        event = _event(body, headers, key)
        if keyed and (key is None or key != event.scope.encode("utf-8", "replace")):
            said = "no key" if key is None else "a key that is not its scope"
            raise Refused("wrong_key", f"the record has {said}: set the Kafka key to the scope, so that a scope's events keep their order")
        if now is not None and event.occurred_at > now + AHEAD_S:
            ahead = event.occurred_at - now
            raise Refused("in_the_future", f"occurred_at is {ahead:.0f} s ahead of this clock: send epoch seconds in UTC, and check the producer's clock")
    except Refused as refusal:
        return dead_letter(place, body, refusal.reason)
    changes = _redacted(event)
    if origin is not None:
        changes["origin"] = origin
    return event.model_copy(update=changes) if changes else event


def _event(body: bytes, headers: Iterable[tuple[str, bytes]], key: bytes | None) -> AnyInput:
    try:
        return decode(body)
    except Refused as refusal:
        if refusal.reason.code not in _REPAIRABLE:
            raise
        filled = event_fields(body, headers, key)
        if filled is body:
            raise
        return decode(filled)


def _sketched(body: bytes) -> tuple[bytes, str | None]:
    """The body with the text of a prompt, or its embedding, replaced by its sketch, and what is wrong with them; no JSON object comes back as it is."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return body, None
    if not isinstance(fields, dict):
        return body, None
    texts = [text for name in TEXT_FIELDS if isinstance(text := fields.pop(name, None), str)]
    embedding, problem = fields.pop("embedding", None), None
    try:
        describe(fields, texts[0] if texts else None, embedding)
    except ValidationError as error:
        problem = f"no sketch: {explain(error)}"
    except ValueError as error:
        problem = str(error)
    made = fields.get("sketch")
    if isinstance(made, Sketch):
        fields["sketch"] = made.model_dump()
    try:
        return json.dumps(fields, separators=(",", ":")).encode(), problem
    except (ValueError, RecursionError, UnicodeEncodeError):
        return body, problem


def _redacted(event: AnyInput) -> dict[str, Any]:
    """The free-text fields of an event that redaction changed."""
    changes: dict[str, Any] = {}
    if isinstance(event, RequestStarted):
        if event.attributes is not None:
            clean = {name: redact(value) if isinstance(value, str) else value for name, value in event.attributes.items()}
            if clean != event.attributes:
                changes["attributes"] = clean
        found = {"category": event.category}
    elif isinstance(event, RequestCompleted):
        found = {"error_type": event.error_type}
    elif isinstance(event, QualityAssessed):
        found = {"assessor": event.assessor}
    elif isinstance(event, AlertAcknowledged | AlertSilenced | MaintenanceScheduled | IncidentAnnotated):
        found = {name: getattr(event, name, None) for name in SAID_FIELDS}
    else:
        return changes
    for name, text in found.items():
        if text is not None and (shown := redact(text)) != text:
            changes[name] = shown[: 2000 if name in LONG_FIELDS else 256]
    return changes


__all__ = ["AHEAD_S", "TEXT_FIELDS", "accept"]
