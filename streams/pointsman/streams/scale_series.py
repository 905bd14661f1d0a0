"""`pointsman scale`: a series of demand in, a capacity a row out, by the controller that runs live."""

import math
from pathlib import Path

from pointsman.models.forecast import Form, SeriesForecaster
from pointsman.models.scaling import Scaler, SeriesScaler, lead_rows
from pointsman.models.scaling_account import LEVELS
from pointsman.models.scaling_score import Scorer

from .recording import open_write
from .series import SeriesError, SeriesRow, missing_before, read_series, seconds_of

DAY_S = 86_400.0


def scale_series(
    source: Path, output: Path, step: str, start_delay: str, *, unserved: float, cooldown: str, limits: tuple[float, float], form: Form = "full"
) -> str:
    """Write `timestamp,capacity` for every row before the next one is read; return one line on what the advice was worth."""
    step_s, delay_s, cooldown_s = seconds_of(step), seconds_of(start_delay), seconds_of(cooldown)
    if not 0.0 < step_s <= DAY_S:
        raise SeriesError(f"a step of {step_s:g} s: choose one of more than nothing and at most a day")
    if limits[0] > limits[1]:
        raise SeriesError(f"minimum {limits[0]:g} is above maximum {limits[1]:g}: swap them")
    lead, a_day = lead_rows(delay_s, step_s), max(round(DAY_S / step_s), 1)
    scaler = Scaler(lead, a_day, unserved, cooldown_rows=max(math.ceil(cooldown_s / step_s - 1e-9), 1), minimum=limits[0], maximum=limits[1])
    controller, scorer = SeriesScaler(SeriesForecaster((lead,), a_day, form, LEVELS), scaler), Scorer(a_day, unserved)
    last: SeriesRow | None = None
    with open_write(output) as file:
        file.write(b"timestamp,capacity\n")
        for row in read_series(source):
            for _ in range(missing_before(row, last, step_s)):
                controller.observe(None)
            last = row
            advice = controller.observe(row.value)
            scorer.observe(max(row.value, 0.0), advice.present)
            file.write(f"{row.written},{advice.capacity:.9g}\n".encode())
            file.flush()
    return _said(scorer)


def _said(scorer: Scorer) -> str:
    score = scorer.stretch()
    return (
        f"{score.rows} rows served: {100 * score.unserved_share:.2f} % unserved (target {100 * score.target_unserved_share:g} %), "
        f"{100 * score.over_provisioned_share:.1f} % over-provisioned, {score.changes_a_day:.1f} changes a day"
    )
