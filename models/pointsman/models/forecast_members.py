"""The members of a forecast: last value, medians and means, the same time on other days, regressions on their ratios, and nearest neighbours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .forecast_neighbours import DAYS, FEWEST, Nearest, Neighbours
from .forecast_regression import ChangeRegression
from .forecast_state import Floats, Grid, SeriesState, folded, unfolded

_MOST_SEASON = 2.3
_MOST_LEVEL = 1.6
_NEVER = 1 << 60
FEATURES = 8
NEAR = 8
DAY, PROFILE, WEEK = 3, 4, 5
SAID_PLAINLY = 6
SEASON_PRIOR = np.array([0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0])


@dataclass(frozen=True, slots=True)
class View:
    """What every member says after a row (H × K), with what the learners will need once the outcome is there."""

    members: Floats
    features: Floats
    near: Floats
    level: float
    nearest: Nearest | None


@dataclass(frozen=True, slots=True)
class _Logs:
    """Logarithms of the last row, of what went before it relative to it, and of the same times on other days; three plain values beside them."""

    hour_mean: float
    usual: Floats
    seasonal: Floats
    present: float
    before: float
    earlier: float
    hour: float
    long: float
    day: float
    reach: float
    grown: float
    profile_then: Floats
    profile_now: float
    day_then: Floats
    day_now: Floats
    week_then: Floats
    week_now: float


class Members:
    """The members at H horizons; `wakes` (H × K) is the row from which each has the history it needs."""

    __slots__ = ("_day_lag", "_plain_ahead", "_plain_lags", "_week_lag", "grid", "horizons", "neighbours", "regression", "wakes")

    def __init__(self, horizons: NDArray[np.int64], grid: Grid, is_full: bool) -> None:
        self.horizons, self.grid = horizons, grid
        day = grid.rows_a_day
        days = -(-horizons // day)
        self._day_lag, self._week_lag = days * day, 7 * day
        self._plain_lags = np.concatenate([self._day_lag - horizons, self._day_lag, self._week_lag - horizons, [self._week_lag]])
        self._plain_ahead = np.append(horizons, 0)
        memories = np.array([max(1.5 * grid.slots, 100.0), max(5.0 * grid.slots, 300.0)])
        self.regression = ChangeRegression(np.maximum(horizons / grid.pool, 1.0), 1.0 - 1.0 / memories, SEASON_PRIOR)
        self.neighbours = Neighbours(len(horizons), NEAR - 1, max(DAYS * grid.slots, 2 * FEWEST)) if is_full else None
        self.wakes = self._waking(days)

    def _waking(self, days: NDArray[np.int64]) -> NDArray[np.int64]:
        count, pool = len(self.horizons), self.grid.pool
        now = np.zeros(count, np.int64)
        day = np.where(days <= 7, self._day_lag + pool, _NEVER)
        profile = np.full(count, self.grid.rows_a_day + 3 * pool)
        week = np.where(self.horizons < self._week_lag, self._week_lag + pool, _NEVER)
        near = self.horizons + FEWEST * pool
        rows = [now, now, now, day, profile, week, profile, profile, week, now, now]
        return np.stack(rows + ([near, near] if self.neighbours else []), axis=1)

    def view(self, state: SeriesState) -> View:
        """What the members say of the rows after the present one."""
        lags = self._lags(state)
        logs = self._logs(state, lags)
        has_day, has_week = state.row >= self.wakes[:, DAY], state.row >= self.wakes[:, WEEK]
        features = np.zeros((len(self.horizons), FEATURES))
        features[:, 0], features[:, 1], features[:, 2], features[:, 7] = logs.hour, logs.long, logs.day, logs.before
        if state.row >= self.wakes[0, PROFILE]:
            features[:, 3], features[:, 4] = logs.profile_then - logs.profile_now, logs.profile_now - logs.present
            features[:, 5] = has_day * (logs.day_then - logs.day_now)
            features[:, 6] = has_week * (logs.week_then - logs.week_now)
        near = np.array([logs.hour, logs.before, logs.earlier, 0.5 * logs.reach, logs.long, 0.7 * logs.day, 0.7 * float(features[0, 4])])
        nearest = self.neighbours.nearest(near, features[:, 3]) if self.neighbours else None
        members = self._members(state, lags, logs, features, nearest)
        return View(members if state.is_signed else np.maximum(members, 0.0), features, near, logs.present, nearest)

    def _logs(self, state: SeriesState, lags: NDArray[np.int64]) -> "_Logs":
        """Everything that the members compare, as logarithms, by one call."""
        grid, count = self.grid, len(self.horizons)
        hour, long, day = (float(state.last(slots).mean()) for slots in (grid.span(6), grid.span(36), grid.slots))
        single = [*state.recent, hour, long, day, *state.extent(grid.span(6)), float(state.profile.mean())]
        usual, seasonal = state.usual(self._ahead(state)), state.smooth(lags)
        values = folded(np.concatenate([single, usual, seasonal]), state.unit)
        present, before, earlier, hour_log, long_log, day_log, least, most, mean = values[:9].tolist()
        after = values[10 + count :]
        return _Logs(
            hour_mean=hour,
            usual=usual[:count],
            seasonal=seasonal,
            present=present,
            before=before - present,
            earlier=earlier - present,
            hour=hour_log - present,
            long=long_log - present,
            day=day_log - present,
            reach=most - least,
            grown=day_log - mean,
            profile_then=values[9 : 9 + count],
            profile_now=float(values[9 + count]),
            day_then=after[:count],
            day_now=after[count : 2 * count],
            week_then=after[2 * count : 3 * count],
            week_now=float(after[-1]),
        )

    def _members(self, state: SeriesState, lags: NDArray[np.int64], logs: "_Logs", features: Floats, nearest: Nearest | None) -> Floats:
        """In the order of `wakes`; what is said of the change is unfolded together."""
        count = len(self.horizons)
        changes = np.zeros((count, self.wakes.shape[1] - SAID_PLAINLY))
        changes[:, 0] = logs.profile_then - logs.present + min(max(logs.grown, -_MOST_LEVEL), _MOST_LEVEL)
        changes[:, 1:3] = np.minimum(np.maximum(features[:, (3, 6)], -_MOST_SEASON), _MOST_SEASON)
        changes[:, 3:5] = self.regression.predict(features)
        if nearest is not None:
            changes[:, 5:] = nearest.medians()
        members = np.empty(self.wakes.shape)
        members[:, 0], members[:, 1], members[:, 2] = state.recent[0], sorted(state.recent)[1], logs.hour_mean
        members[:, 3] = state.ring[state.present - np.minimum(np.maximum(lags[:count], 0), state.held - 2)]
        members[:, 4] = logs.usual
        members[:, 5] = logs.seasonal[2 * count : 3 * count]
        members[:, SAID_PLAINLY:] = unfolded(logs.present + changes, state.unit)
        return members

    def _lags(self, state: SeriesState) -> NDArray[np.int64]:
        """Slots back to the target a day (or more) ago, to the present then, to the target a week ago, and to the present then."""
        if self.grid.pool == 1:
            return self._plain_lags
        grid = self.grid
        rows = state.row - self._plain_lags
        found: NDArray[np.int64] = state.slot - (rows // grid.rows_a_day * grid.slots + rows % grid.rows_a_day // grid.pool)
        return found

    def _ahead(self, state: SeriesState) -> NDArray[np.int64]:
        """Slots ahead to the targets, and to the present one."""
        if self.grid.pool == 1:
            return self._plain_ahead
        grid, rows = self.grid, state.row + self._plain_ahead
        found: NDArray[np.int64] = rows // grid.rows_a_day * grid.slots + rows % grid.rows_a_day // grid.pool - state.slot
        return found

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.regression.snapshot(), self.neighbours.snapshot() if self.neighbours else None]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self.regression.restore(state[0])
        if self.neighbours:
            self.neighbours.restore(state[1])
