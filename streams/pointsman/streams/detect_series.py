"""`pointsman detect`: the live detector on any series, row by row."""

import math
from pathlib import Path

from pointsman.models.detector import SeriesDetector

from .series import SeriesError, read_series

HEADER = "timestamp,value,anomaly_score"


def detect_series(source: Path, output: Path) -> tuple[int, int]:
    """Write the score of each row of a series before the next row is read; how many rows there were, and how many of them had no value."""
    if output.resolve() == source.resolve():
        raise SeriesError(f"{output}: would be written over the series; give the output another name")
    detector, rows, missing = SeriesDetector(), 0, 0
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEADER + "\n")
        for row in read_series(source, is_sorted=False):
            rows += 1
            if math.isnan(row.value):
                missing += 1
                file.write(f"{row.written},,0\n")
            else:
                file.write(f"{row.written},{row.value!r},{detector.step(row.at, row.value).score:.9g}\n")
            file.flush()
    if not rows:
        raise SeriesError(f"{source}: no rows; a series has at least one line of timestamp,value")
    return rows, missing


__all__ = ["detect_series"]
