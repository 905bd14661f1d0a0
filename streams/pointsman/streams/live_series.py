"""A series of the live core: minutes and coarser rows of one quantity, each forecast at its own horizons."""

import json
from typing import Any, NamedTuple

from pointsman.models.forecast import Form, RowForecast, SeriesForecaster
from pointsman.models.near import NearForecaster

MINUTE_S = 60.0
DAY_S = 86_400.0
HORIZONS_S = (60.0, 600.0, 3600.0, 21_600.0)
SCOPE_MINUTES, OTHER_MINUTES = 5, 10  # of a coarse row: what tracks and hosts do is kept coarser, so that five tracks with everything on stay small


class Name(NamedTuple):
    """Which series: a metric of the scope, of one track, or of one host."""

    metric: str
    track: str | None = None
    host: str | None = None

    @property
    def is_scope(self) -> bool:
        """Whether it is the whole scope's."""
        return self.track is None and self.host is None

    @property
    def minutes(self) -> int:
        """How many minutes make a coarse row."""
        return SCOPE_MINUTES if self.is_scope else OTHER_MINUTES


class Series:
    """What one quantity was, row by row, and what it will be: by minutes for the next minute, by coarse rows for 10 minutes, an hour and six hours."""

    __slots__ = ("_block", "_saved", "far", "last", "name", "near", "rows")

    def __init__(self, name: Name, form: Form) -> None:
        self.name = name
        self.near = NearForecaster()
        self.far = self._new(name, form)
        self.rows = 0
        self.last: float | None = None
        self._block = [0.0, 0.0]
        self._saved: str | None = None

    @staticmethod
    def _new(name: Name, form: Form) -> SeriesForecaster:
        row_s = name.minutes * MINUTE_S
        return SeriesForecaster([round(horizon / row_s) for horizon in HORIZONS_S[1:]], round(DAY_S / row_s), form)

    def is_block(self, end: float) -> bool:
        """Whether a coarse row ends with this minute."""
        return round(end / MINUTE_S) % self.name.minutes == 0

    def target(self, end: float, horizon_s: float) -> float:
        """The end of the row that a forecast is for, so long after the last closed row."""
        row_s = MINUTE_S if horizon_s == HORIZONS_S[0] else self.name.minutes * MINUTE_S
        return end // row_s * row_s + horizon_s

    def forget_minutes(self) -> None:
        """After a long silence the minutes before it say nothing."""
        self.near = NearForecaster()

    def close_minute(self, value: float | None, *, is_gap: bool = False) -> None:
        """A minute is over, None where nobody sampled; in a long gap only coarse rows are learned."""
        self.rows += 1
        self.last = value
        if not is_gap:
            self.near.learn_one(value)
        if value is not None:
            self._block[0] += value
            self._block[1] += 1.0

    def close_block(self) -> float | None:
        """A coarse row is over: the mean of its minutes that had a value."""
        total, count = self._block
        value = total / count if count else None
        self.far.learn_one(value)
        self._block, self._saved = [0.0, 0.0], None
        return value

    def forecasts(self, *, is_block: bool = True) -> list[tuple[float, RowForecast]]:
        """The horizon in seconds and the forecast, nearest first; without `is_block` only what is due every minute."""
        found = [(HORIZONS_S[0], self.near.forecast())]
        return found + list(zip(HORIZONS_S[1:], self.far.forecast(), strict=True)) if is_block else found

    def snapshot(self) -> tuple[list[Any], str]:
        """What changes every minute, as plain values, and what changes with a coarse row, as text that is made once."""
        if self._saved is None:
            self._saved = json.dumps(self.far.snapshot(), separators=(",", ":"))
        return [*self.name, self.rows, self.last, list(self._block), self.near.snapshot()], self._saved

    @classmethod
    def restore(cls, state: list[Any], saved: str) -> "Series":
        """The series that left this snapshot."""
        far = SeriesForecaster.restore(json.loads(saved))
        series = cls(Name(*state[:3]), "full" if far.form == "full" else "light")
        series.rows, series.last, series._block = state[3], state[4], list(state[5])
        series.near, series.far, series._saved = NearForecaster.restore(state[6]), far, saved
        return series


__all__ = ["HORIZONS_S", "MINUTE_S", "Name", "Series"]
