"""`pointsman forecast`: the live forecaster on any series, row by row."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from io import TextIOWrapper
from pathlib import Path

from pointsman.models.forecast import Form, SeriesForecaster

from .recording import open_write
from .series import SeriesError, SeriesRow, missing_before, read_series, rows_in, seconds_of

HEADER = "issued_at,horizon_s,target_time,median,lower,upper"
DAY_S = 86_400.0


def forecast_series(source: Path, output: Path, step: str, horizons: Sequence[str], form: Form = "full") -> int:
    """Write the forecasts after each row of a series before the next row is read; says how many rows there were."""
    step_s = step_of(step)
    spans = [seconds_of(horizon.strip()) for horizon in horizons]
    rows = [rows_in(span, step_s, "horizon") for span in spans]
    forecaster = SeriesForecaster(rows, max(round(DAY_S / step_s), 1), form)
    if output.resolve() == source.resolve():
        raise SeriesError(f"{output}: would be written over the series; give the output another name")
    count = 0
    with TextIOWrapper(open_write(output), encoding="utf-8", newline="\n") as file:
        file.write(HEADER + "\n")
        for row in known(read_series(source, step_s), step_s, forecaster):
            file.writelines(_lines(row, spans, forecaster))
            file.flush()
            count += 1
    if not count:
        raise SeriesError(f"{source}: no rows; a series has at least one line of timestamp,value")
    return count


def step_of(text: str) -> float:
    """The step of a series in seconds: more than nothing, at most a day.

    >>> step_of("10m")
    600.0
    """
    step = seconds_of(text)
    if not 0.0 < step <= DAY_S:
        raise SeriesError(f"the step {text} is not between 0 and a day")
    return step


def known(rows: Iterable[SeriesRow], step: float, forecaster: SeriesForecaster) -> Iterator[SeriesRow]:
    """Each row once the forecaster has learned it, and before it the rows of the grid that are missing, as unknown."""
    last: SeriesRow | None = None
    for row in rows:
        for _ in range(missing_before(row, last, step)):
            forecaster.learn_one(None)
        forecaster.learn_one(row.value)
        last = row
        yield row


def _lines(row: SeriesRow, spans: Sequence[float], forecaster: SeriesForecaster) -> Iterator[str]:
    for span, found in zip(spans, forecaster.forecast(), strict=True):
        numbers = (f"{number:.10g}" for number in (found.median, found.lower, found.upper))
        yield f"{row.written},{span:.15g},{later(row, span)},{','.join(numbers)}\n"


def later(row: SeriesRow, seconds: float) -> str:
    """The time so many seconds after a row, written as the row's own.

    >>> later(SeriesRow(2, "2024-01-01T00:00:00Z", 1704067200.0, 1.0), 600.0), later(SeriesRow(2, "1200", 1200.0, 1.0), 600.0)
    ('2024-01-01T00:10:00Z', '1800')
    """
    written = row.written
    try:
        float(written)
    except ValueError:
        then = datetime.fromisoformat(written) + timedelta(seconds=seconds)
        text = then.isoformat(sep=written[10] if len(written) > 10 else "T")
        return text.replace("+00:00", "Z") if written.endswith("Z") else text
    return f"{row.at + seconds:.15g}"
