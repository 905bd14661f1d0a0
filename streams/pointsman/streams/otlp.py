"""OTLP traces, JSON or protobuf, as neutral spans: only what the adapter reads is taken out, so that content goes no further than its sketch.

Specification: OTLP 1.x, `ExportTraceServiceRequest`. In JSON names are camelCase, ids hexadecimal, 64-bit integers strings and enums numbers.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from .otel_attributes import ASSESSOR, EVALUATION, EVENT_NAME, FIRST_TOKEN, LABEL, READ_EVENTS, SCORE

INTERNAL, CLIENT = 1, 3
ERROR = 2
DEEPEST = 16
MOST_EVENTS = 256  # of one span
MOST_LINKS = 16
_HEX = frozenset("0123456789abcdef")
Attributes = Mapping[str, Any]


class OtlpError(ValueError):
    """Bytes that are no OTLP traces; the message says what is wrong and quotes nothing of them."""


class Flaw(ValueError):
    """One span that cannot be read; the message is a code."""


class Skipped(ValueError):
    """One record that is of no concern; the message is a code."""


class Moment(NamedTuple):
    """A span event."""

    name: str
    at_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    """One span: ids as lower-case hexadecimal, times in nanoseconds since 1970, of its attributes those that are read. Raises `Flaw`."""

    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start_ns: int
    end_ns: int
    is_error: bool
    attributes: Attributes
    moments: tuple[Moment, ...]
    links: tuple[tuple[str, str], ...]
    resource: Attributes
    schema_url: str

    def __post_init__(self) -> None:
        if not (is_id(self.trace_id, 32) and is_id(self.span_id, 16)):
            raise Flaw("bad_id")
        if self.start_ns <= 0 or self.end_ns < self.start_ns:
            raise Flaw("bad_time")

    @property
    def identity(self) -> str:
        """Trace and span, which name it for good."""
        return f"{self.trace_id}-{self.span_id}"


@dataclass(slots=True)
class Spans:
    """What one request to export has: spans in their order, how many could not be read, and how many are of no concern, by code."""

    spans: list[Span] = field(default_factory=list)
    flaws: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, make: Callable[[Any, Attributes, str], Span], given: Any, resource: Attributes, schema_url: str) -> None:
        """Add a span, or count why it cannot be one."""
        try:
            self.spans.append(make(given, resource, schema_url))
        except Flaw as flaw:
            self.flaws[str(flaw)] += 1
        except Skipped as skipped:
            self.skipped[str(skipped)] += 1


def judgement(trace_id: str, span_id: str, at_ns: int, attributes: Attributes, resource: Attributes, schema_url: str) -> Span:
    """A log record that is the event of an evaluation, as a span without duration below the one that it judges; raises `Flaw` and `Skipped`.

    Its id follows from what it says, so that a record that is sent again is the same.
    """
    if attributes.get(EVENT_NAME) != EVALUATION:
        raise Skipped("other_record")
    if not is_id(span_id, 16):
        raise Flaw("bad_id")
    said = repr([trace_id, span_id, at_ns, *(attributes.get(name) for name in (ASSESSOR, SCORE, LABEL))])
    identity = blake2b(said.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return Span(trace_id, identity, span_id, INTERNAL, at_ns, at_ns, False, attributes, (), (), resource, schema_url)


class Picked:
    """Which events of one span are read: those with a known name, of the first tokens only the first, 256 at most."""

    __slots__ = ("_count", "_has_begun")

    def __init__(self) -> None:
        self._count = 0
        self._has_begun = False

    def __call__(self, name: str) -> bool:
        """Whether the next event, of this name, is read."""
        if name not in READ_EVENTS or self._count >= MOST_EVENTS or (name in FIRST_TOKEN and self._has_begun):
            return False
        self._count += 1
        self._has_begun = self._has_begun or name in FIRST_TOKEN
        return True


def decode(body: bytes) -> Spans:
    """Either encoding: a JSON object begins with a brace, which no protobuf message of this type does. Raises as the two do."""
    if body[:64].lstrip()[:1] == b"{":
        from .otlp_json import decode_json

        return decode_json(body)
    from .otlp_protobuf import decode_protobuf

    return decode_protobuf(body)


def is_id(text: str, length: int) -> bool:
    """Whether this is the identifier of a trace (32 digits) or a span (16), and not all zeros."""
    return len(text) == length and _HEX.issuperset(text) and text.strip("0") != ""


__all__ = [
    "CLIENT",
    "DEEPEST",
    "ERROR",
    "INTERNAL",
    "MOST_LINKS",
    "Attributes",
    "Flaw",
    "Moment",
    "OtlpError",
    "Picked",
    "Skipped",
    "Span",
    "Spans",
    "decode",
    "is_id",
    "judgement",
]
