"""Files of OTLP JSON lines, as the OpenTelemetry Collector's file exporter writes them, as a recording."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pointsman.schemas import EventRejected, encode
from pointsman.schemas.settings import OtelSettings

from .otel import Adapter
from .otel_events import events_of
from .recording import naming, open_read, open_write

LONGEST_LINE = 64_000_000


class Converted(NamedTuple):
    """How many events and dead letters were written, and what became of the spans."""

    events: int
    rejected: int
    counts: Counter[str]

    def __str__(self) -> str:
        said = [f"{self.events} events, {self.rejected} rejected"]
        return "; ".join(said + [f"{count} {name}" for name, count in sorted(self.counts.items()) if name not in ("exports", "dead_letters") and count])


def convert_otel(source: Path, output: Path, rejected: Path, settings: OtelSettings) -> Converted:
    """Write the events in the order of their times, and a file of dead letters where there are any."""
    adapter, counts = Adapter(settings), Counter[str]()
    found = [event for place, line in _lines(source) for event in events_of(adapter, line, place, counts)]
    letters = [event for event in found if isinstance(event, EventRejected)]
    events = sorted((event for event in found if not isinstance(event, EventRejected)), key=lambda event: event.occurred_at)
    for path, rows in ((output, events), (rejected, letters)):
        if rows or path is output:
            with open_write(path) as file:
                file.writelines(encode(row) + b"\n" for row in rows)
    return Converted(len(events), len(letters), counts)


def _lines(source: Path) -> Iterator[tuple[str, bytes]]:
    with naming(source), open_read(source) as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            if line.strip():
                yield f"{source.name}:{number}", line.strip()


__all__ = ["Converted", "convert_otel"]
