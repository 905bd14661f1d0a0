"""Scaling: how much capacity to have once what is started now is there.

Two classes, both deterministic, bounded and free of scale:

- `Scaler(lead, rows_a_day, ...)`: `observe(demand, quantiles) -> Advice`, with a forecaster's `quantiles` at `scaling_account.LEVELS`, `lead` rows ahead.
- `SeriesScaler(forecaster, scaler)`: `observe(demand) -> Advice`, with `forecaster = SeriesForecaster((lead,), rows_a_day, form, LEVELS)`.

`lead = lead_rows(start_delay_s, step_s)`. Capacity and demand are in the units of the series (requests in flight, requests a second, tokens a second).
For whole replicas, `Scaler.for_replicas(replicas, lead, rows_a_day, ...)` with `scaling_replicas.Replicas` rounds up inside the account, and
`replicas.needed(advice.capacity)` is their number. What ran is scored by `scaling_score.Scorer`: `scorer.observe(demand, advice.present)`.
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .scaling_account import LEVELS, Accounts
from .scaling_hold import Hold
from .scaling_replicas import Replicas

MOST_PENDING = 64
FALLBACK_HEADROOM = 1.25
FALLBACK_ROWS = 6

Reason = Literal["raised", "lowered", "held", "steady", "minimum", "maximum"]
Row = NDArray[np.float64]


def lead_rows(start_delay_s: float, step_s: float) -> int:
    """Rows from a decision to the first that it serves: the start delay in steps, rounded up, at least one.

    >>> lead_rows(600.0, 600.0), lead_rows(601.0, 600.0), lead_rows(0.0, 60.0)
    (1, 2, 1)
    """
    return max(math.ceil(start_delay_s / step_s - 1e-9), 1)


@dataclass(frozen=True, slots=True)
class Advice:
    """One row's advice, in the units of the series.

    `capacity` is what to have `lead` rows from now; `demand` and `level` the upper quantile it follows, before hold and clamps; `present` what was advised
    `lead` rows ago for the row just seen (None before there is one); `asked` what to ask now of a thing that starts after the delay but stops at once: the
    largest capacity advised for the rows up to then; `hold_rows` for how many rows it can't be lowered.
    """

    capacity: float
    demand: float
    level: float
    reason: Reason
    present: float | None
    asked: float
    hold_rows: int


class Scaler:
    """The lowest quantile level that keeps the unserved share at the target, by shadow accounts, with hold and clamps inside them.

    Each level has a shadow that follows its quantile through the same hold; what it would have left unserved decides which level is followed
    (`scaling_account.Accounts`). What no capacity up to `maximum` could serve is not held against a level. Minimum and maximum clamp last.

    `hysteresis`: the share by which the advice must be below what runs before it is lowered; `cooldown_rows`: rows after a change without lowering.
    A quantile that is not finite is replaced by the largest demand of the last six rows and a quarter.

    >>> scaler = Scaler(lead=1, rows_a_day=144, unserved=0.01)
    >>> spread = np.linspace(0.9, 1.2, len(LEVELS))
    >>> [round(scaler.observe(demand, demand * spread).capacity, 1) for demand in (100.0, 110.0, 105.0, 80.0)]
    [105.8, 116.7, 116.7, 84.7]
    """

    __slots__ = ("_accounts", "_demands", "_hold", "_maximum", "_minimum", "_quantum", "_rows", "_settings", "_shadows", "_stride")

    def __init__(
        self,
        lead: int,
        rows_a_day: float,
        unserved: float = 0.01,
        *,
        cooldown_rows: int = 1,
        hysteresis: float = 0.1,
        minimum: float = 0.0,
        maximum: float = math.inf,
        quantum: float = 0.0,
        levels: Sequence[float] = LEVELS,
    ) -> None:
        if lead < 1:
            raise ValueError(f"lead {lead}: a decision serves the next row at the earliest, 1")
        self._stride = math.ceil(lead / MOST_PENDING)
        self._accounts = Accounts(rows_a_day, unserved, levels, self._stride)
        self._hold = Hold(len(levels) + 1, cooldown_rows, hysteresis)
        self._minimum, self._maximum, self._quantum = minimum, maximum, quantum
        self._settings = np.zeros(lead)
        self._shadows = np.zeros((math.ceil(lead / self._stride), len(levels)))
        self._demands = np.zeros(FALLBACK_ROWS)
        self._rows = 0

    @classmethod
    def for_replicas(cls, replicas: Replicas, lead: int, rows_a_day: float, unserved: float = 0.01, *, cooldown_rows: int = 1) -> "Scaler":
        """A scaler of requests in flight whose capacities are whole replicas at their target utilisation."""
        each = replicas.demand_each
        return cls(lead, rows_a_day, unserved, cooldown_rows=cooldown_rows, quantum=each, minimum=replicas.minimum * each, maximum=replicas.maximum * each)

    def observe(self, demand: float | None, quantiles: Sequence[float] | Row) -> Advice:
        """Take a row of demand (None: nobody knows it) and the quantiles of the row that is `lead` later; say what to have there."""
        present = self._present()
        if demand is not None and math.isfinite(demand):
            self._demands[self._rows % FALLBACK_ROWS] = max(demand, 0.0)
            self._book(max(demand, 0.0))
        candidates = self._candidates(quantiles)
        place = self._accounts.choose()
        below, above = candidates[place.upper - 1], candidates[place.upper]
        wanted = float(below + place.share * (above - below))
        before = float(self._hold.running[-1])
        running = self._hold.observe(self._rounded(np.append(candidates, wanted)))
        capacity, reason = self._clamped(before, float(running[-1]), wanted)
        self._issue(running, capacity)
        return Advice(capacity, wanted, self._accounts.level(place), reason, present, float(self._settings.max()), self._hold.rows_left())

    def _present(self) -> float | None:
        """What was advised for the row that is here now."""
        return float(self._settings[self._rows % len(self._settings)]) if self._rows >= len(self._settings) else None

    def _book(self, demand: float) -> None:
        """The row against what every level advised for it."""
        self._accounts.follow(demand)
        if self._rows >= len(self._settings) and self._rows % self._stride == 0:
            shadows = self._shadows[self._rows // self._stride % len(self._shadows)]
            self._accounts.learn(min(demand, self._maximum), np.maximum(shadows, self._minimum))

    def _candidates(self, quantiles: Sequence[float] | Row) -> Row:
        """The quantiles, in order, not negative and finite."""
        given = np.asarray(quantiles, np.float64)
        is_finite = np.isfinite(given)
        if not is_finite.all():
            given = np.where(is_finite, given, FALLBACK_HEADROOM * self._demands.max())
        ordered: Row = np.maximum.accumulate(np.maximum(given, 0.0))
        return ordered

    def _rounded(self, advice: Row) -> Row:
        """Up to whole quanta."""
        return np.ceil(advice / self._quantum - 1e-9) * self._quantum if self._quantum > 0.0 else advice

    def _clamped(self, before: float, running: float, wanted: float) -> tuple[float, Reason]:
        if running < self._minimum:
            return self._minimum, "minimum"
        if running > self._maximum:
            return self._maximum, "maximum"
        if running != before:
            return running, "raised" if running > before else "lowered"
        return running, "held" if wanted < running - self._quantum else "steady"

    def _issue(self, running: Row, capacity: float) -> None:
        """Keep what was advised until its row comes."""
        self._settings[self._rows % len(self._settings)] = capacity
        if self._rows % self._stride == 0:
            self._shadows[self._rows // self._stride % len(self._shadows)] = running[:-1]
        self._rows += 1

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        numbers = np.concatenate([self._settings, self._demands, self._shadows.ravel()]).astype("<f8").tobytes()
        return [self._rows, self._accounts.snapshot(), self._hold.snapshot(), base64.b64encode(numbers).decode("ascii")]

    def restore(self, state: list[Any]) -> None:
        """Go on from what a scaler with the same settings left."""
        self._rows = state[0]
        self._accounts.restore(state[1])
        self._hold.restore(state[2])
        numbers = np.frombuffer(base64.b64decode(state[3]), "<f8").astype(np.float64)
        ends = (len(self._settings), len(self._settings) + FALLBACK_ROWS)
        self._settings, self._demands = numbers[: ends[0]], numbers[ends[0] : ends[1]]
        self._shadows = numbers[ends[1] :].reshape(self._shadows.shape)


class HasQuantiles(Protocol):
    """A forecast for one horizon."""

    @property
    def quantiles(self) -> Sequence[float]:
        """At the forecaster's levels."""
        ...


class QuantileForecaster(Protocol):
    """A forecaster of one series whose first horizon is the lead and whose levels are the scaler's; None is a row that nobody knows."""

    def learn_one(self, value: float | None) -> object:
        """Take the next row."""
        ...

    def forecast(self) -> Sequence[HasQuantiles]:
        """One forecast a horizon, issued after the last row."""
        ...

    def snapshot(self) -> Any:
        """The state as plain values."""
        ...


class SeriesScaler:
    """A forecaster and a scaler as one controller: a measurement in, the new capacity out."""

    __slots__ = ("forecaster", "scaler")

    def __init__(self, forecaster: QuantileForecaster, scaler: Scaler) -> None:
        self.forecaster = forecaster
        self.scaler = scaler

    def observe(self, demand: float | None) -> Advice:
        """Take the next row of demand; say what to have `lead` rows later. None, or what is no finite number, is a row that nobody knows."""
        known = demand if demand is not None and math.isfinite(demand) else None
        self.forecaster.learn_one(known)
        return self.scaler.observe(known, self.forecaster.forecast()[0].quantiles)

    def snapshot(self) -> list[Any]:
        """The state as plain values, the forecaster's first."""
        return [self.forecaster.snapshot(), self.scaler.snapshot()]
