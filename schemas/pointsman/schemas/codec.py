"""Bytes to events and back: JSON lines, one object an event, the same bytes in files, journals and Kafka values."""

import base64
import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from .controls import AlertAcknowledged, AlertSilenced, IncidentAnnotated, IncidentReported, MaintenanceScheduled
from .envelope import EARLIEST, LATEST, Event, InputEvent, OutputEvent
from .inputs import CapacityAllocated, ConfigChanged, QualityAssessed, RequestCompleted, RequestStarted, ResourceSampled, Tick
from .outputs import (
    AlertRaised,
    AlertResolved,
    EventRejected,
    ForecastIssued,
    ModelsReported,
    PolicyPublished,
    PredictionIssued,
    Reason,
    RecommendationIssued,
    ScalingRecommended,
    ScalingScored,
    StrategyAdapted,
    WindowClosed,
)
from .signals import BottleneckReported, IncidentOpened, IncidentResolved, IncidentUpdated, ObjectiveReported

INPUTS: dict[str, type[InputEvent]] = {
    model.TYPE: model
    for model in (
        RequestStarted,
        RequestCompleted,
        ResourceSampled,
        QualityAssessed,
        ConfigChanged,
        CapacityAllocated,
        AlertAcknowledged,
        AlertSilenced,
        MaintenanceScheduled,
        IncidentAnnotated,
        IncidentReported,
        Tick,
    )
}
OUTPUTS: dict[str, type[Event]] = {
    model.TYPE: model
    for model in (
        RecommendationIssued,
        PolicyPublished,
        PredictionIssued,
        ModelsReported,
        ForecastIssued,
        ScalingRecommended,
        ScalingScored,
        WindowClosed,
        StrategyAdapted,
        AlertRaised,
        AlertResolved,
        IncidentOpened,
        IncidentUpdated,
        IncidentResolved,
        ObjectiveReported,
        BottleneckReported,
        EventRejected,
    )
}
MAX_EVENT_BYTES = 900_000
MAX_PAYLOAD_BYTES = 65_536

AnyInput = (
    RequestStarted
    | RequestCompleted
    | ResourceSampled
    | QualityAssessed
    | ConfigChanged
    | CapacityAllocated
    | AlertAcknowledged
    | AlertSilenced
    | MaintenanceScheduled
    | IncidentAnnotated
    | IncidentReported
    | Tick
)
_INPUT: TypeAdapter[AnyInput] = TypeAdapter(Annotated[AnyInput, Field(discriminator="type")])


class Refused(ValueError):
    """An event that cannot be accepted; `reason` says why, for a dead letter."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.reason = Reason(code=code, message=message[:2000])


def explain(error: ValidationError) -> str:
    """Every problem of a validation error in one sentence, without the offending values."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    said = [f"{'.'.join(str(part) for part in problem['loc']) or 'event'}: {problem['msg']}" for problem in problems[:5]]
    return "; ".join(said) + (f" (and {len(problems) - 5} more)" if len(problems) > 5 else "")


def decode(line: bytes) -> AnyInput:
    """Validate one JSON object as an input event; raises `Refused` with the reason."""
    if len(line) > MAX_EVENT_BYTES:
        raise Refused("too_large", f"{len(line)} bytes: an event has at most {MAX_EVENT_BYTES}")
    try:
        return _INPUT.validate_json(line)
    except ValidationError as error:
        raise _refusal(error) from None


def decode_fields(fields: dict[str, Any]) -> AnyInput:
    """Validate a mapping as an input event; raises `Refused` with the reason."""
    try:
        return _INPUT.validate_python(fields)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> Refused:
    problems = error.errors(include_url=False, include_input=False)
    kinds = {problem["type"] for problem in problems}
    if "json_invalid" in kinds:
        code = "malformed_json"
    elif any(problem["type"] == "dict_type" and not problem["loc"] for problem in problems):
        code = "not_an_object"
    elif "union_tag_invalid" in kinds:
        code = "unknown_type"
    elif "union_tag_not_found" in kinds or "missing" in kinds:
        code = "missing_field"
    else:
        code = "invalid_field"
    return Refused(code, explain(error))


def encode(event: Event) -> bytes:
    """One event as compact JSON without a newline; absent fields are left out."""
    return event.__pydantic_serializer__.to_json(event, exclude_none=True)


def decode_output(line: bytes) -> Event:
    """Read an output event back; raises `Refused` for anything else."""
    try:
        fields = json.loads(line)
        model = OUTPUTS[fields["type"]]
        return model.model_validate(fields)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused("not_an_output", f"not an output event: {type(error).__name__}") from error


def dead_letter(place: str, payload: bytes, reason: Reason, *, occurred_at: float = EARLIEST, scope: str = "-") -> EventRejected:
    """Wrap refused bytes with their place and reason; keeps at most 64 KB of them and their true length."""
    return EventRejected(
        event_id=f"rejected/{place}"[:256],
        scope=scope[:256] or "-",
        occurred_at=min(max(occurred_at, EARLIEST), LATEST),
        place=place,
        reason=reason,
        payload=base64.b64encode(payload[:MAX_PAYLOAD_BYTES]).decode("ascii"),
        payload_bytes=len(payload),
    )


__all__ = [
    "INPUTS",
    "OUTPUTS",
    "AnyInput",
    "OutputEvent",
    "Refused",
    "dead_letter",
    "decode",
    "decode_fields",
    "decode_output",
    "encode",
    "explain",
]
