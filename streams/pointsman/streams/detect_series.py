"""`pointsman detect`: the live detector on any series, row by row."""

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pointsman.models.detector import Scored, SeriesDetector
from pointsman.models.false_alarms import Alarms

from .series import SeriesError, SeriesRow, read_series

HEADER = "timestamp,value,anomaly_score"
ALARM_HEADER = "timestamp,value,surprise,kind,expected,lower,upper"


@dataclass(slots=True)
class Detected:
    """How many rows there were, how many of them had no value, and how many raised an alarm."""

    rows: int = 0
    missing: int = 0
    alarms: int = 0


def detect_series(source: Path, output: Path, alarms: Path | None = None, per_month: float = 1.0) -> Detected:
    """Write the score of each row of a series before the next row is read, and to `alarms` the rows that an operator is told of, so many false ones a month."""
    if source.resolve() in (output.resolve(), alarms.resolve() if alarms is not None else None):
        raise SeriesError(f"{source}: would be written over; give the outputs other names")
    detector, chosen, found = SeriesDetector(), Alarms(per_month), Detected()
    with ExitStack() as files:
        scores = files.enter_context(_begun(output, HEADER))
        told = files.enter_context(_begun(alarms, ALARM_HEADER)) if alarms is not None else None
        for row in read_series(source, is_sorted=False):
            found.rows += 1
            if math.isnan(row.value):
                found.missing += 1
                scores.write(f"{row.written},,0\n")
            else:
                scored = detector.step(row.at, row.value)
                scores.write(f"{row.written},{row.value!r},{scored.score:.9g}\n")
                if told is not None and chosen.raises(scored.surprise, detector.step_s):
                    found.alarms += 1
                    told.write(_alarm(row, scored))
                    told.flush()
            scores.flush()
    if not found.rows:
        raise SeriesError(f"{source}: no rows; a series has at least one line of timestamp,value")
    return found


def _begun(path: Path, header: str) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w", encoding="utf-8", newline="\n")
    file.write(header + "\n")
    return file


def _alarm(row: SeriesRow, scored: Scored) -> str:
    numbers = ",".join(f"{number:.6g}" for number in (scored.expected, scored.lower, scored.upper))
    return f"{row.written},{row.value!r},{scored.surprise:.4g},{scored.kind},{numbers}\n"


__all__ = ["Detected", "detect_series"]
