"""GenAI spans to events: a client span that asked a model becomes `request.started/1` and `request.completed/1`, an evaluation `quality.assessed/1`."""

import json
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from pointsman.models.sketch import sketch
from pointsman.schemas.settings import OtelSettings

from .otel_attributes import (
    ASSESSOR,
    DECISION,
    EVALUATION,
    FIRST_TOKEN,
    LABEL,
    PORT,
    REQUESTS,
    SCOPE,
    SCORE,
    SERVER,
    TRACK,
    Field,
    found,
    provider_of,
    recognised,
)
from .otel_content import input_text
from .otel_failure import error_type, failure_class
from .otel_nesting import Call, Nesting, inner_first
from .otlp import CLIENT, INTERNAL, Span, Spans

NO_SERVICE = "unknown_service"
REMEMBERED = 16_384
LONGEST_NAME = 256
CALLERS = frozenset({0, INTERNAL, CLIENT})
_JSON = json.JSONEncoder(separators=(",", ":"))
_SCORES = {"pass": 1.0, "passed": 1.0, "fail": 0.0, "failed": 0.0}


class Told(NamedTuple):
    """One event as bytes, when it happened, and which span of the request it comes from."""

    occurred_at: float
    value: bytes
    place: int


@dataclass(slots=True)
class Adapted:
    """What spans became: events in the order of their times; how many spans are no requests (`skipped`), and how many should be and cannot (`refused`)."""

    events: list[Told] = field(default_factory=list)
    requests: int = 0
    evaluations: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Known(NamedTuple):
    """Where a request's judgement belongs."""

    scope: str
    track: str
    request_id: str


class Adapter:
    """Makes events of spans. It remembers the tracks of the last 16,384 requests, for judgements that come by themselves."""

    def __init__(self, settings: OtelSettings | None = None) -> None:
        self._settings = settings or OtelSettings()
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._nesting = Nesting()

    @property
    def remembered(self) -> int:
        """How many requests' tracks are known."""
        return len(self._known)

    def adapt(self, given: Spans) -> Adapted:
        """The events of the spans of one request to export."""
        made = Adapted(refused=Counter(given.flaws), skipped=Counter(given.skipped))
        judged: list[tuple[int, Span]] = []
        for place in inner_first(given.spans):
            span = given.spans[place]
            is_judged = _is_judged(span)
            if is_judged:
                judged.append((place, span))
            if (reason := _no_request(span)) is None:
                self._request(span, place, made)
                continue
            if reason != "other_operation":  # a call below a tool or an agent is none of the model that asked for it
                self._nesting.passed(span)
            if not is_judged:
                made.skipped[reason] += 1
        for place, span in judged:
            self._judgements(span, place, made)
        made.events.sort(key=lambda told: told.occurred_at)
        return made

    def _request(self, span: Span, place: int, made: Adapted) -> None:
        version = recognised(span.schema_url, span.attributes)
        model, provider = _name(found(version, "model", span.attributes)), provider_of(found(version, "provider", span.attributes))
        model = model or _name(found(version, "response_model", span.attributes))
        track = self._track(span, model, provider)
        if track is None:
            made.skipped["no_model"] += 1
            return
        request_id, scope = span.identity, _scope(span)
        call = Call.of(REQUESTS.get(_operation(span, version), "chat"), model or track)
        inner = self._nesting.below(span, call)
        self._nesting.counted(span, call, inner or request_id)
        if inner is not None:
            made.skipped["described_below"] += 1
            if (known := self._known.get(inner)) is not None:  # a judgement of this span is one of the request below it
                self._remember(request_id, known)
            return
        made.requests += 1
        self._remember(request_id, Known(scope, track, request_id))
        common = {"scope": scope, "source": f"otel/{version}", "request_id": request_id, "track": track}
        tokens = _counts(version, span, "input_tokens", "output_tokens", "max_tokens")
        _tell(made, place, "request.started/1", f"{request_id}/started", span.start_ns, common | _start(version, span, tokens, model, provider))
        _tell(made, place, "request.completed/1", f"{request_id}/completed", span.end_ns, common | _end(version, span, tokens))

    def _track(self, span: Span, model: str | None, provider: str | None) -> str | None:
        if (own := _name(span.attributes.get(TRACK)) or _name(span.resource.get(TRACK))) is not None:
            return own
        address, port = span.attributes.get(SERVER), span.attributes.get(PORT)
        for rule in self._settings.tracks:
            asked = ((rule.model, (model,)), (rule.provider, (provider,)), (rule.server_address, (address, f"{address}:{port}")))
            if all(pattern is None or any(fnmatchcase(str(one), pattern) for one in values if one is not None) for pattern, values in asked):
                return rule.track
        if model is None:
            return None
        return f"{provider}/{model}" if self._settings.name == "provider/model" and provider is not None else model

    def _remember(self, request_id: str, known: Known) -> None:
        self._known[request_id] = known
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _judgements(self, span: Span, place: int, made: Adapted) -> None:
        """The judgements that a span carries: its own attributes, and its events; of the request that it links to, of itself, or of its parent."""
        moments = [(number, moment.at_ns or span.end_ns, moment.attributes) for number, moment in enumerate(span.moments) if moment.name == EVALUATION]
        if SCORE in span.attributes or LABEL in span.attributes:
            moments.append((len(span.moments), span.end_ns, span.attributes))
        request_id = self._judged(span)
        if request_id is None:
            made.skipped["judges_no_request"] += 1
            return
        known = self._known.get(request_id)
        for number, at_ns, attributes in moments:
            score = _score(attributes)
            if score is None:
                made.skipped["no_score"] += 1
                continue
            made.evaluations += 1
            track = _name(attributes.get(TRACK)) or _name(span.attributes.get(TRACK)) or (known.track if known is not None else None)
            fields = {"scope": known.scope if known is not None else _scope(span), "source": "otel", "score": score}
            fields["request_id"] = known.request_id if known is not None else request_id
            if track is not None:  # without one it becomes a dead letter, which can be played again when the request is known
                fields["track"] = track
            if (assessor := _brief(attributes.get(ASSESSOR))) is not None:
                fields["assessor"] = assessor
            after_ns = max(at_ns, span.end_ns) if request_id == span.identity else at_ns  # a judgement needs its request to be done
            _tell(made, place, "quality.assessed/1", f"{span.identity}/assessed/{number}", after_ns, fields)

    def _judged(self, span: Span) -> str | None:
        if _no_request(span) is None:
            return span.identity
        link = next((link for link in span.links if all(link)), None)
        if link is not None:
            return "-".join(link)
        return f"{span.trace_id}-{span.parent_id}" if span.parent_id else None


def _start(version: str, span: Span, tokens: dict[Field, int], model: str | None, provider: str | None) -> dict[str, Any]:
    operation = REQUESTS.get(_operation(span, version), "chat")
    named = {"model": model, "provider": _brief(provider), "operation": operation}
    fields: dict[str, Any] = {
        "input_tokens": tokens.get("input_tokens"),
        "max_output_tokens": tokens.get("max_tokens"),
        "conversation_id": _brief(found(version, "conversation", span.attributes)),
        "traceparent": f"00-{span.trace_id}-{span.span_id}-01",
        "attributes": {name: value for name, value in named.items() if value is not None},
    }
    for name, into in DECISION.items():
        value = span.attributes.get(name)
        fields[into] = value if isinstance(value, int | float) else _brief(value)
    if (text := input_text(span)) is not None:
        kept = sketch(text)
        fields["sketch"] = kept.model_dump(mode="json", exclude_none=True)
        fields["input_tokens"] = kept.tokens if fields["input_tokens"] is None else fields["input_tokens"]
    return fields


def _end(version: str, span: Span, tokens: dict[Field, int]) -> dict[str, Any]:
    latency_ms = round((span.end_ns - span.start_ns) / 1e6, 3)
    fields: dict[str, Any] = {
        "latency_ms": latency_ms,
        "ttft_ms": _ttft_ms(version, span, latency_ms),
        "input_tokens": tokens.get("input_tokens"),
        "output_tokens": tokens.get("output_tokens"),
        "cost_usd": _number(found(version, "cost_usd", span.attributes)),
        "success": (kind := error_type(span)) is None,
    }
    return fields if kind is None else fields | {"error_type": kind, "failure_class": failure_class(span, kind)}


def _ttft_ms(version: str, span: Span, latency_ms: float) -> float | None:
    """From the attribute (seconds), else from the first token's event; what is later than the end says nothing."""
    seconds = _number(found(version, "ttft_s", span.attributes))
    if seconds is None:
        begun = next((moment.at_ns for moment in span.moments if moment.name in FIRST_TOKEN), 0)
        seconds = (begun - span.start_ns) / 1e9 if begun >= span.start_ns else None
    return round(1000.0 * seconds, 3) if seconds is not None and 1000.0 * seconds <= latency_ms else None


def _no_request(span: Span) -> str | None:
    """Why a span is no request to a model, None where it is one."""
    if span.kind not in CALLERS:
        return "not_a_client"
    version = recognised(span.schema_url, span.attributes)
    operation = _operation(span, version)
    if operation:
        return None if operation in REQUESTS else "other_operation"
    names = (found(version, "model", span.attributes), found(version, "provider", span.attributes))
    is_asking = all(isinstance(name, str) for name in names) and "traceloop.span.kind" not in span.attributes
    return None if is_asking else "not_genai"


def _operation(span: Span, version: str) -> str:
    value = found(version, "operation", span.attributes)
    return value.lower() if isinstance(value, str) else ""


def _is_judged(span: Span) -> bool:
    return SCORE in span.attributes or LABEL in span.attributes or any(moment.name == EVALUATION for moment in span.moments)


def _score(attributes: Any) -> float | None:
    value = attributes.get(SCORE)
    if isinstance(value, int | float):
        return float(value)
    label = attributes.get(LABEL)
    return _SCORES.get(label.lower()) if isinstance(label, str) else None


def _scope(span: Span) -> str:
    named = (span.attributes.get(SCOPE), span.resource.get(SCOPE), span.resource.get("service.name"))
    return next((name for one in named if (name := _name(one)) is not None), NO_SERVICE)


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _brief(value: Any) -> str | None:
    """A name that a field can hold: what is longer is none, may be content, and is not worth the loss of its event."""
    name = _name(value)
    return name if name is not None and len(name) <= LONGEST_NAME else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _counts(version: str, span: Span, *fields: Field) -> dict[Field, int]:
    values: Iterable[tuple[Field, Any]] = ((one, _number(found(version, one, span.attributes))) for one in fields)
    return {name: int(value) for name, value in values if value is not None}


def _tell(made: Adapted, place: int, kind: str, event_id: str, at_ns: int, fields: dict[str, Any]) -> None:
    at = round(at_ns / 1e9, 6)
    event = {"type": kind, "event_id": event_id, "occurred_at": at, **{name: value for name, value in fields.items() if value is not None}}
    made.events.append(Told(at, _JSON.encode(event).encode(), place))


__all__ = ["Adapted", "Adapter", "Told"]
