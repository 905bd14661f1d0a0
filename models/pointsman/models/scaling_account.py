"""Shadow accounts: what each quantile level would have left unserved, had it been followed all along.

Counterfactual, so the choice between levels never hunts: what was really done does not change what the accounts say.
"""

import base64
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVELS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998)
MEMORY_DAYS = 14.0
AIM = 0.9
PRIOR_ROWS = 60.0
PRIOR_UNSERVED = 0.12
MOST_A_ROW = 2.0

Row = NDArray[np.float64]


class Place(NamedTuple):
    """Between two neighbours of the grid: `share` of the way from level `upper - 1` to level `upper`."""

    upper: int
    share: float


class Accounts:
    """Unserved volume per level and the demand, both in units of the mean demand, with a memory of 14 days.

    A = lambda A + min((demand - capacity)+ / mean, 2),  D = lambda D + demand / mean,  lambda = 1 - 1 / (14 days of rows).
    The estimate for level tau is (A + 7.2 (1 - tau)) / (D + 60): before there is evidence, a level leaves 12 % of what it is exceeded by.

    >>> accounts = Accounts(rows_a_day=144, unserved=0.01)
    >>> round(accounts.level(accounts.choose()), 4)
    0.9257
    >>> for _ in range(1000):
    ...     accounts.learn(10.0, np.full(14, 11.0))
    >>> accounts.level(accounts.choose())
    0.3
    """

    __slots__ = ("_aim", "_demand", "_keep", "_levels", "_logits", "_mean", "_prior", "_rate", "_rows", "_unserved")

    def __init__(self, rows_a_day: float, unserved: float, levels: Sequence[float] = LEVELS, stride: int = 1) -> None:
        self._levels = tuple(levels)
        self._logits = tuple(math.log(level / (1.0 - level)) for level in levels)
        self._aim = AIM * unserved
        self._keep = 1.0 - min(stride / (MEMORY_DAYS * rows_a_day), 0.5)
        self._rate = 2.0 / (rows_a_day + 1.0)
        self._prior: Row = PRIOR_ROWS * PRIOR_UNSERVED * (1.0 - np.array(levels))
        self._unserved: Row = np.zeros(len(levels))
        self._demand = self._mean = 0.0
        self._rows = 0

    def follow(self, demand: float) -> None:
        """The mean of the demand over a day, every row."""
        self._rows += 1
        self._mean += max(1.0 / self._rows, self._rate) * (demand - self._mean)

    def learn(self, demand: float, capacities: Row) -> None:
        """Book one row of demand against what each level would have had there, shape (levels,)."""
        mean = self._mean or demand
        if mean > 0.0:
            missing = np.minimum(np.maximum(demand - capacities, 0.0) / mean, MOST_A_ROW)
            self._unserved = self._keep * self._unserved + missing
            self._demand = self._keep * self._demand + demand / mean

    def shares(self) -> Row:
        """The unserved share that each level is expected to leave, shape (levels,)."""
        shares: Row = (self._unserved + self._prior) / (self._demand + PRIOR_ROWS)
        return shares

    def choose(self) -> Place:
        """The lowest level that keeps nine tenths of the target, interpolated towards the one below; the highest where none does."""
        before = math.inf
        for number, share in enumerate(self.shares().tolist()):
            if share <= self._aim:
                return Place(number, (before - self._aim) / (before - share)) if number else Place(1, 0.0)
            before = share
        return Place(len(self._levels) - 1, 1.0)

    def level(self, place: Place) -> float:
        """The quantile level there, interpolated in its logit."""
        if place.share in (0.0, 1.0):
            return self._levels[place.upper - 1 + int(place.share)]
        below, above = self._logits[place.upper - 1], self._logits[place.upper]
        return 1.0 / (1.0 + math.exp(-(below + place.share * (above - below))))

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self._rows, self._mean, self._demand, base64.b64encode(self._unserved.astype("<f8").tobytes()).decode("ascii")]

    def restore(self, state: list[Any]) -> None:
        """Go on from what accounts with the same settings left."""
        self._rows, self._mean, self._demand = state[:3]
        self._unserved = np.frombuffer(base64.b64decode(state[3]), "<f8").astype(np.float64)
