"""The fields every event shares, and the field types that keep bad values out."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

EARLIEST = 946_684_800.0  # 2000-01-01T00:00:00Z
LATEST = 4_102_444_800.0  # 2100-01-01T00:00:00Z


def _epoch_seconds(value: Any) -> Any:
    """Accept ISO 8601 as well as epoch seconds; a naive time is UTC."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError("a time is epoch seconds or ISO 8601") from error
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool):
        raise ValueError("a time is epoch seconds or ISO 8601")
    return value


def _short_value(value: str | float | bool) -> str | float | bool:
    if isinstance(value, str) and len(value) > 256:
        raise ValueError("an attribute has at most 256 characters")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("an attribute is a finite number")
    return value


Identifier = Annotated[str, Field(min_length=1, max_length=256)]
ShortText = Annotated[str, Field(max_length=256)]
Time = Annotated[float, BeforeValidator(_epoch_seconds), Field(ge=EARLIEST, le=LATEST)]
Duration = Annotated[float, Field(ge=0, le=1e10)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Sum = Annotated[int, Field(ge=0)]  # of counts: of events that are all valid, so with no limit of its own
Money = Annotated[float, Field(ge=0, le=1e9)]
Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
AttributeValue = Annotated[str | int | float | bool, BeforeValidator(_short_value)]
Attributes = Annotated[dict[Identifier, AttributeValue], Field(max_length=16)]


class Event(BaseModel):
    """One thing that happened: who says so (`source`), where it belongs (`scope`), and when (`occurred_at`, epoch seconds)."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)
    TYPE: ClassVar[str]

    event_id: Identifier
    scope: Identifier
    occurred_at: Time
    source: Identifier = "unknown"


class Origin(BaseModel):
    """Where an intake found an event: the highest offset applied per topic and partition drops what is forwarded twice."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    topic: ShortText
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]


class InputEvent(Event):
    """An event that the core folds; `origin` is stamped by the intake that accepted it."""

    origin: Origin | None = None


class OutputEvent(Event):
    """An event that the core emits: its id is `scope/sequence/ordinal`, its time the time of what caused it."""

    source: Identifier = "pointsman"
    caused_by: ShortText
