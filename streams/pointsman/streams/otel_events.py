"""Requests to export as accepted events and dead letters, for the doors that are no HTTP: Kafka and files."""

from collections import Counter

from pointsman.schemas import AnyInput, EventRejected, Reason, dead_letter

from .intake import accept
from .otel import Adapter
from .otlp import OtlpError, decode


def events_of(adapter: Adapter, value: bytes, place: str, counts: Counter[str]) -> list[AnyInput | EventRejected]:
    """What one request to export becomes, in the order of time; `counts` is told how many spans became what.

    Bytes that are no OTLP, and spans that cannot be read, become one dead letter. It goes without the bytes, since prompts may be
    among them; the place says where they are.
    """
    counts["exports"] += 1
    try:
        made = adapter.adapt(decode(value))
    except OtlpError as error:
        counts["malformed_otlp"] += 1
        return [_withheld(place, value, "malformed_otlp", str(error))]
    found = [accept(told.value, place=f"{place}#{number}") for number, told in enumerate(made.events)]
    counts.update({"requests": made.requests, "evaluations": made.evaluations, **made.skipped, **made.refused})
    counts["dead_letters"] += sum(isinstance(event, EventRejected) for event in found)
    if made.refused:
        said = ", ".join(f"{count} {code}" for code, count in sorted(made.refused.items()))
        found.append(_withheld(place, value, "unreadable_spans", f"of this export {said}: correct what the exporter sends"))
    return found


def _withheld(place: str, value: bytes, code: str, message: str) -> EventRejected:
    letter = dead_letter(place, b"", Reason(code=code, message=message))
    return letter.model_copy(update={"payload_bytes": len(value)})


__all__ = ["events_of"]
