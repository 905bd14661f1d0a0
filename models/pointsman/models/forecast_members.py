"""The members of a forecast: last value, medians and means, the same time on other days, regressions on their ratios, and nearest neighbours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .forecast_neighbours import DAYS, FEWEST, Neighbours
from .forecast_regression import ChangeRegression
from .forecast_state import Floats, Grid, SeriesState, folded, unfolded

_MOST_SEASON = 2.3
_MOST_LEVEL = 1.6
_NEVER = 1 << 60
FEATURES = 8
NEAR = 8
SEASON_PRIOR = np.array([0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0])


@dataclass(frozen=True, slots=True)
class View:
    """What every member says after a row (H × K), with what the learners will need once the outcome is there."""

    members: Floats
    features: Floats
    near: Floats
    level: float
    neighbours: list[Floats | None]


class Members:
    """The members at H horizons; `wakes` (H × K) is the row from which each has the history it needs."""

    __slots__ = ("_day_lag", "_week_lag", "grid", "horizons", "neighbours", "regression", "wakes")

    def __init__(self, horizons: NDArray[np.int64], grid: Grid, is_full: bool) -> None:
        self.horizons, self.grid = horizons, grid
        day = grid.rows_a_day
        days = -(-horizons // day)
        self._day_lag, self._week_lag = days * day, 7 * day
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
        rows = [now, now, now, day, profile, profile, profile, week, week, now, now]
        return np.stack(rows + ([near, near] if self.neighbours else []), axis=1)

    def view(self, state: SeriesState) -> View:
        """What the members say of the rows after the present one."""
        row, scale, count = state.row, state.unit, len(self.horizons)
        grid, last = self.grid, state.recent[0]
        lags = self._lags(state)
        seasonal = state.smooth(lags)
        usual = state.usual(np.append(self._ahead(state), 0))
        hour = state.last(grid.span(6))
        hour_mean, long_mean, day_mean = float(hour.mean()), float(state.last(grid.span(36)).mean()), float(state.last(grid.slots).mean())
        most, least = max(float(hour.max()), last), min(float(hour.min()), last)
        single = np.array([*state.recent, hour_mean, long_mean, day_mean, most, least, float(state.profile.mean())])
        logs = folded(np.concatenate([single, usual, seasonal]), scale)
        present, before, earlier, hour_log, long_log, day_log, most_log, least_log, mean_log = logs[:9].tolist()
        usual_then, usual_now = logs[9 : 9 + count], float(logs[9 + count])
        day_then, day_now, week_then = logs[10 + count :][: 3 * count].reshape(3, count)
        week_now = float(logs[-1])
        has_day, has_profile, has_week = row >= self.wakes[:, 3], row >= self.wakes[:, 4], row >= self.wakes[:, 7]
        by_profile = np.where(has_profile, usual_then - usual_now, 0.0)
        by_week = np.where(has_week, week_then - week_now, 0.0)
        features = np.empty((count, FEATURES))
        features[:, 0], features[:, 1], features[:, 2], features[:, 7] = hour_log - present, long_log - present, day_log - present, before - present
        features[:, 3] = by_profile
        features[:, 4] = np.where(has_profile, usual_now - present, 0.0)
        features[:, 5] = np.where(has_day, day_then - day_now, 0.0)
        features[:, 6] = by_week
        level = 0.7 * (usual_now - present) if has_profile[0] else 0.0
        near = np.array(
            [
                hour_log - present,
                before - present,
                earlier - present,
                0.5 * (most_log - least_log),
                long_log - present,
                0.7 * (day_log - present),
                level,
            ]
        )
        found = self.neighbours.nearest(near, by_profile) if self.neighbours else [None] * count
        changes = np.empty((count, self.wakes.shape[1] - 6))
        changes[:, 0] = np.clip(by_profile, -_MOST_SEASON, _MOST_SEASON)
        changes[:, 1] = np.clip(by_week, -_MOST_SEASON, _MOST_SEASON)
        changes[:, 2:4] = self.regression.predict(features)
        scaled = usual_then + min(max(day_log - mean_log, -_MOST_LEVEL), _MOST_LEVEL)
        if self.neighbours:
            changes[:, 4:6] = [self._medians(place, one) for place, one in enumerate(found)]
        changes[:, -1] = scaled - present
        values = unfolded(present + changes, scale)
        plain = np.array([last, sorted(state.recent)[1], hour_mean])
        members = np.concatenate(
            [
                np.broadcast_to(plain, (count, 3)),
                state.ring[state.present - np.clip(lags[:count], 0, state.held - 2)][:, None],
                usual[:count, None],
                values[:, -1:],
                values[:, :1],
                seasonal[2 * count : 3 * count, None],
                values[:, 1:-1],
            ],
            axis=1,
        )
        return View(members if state.is_signed else np.maximum(members, 0.0), features, near, present, found)

    def _medians(self, place: int, changes: Floats | None) -> Floats:
        if changes is None or self.neighbours is None:
            return np.zeros(2)
        return self.neighbours.quantiles(place, changes, np.array([0.5]))[:2, 0]

    def _lags(self, state: SeriesState) -> NDArray[np.int64]:
        """Slots back to the target a day (or more) ago, to the present then, to the target a week ago, and to the present then."""
        row, grid = state.row, self.grid
        rows = np.concatenate([row + self.horizons - self._day_lag, row - self._day_lag, row + self.horizons - self._week_lag, [row - self._week_lag]])
        found: NDArray[np.int64] = state.slot - (rows // grid.rows_a_day * grid.slots + rows % grid.rows_a_day // grid.pool)
        return found

    def _ahead(self, state: SeriesState) -> NDArray[np.int64]:
        rows, grid = state.row + self.horizons, self.grid
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
