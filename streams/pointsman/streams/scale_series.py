"""`pointsman scale`: a series of demand in, a capacity a row out, by the controller that runs live."""

from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path

from pointsman.models.forecast import Form, SeriesForecaster
from pointsman.models.scaling import Advice, Scaler, SeriesScaler, lead_rows
from pointsman.models.scaling_account import LEVELS
from pointsman.models.scaling_score import Scorer

from .forecast_series import DAY_S, step_of
from .recording import open_write
from .series import SeriesError, SeriesRow, missing_before, read_series, seconds_of

HEADER = "timestamp,capacity"


def scale_series(
    source: Path, output: Path, step: str, start_delay: str, *, unserved: float, cooldown: str, limits: tuple[float, float], form: Form = "full"
) -> str:
    """Write `timestamp,capacity` for every row before the next one is read; return one line on what the advice was worth."""
    step_s, a_day = step_of(step), max(round(DAY_S / step_of(step)), 1)
    lead, cooldown_rows = lead_rows(_span("start delay", start_delay), step_s), lead_rows(_span("cooldown", cooldown), step_s)
    if limits[0] > limits[1]:
        raise SeriesError(f"minimum {limits[0]:g} is above maximum {limits[1]:g}: swap them")
    if output.resolve() == source.resolve():
        raise SeriesError(f"{output}: would be written over the series; give the output another name")
    scaler = Scaler(lead, a_day, unserved, cooldown_rows=cooldown_rows, minimum=limits[0], maximum=limits[1])
    controller, scorer = SeriesScaler(SeriesForecaster((lead,), a_day, form, LEVELS), scaler), Scorer(a_day, unserved)
    with TextIOWrapper(open_write(output), encoding="utf-8", newline="\n") as file:
        file.write(HEADER + "\n")
        for row, advice in advised(read_series(source, step_s), step_s, controller):
            scorer.observe(max(row.value, 0.0), advice.present)
            file.write(f"{row.written},{advice.capacity:.10g}\n")
            file.flush()
    return _said(source, scorer)


def advised(rows: Iterable[SeriesRow], step: float, controller: SeriesScaler) -> Iterator[tuple[SeriesRow, Advice]]:
    """Each row with the advice after it; rows of the grid that are missing are taken as unknown."""
    last: SeriesRow | None = None
    for row in rows:
        for _ in range(missing_before(row, last, step)):
            controller.observe(None)
        last = row
        yield row, controller.observe(row.value)


def _span(name: str, text: str) -> float:
    seconds = seconds_of(text)
    if not 0.0 <= seconds <= DAY_S:
        raise SeriesError(f"the {name} {text} is not between 0 and a day")
    return seconds


def _said(source: Path, scorer: Scorer) -> str:
    score = scorer.stretch()
    if not score.rows:
        raise SeriesError(f"{source}: too short; a series has more rows of timestamp,value than the start delay has steps")
    return (
        f"{score.rows} rows served: {100 * score.unserved_share:.2f} % unserved (target {100 * score.target_unserved_share:g} %), "
        f"{100 * score.over_provisioned_share:.1f} % over-provisioned, {score.changes_a_day:.1f} changes a day"
    )
