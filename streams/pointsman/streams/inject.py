"""Faults put into recordings: what a recording would be had a track been slow, a host throttled, a change been bad. For game days and for measuring."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pointsman.schemas import AnyInput, EventRejected, RequestCompleted, RequestStarted, encode

from .inject_effects import InjectError
from .inject_faults import FAULTS, Fault
from .inject_recording import Recording
from .intake import accept
from .recording import open_write
from .replay import source_lines
from .series import seconds_of, time_of

EARLIEST_TIME = 946_684_800.0  # 2000-01-01: numbers below it are seconds from the beginning of the recording
MOST_ATTRIBUTES = 16
CLIENTS = 12


def inject(events: Sequence[AnyInput], fault: Fault) -> tuple[list[AnyInput], dict[str, Any]]:
    """The events with the fault in them, in the order in which they arrive then, and what was done. Raises `InjectError`."""
    if not events:
        raise InjectError("the recording has no events: give one that has")
    recording = Recording(events)
    start, until = recording.begin + fault.at_s, recording.end
    if fault.for_s <= 0.0:
        raise InjectError(f"--for is {fault.for_s:g} s: give a duration above 0")
    if not recording.begin <= start < until:
        raise InjectError(f"--at is {fault.at_s:g} s from the beginning of a recording of {until - recording.begin:.0f} s: give a time within it")
    end = min(start + fault.for_s, until)
    name_clients(recording, CLIENTS if fault.clients is None and fault.kind in ("tokens", "none") else fault.clients or 0, fault.seed)
    said = FAULTS[fault.kind].into(recording, fault, start, end, random.Random(f"{fault.kind}/{fault.seed}"))
    return recording.ordered(), {"fault": fault.kind, "start": round(start, 6), "end": round(end, 6), **said}


def name_clients(recording: Recording, count: int, seed: int) -> None:
    """Give every request that names no `client` one of so many, some with more requests than others; the same ones whatever the fault."""
    dice = random.Random(f"clients/{seed}")
    names = [f"client-{number + 1}" for number in range(count)]
    weights = [1.0 / (number + 1) ** 0.5 for number in range(count)]
    for attempt in recording.attempts if count else ():
        place = attempt.started
        event = recording.events[place] if place is not None else None
        if place is None or not isinstance(event, RequestStarted):
            continue
        attributes = event.attributes or {}
        drawn = dice.choices(names, weights)[0]
        if "client" not in attributes and len(attributes) < MOST_ATTRIBUTES:
            recording.change(place, attributes={**attributes, "client": drawn})


def moment(text: str, events: Sequence[AnyInput]) -> float:
    """Seconds from the beginning: of a duration as it is (10m, 600), of a time (epoch seconds, ISO 8601) from the first event."""
    try:
        seconds = seconds_of(text)
    except ValueError:
        try:
            seconds = time_of(text)
        except ValueError:
            raise InjectError(f"--at {text!r}: write 10m from the beginning, or a time such as 2024-01-01T00:10:00Z") from None
    return seconds - events[0].occurred_at if seconds >= EARLIEST_TIME else seconds


def read_events(source: Path) -> list[AnyInput]:
    """The events of a recording or of an embedded database. Raises `InjectError` where a line is none."""
    found: list[AnyInput] = []
    for place, line in source_lines(str(source)):
        event = accept(line, place=place)
        if isinstance(event, EventRejected):
            raise InjectError(f"{place} of {source}: {event.reason.message}; take it out, or mend it, then inject")
        found.append(event)
    if not any(isinstance(event, RequestStarted | RequestCompleted) for event in found):
        raise InjectError(f"{source}: no requests in it: give a recording that has some")
    return found


def write_events(events: Iterable[AnyInput], output: Path) -> None:
    """Events as JSON lines; .gz and .zst are compressed."""
    with open_write(output) as file:
        for event in events:
            file.write(encode(event) + b"\n")


def as_line(said: dict[str, Any]) -> str:
    """What was done, as one line of JSON."""
    return json.dumps(said, separators=(", ", ": "))


__all__ = ["CLIENTS", "Fault", "as_line", "inject", "moment", "name_clients", "read_events", "write_events"]
