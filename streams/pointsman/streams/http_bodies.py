"""Bodies of `POST /v1/events` as single events: a JSON object or array, JSON lines, and the three content modes of CloudEvents over HTTP.

Events keep the bytes in which they came, so that a dead letter has them.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
JSON = frozenset({"", "application/json"})
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_BATCH = "application/cloudevents-batch+json"
ATTRIBUTES = ("id", "type", "source", "time")
_SCANNER = json.JSONDecoder()
_BLANK = " \t\n\r"


class NoSuchMediaType(ValueError):
    """A body in a format that is not known; the message lists those that are."""


@dataclass(frozen=True, slots=True)
class Posted:
    """One event as it came: its bytes, what CloudEvents says around it, and the scope where that stands outside (`partitionkey`)."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    key: bytes | None = None


def split(body: bytes, media_type: str, headers: Mapping[str, str], most: int) -> list[Posted]:
    """The events of a body, at most `most + 1`; what is no JSON is one that will be refused. Raises `NoSuchMediaType`."""
    if media_type in LINES:
        return [Posted(line) for line in _lines(body, most)]
    if media_type == CLOUD_EVENT:
        return [_structured(body)]
    if media_type == CLOUD_BATCH:
        return [_structured(element) for element in _elements(body, most)]
    if media_type not in JSON:
        known = ", ".join(("application/json", "application/x-ndjson", CLOUD_EVENT, CLOUD_BATCH))
        raise NoSuchMediaType(f"content-type {media_type[:100]!r}: send one of {known}")
    if "ce-specversion" in headers:
        return [_binary(body, headers)]
    return [Posted(element) for element in _elements(body, most)]


def _lines(body: bytes, most: int) -> list[bytes]:
    lines = (line for line in body.split(b"\n") if line.strip())
    return [line for line, _ in zip(lines, range(most + 1), strict=False)]


def _elements(body: bytes, most: int) -> list[bytes]:
    """The elements of an array, each in its own bytes; anything else is one element."""
    if body.lstrip()[:1] != b"[":
        return [body]
    try:
        return [element.encode() for element, _ in zip(_scan(body.decode()), range(most + 1), strict=False)]
    except (ValueError, RecursionError):
        return [body]


def _scan(text: str) -> Iterator[str]:
    """The source text of an array's elements; raises `ValueError` where it is not well-formed."""
    place = _skip(text, _skip(text, 0) + 1)
    if text[place : place + 1] == "]":
        _end(text, place)
        return
    while True:
        _, end = _SCANNER.raw_decode(text, place)
        yield text[place:end]
        place = _skip(text, end)
        if text[place : place + 1] == "]":
            _end(text, place)
            return
        if text[place : place + 1] != ",":
            raise ValueError("an array goes on with a comma or ends")
        place = _skip(text, place + 1)


def _skip(text: str, place: int) -> int:
    while text[place : place + 1] in _BLANK and place < len(text):
        place += 1
    return place


def _end(text: str, place: int) -> None:
    if _skip(text, place + 1) != len(text):
        raise ValueError("something follows the array")


def _structured(body: bytes) -> Posted:
    """An event in a CloudEvents envelope; what its data leaves out is taken from the envelope."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return Posted(body)
    if not isinstance(envelope, dict) or "specversion" not in envelope:
        return Posted(body)
    around = tuple((f"ce_{name}", str(envelope[name]).encode("utf-8", "replace")) for name in ATTRIBUTES if name in envelope)
    key = envelope.get("partitionkey")
    return Posted(_data(envelope), around, key.encode("utf-8", "replace") if isinstance(key, str) else None)


def _data(envelope: Mapping[str, Any]) -> bytes:
    try:
        if "data_base64" in envelope:
            return base64.b64decode(envelope["data_base64"], validate=True)
        return json.dumps(envelope.get("data", {}), separators=(",", ":")).encode()
    except (ValueError, TypeError, RecursionError):
        return b""


def _binary(body: bytes, headers: Mapping[str, str]) -> Posted:
    """An event whose attributes are `ce-` headers, percent-encoded."""
    around = tuple((f"ce_{name}", unquote(value).encode()) for name in ATTRIBUTES if (value := headers.get(f"ce-{name}")) is not None)
    key = headers.get("ce-partitionkey")
    return Posted(body, around, unquote(key).encode() if key is not None else None)


__all__ = ["CLOUD_BATCH", "CLOUD_EVENT", "JSON", "LINES", "NoSuchMediaType", "Posted", "split"]
