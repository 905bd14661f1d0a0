"""A series of the live core: minute rows and five-minute rows of one quantity, each forecast at its own horizons."""

import json
from typing import Any, NamedTuple

from pointsman.models.forecast import Form, RowForecast, SeriesForecaster

MINUTE_S = 60.0
BLOCK = 5  # minutes of the coarser row
MINUTES_A_SEASON = 60  # one minute ahead the season that helps is the hour's: what runs every few minutes, or on the hour
BLOCKS_A_DAY = 288
NEAR = (1,)  # minutes
FAR = (2, 12, 72)  # five-minute rows: 10 minutes, an hour, six hours
HORIZONS_S = (60.0, 600.0, 3600.0, 21_600.0)


class Name(NamedTuple):
    """Which series: a metric of the scope, of one track, or of one host."""

    metric: str
    track: str | None = None
    host: str | None = None


class Series:
    """What one quantity was, row by row, and what it will be. A minute without a value (nobody sampled) is None."""

    __slots__ = ("_block", "_saved", "far", "name", "near", "rows")

    def __init__(self, name: Name, form: Form) -> None:
        self.name = name
        self.near = SeriesForecaster(NEAR, MINUTES_A_SEASON, "light")
        self.far = SeriesForecaster(FAR, BLOCKS_A_DAY, form)
        self.rows = 0
        self._block = [0.0, 0.0]
        self._saved: str | None = None

    def close_minute(self, value: float | None, *, is_gap: bool = False) -> None:
        """A minute is over; in a long gap only the coarser rows are learned."""
        self.rows += 1
        if not is_gap:
            self.near.learn_one(value)
        if value is not None:
            self._block[0] += value
            self._block[1] += 1.0

    def close_block(self) -> float | None:
        """Five minutes are over: the mean of those that had a value."""
        total, count = self._block
        value = total / count if count else None
        self.far.learn_one(value)
        self._block, self._saved = [0.0, 0.0], None
        return value

    def forget_minutes(self) -> None:
        """After a long gap the minutes before it say nothing."""
        self.near = SeriesForecaster(NEAR, MINUTES_A_SEASON, "light")

    def forecasts(self, *, is_block: bool = True) -> list[tuple[float, RowForecast]]:
        """The horizon in seconds and the forecast, nearest first; without `is_block` only what is due every minute."""
        found = [(one.horizon * MINUTE_S, one) for one in self.near.forecast()]
        return found + [(one.horizon * BLOCK * MINUTE_S, one) for one in self.far.forecast()] if is_block else found

    def snapshot(self) -> tuple[list[Any], str]:
        """What changes every minute, as plain values, and what changes every five, as text that is made once."""
        if self._saved is None:
            self._saved = json.dumps(self.far.snapshot(), separators=(",", ":"))
        return [*self.name, self.rows, list(self._block), self.near.snapshot()], self._saved

    @classmethod
    def restore(cls, state: list[Any], saved: str) -> "Series":
        """The series that left this snapshot."""
        far = SeriesForecaster.restore(json.loads(saved))
        series = cls(Name(*state[:3]), "full" if far.form == "full" else "light")
        series.rows, series._block = state[3], list(state[4])
        series.near, series.far, series._saved = SeriesForecaster.restore(state[5]), far, saved
        return series


__all__ = ["BLOCK", "HORIZONS_S", "MINUTE_S", "Name", "Series"]
