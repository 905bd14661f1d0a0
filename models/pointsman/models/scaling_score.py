"""Scaling scores: after the fact, what share of the demand found no place and what was there beyond it."""

from dataclasses import dataclass
from typing import Any

MEMORY_DAYS = 14.0


@dataclass(frozen=True, slots=True)
class Score:
    """What a stretch of advice was worth; shares are of the demand's volume, and the target is met where `unserved_share` is at most it."""

    rows: int
    unserved_share: float
    over_provisioned_share: float
    changes: int
    changes_a_day: float
    target_unserved_share: float

    @property
    def is_met(self) -> bool:
        """Whether the target held."""
        return self.unserved_share <= self.target_unserved_share


class Scorer:
    """Sums of a stretch, until `close`, and of the last 14 days with forgetting.

    unserved share = sum (demand - capacity)+ / sum demand,  over-provisioned share = sum (capacity - demand)+ / sum demand.

    >>> scorer = Scorer(rows_a_day=144, target=0.01)
    >>> for demand, capacity in ((100.0, 120.0), (110.0, 120.0), (125.0, 120.0), (90.0, 100.0)):
    ...     scorer.observe(demand, capacity)
    >>> score = scorer.close()
    >>> round(score.unserved_share, 4), round(score.over_provisioned_share, 4), score.changes, score.is_met
    (0.0118, 0.0941, 1, False)
    """

    __slots__ = ("_capacity", "_keep", "_record", "_rows_a_day", "_stretch", "_target")

    def __init__(self, rows_a_day: float, target: float) -> None:
        self._rows_a_day, self._target = rows_a_day, target
        self._keep = 1.0 - min(1.0 / (MEMORY_DAYS * rows_a_day), 0.5)
        # rows, demand, unserved, over, changes
        self._stretch = [0.0] * 5
        self._record = [0.0] * 5
        self._capacity: float | None = None

    def observe(self, demand: float, capacity: float | None) -> None:
        """A row of demand and what was there for it, in the same units; None where nothing had been advised yet: such a row doesn't count."""
        if capacity is None:
            return
        is_changed = self._capacity is not None and capacity != self._capacity
        self._capacity = capacity
        amounts = (1.0, demand, max(demand - capacity, 0.0), max(capacity - demand, 0.0), float(is_changed))
        self._stretch = [sum_ + amount for sum_, amount in zip(self._stretch, amounts, strict=True)]
        self._record = [self._keep * sum_ + amount for sum_, amount in zip(self._record, amounts, strict=True)]

    def close(self) -> Score:
        """The score of the stretch that ends here; the next one begins."""
        score = self._score(self._stretch)
        self._stretch = [0.0] * 5
        return score

    def stretch(self) -> Score:
        """The score since the last `close`."""
        return self._score(self._stretch)

    def record(self) -> Score:
        """The score of the last 14 days, the older the less."""
        return self._score(self._record)

    def _score(self, sums: list[float]) -> Score:
        rows, demand, unserved, over, changes = sums
        volume = demand if demand > 0.0 else 1.0
        return Score(round(rows), unserved / volume, over / volume, round(changes), changes * self._rows_a_day / max(rows, 1.0), self._target)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [list(self._stretch), list(self._record), self._capacity]

    def restore(self, state: list[Any]) -> None:
        """Go on from what a scorer with the same settings left."""
        self._stretch, self._record, self._capacity = list(state[0]), list(state[1]), state[2]
