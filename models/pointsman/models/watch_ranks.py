"""How rare a residual is among past ones, as a normal score: conformal ranks, with exponential tails beyond the largest."""

import math
from bisect import bisect_left, bisect_right, insort
from statistics import NormalDist
from typing import Any

KEPT = 512
STRIDE = 4
YOUNG = 40
TAIL_SHARE, FEWEST = 0.04, 4
LEAST_EXCESS = 0.2

_score = NormalDist().inv_cdf


class Ranks:
    """The last residuals in order: all of the first 512, then every fourth, so that they reach back over some 2,000.

    A residual's rank is its share of those below, ties by half (a conformal p-value, Vovk et al. 2005). Beyond the 4 % at either end the tail is exponential
    with the mean excess of those: for logarithms that is Hill's Pareto tail. Nothing is rarer than 1 ÷ (n + 1)². Residuals count in steps of `grain`: what
    is smaller is no deviation. `settle` measures spread and tails anew.

    >>> ranks = Ranks()
    >>> for number in range(400):
    ...     ranks.learn((number * 0.618) % 1.0 - 0.5)
    >>> ranks.settle()
    >>> round(ranks.score(0.0), 1), round(ranks.score(0.475), 1), ranks.score(2.0) > 3.5
    (0.0, 1.9, True)
    """

    __slots__ = ("_grain", "_oldest", "_ordered", "_rarest", "_recent", "_seen", "_tails", "spread")

    def __init__(self, grain: float = 1e-9) -> None:
        self._grain = grain
        self._recent: list[float] = []
        self._ordered: list[float] = []
        self._oldest = 0
        self._seen = 0
        self.spread = 0.0
        self._rarest = 1.0
        self._tails = (0.0, 0.0, 0.0, 0.0)

    def __len__(self) -> int:
        return len(self._ordered)

    @property
    def is_young(self) -> bool:
        """Whether too few are known to say anything."""
        return len(self._ordered) < YOUNG

    def score(self, residual: float) -> float:
        """The normal score: 0 in the midst, 3 as rare as three standard deviations; 0 while too few are known."""
        held = len(self._ordered)
        if held < YOUNG:
            return 0.0
        residual = round(residual / self._grain) * self._grain
        low, low_excess, high, high_excess = self._tails
        tail = max(int(TAIL_SHARE * held), FEWEST)
        if residual > high:
            beyond = tail / (held + 1.0) * _faded(residual - high, high_excess)
            return -_score(max(beyond, self._rarest))
        if residual < low:
            beyond = tail / (held + 1.0) * _faded(low - residual, low_excess)
            return _score(max(beyond, self._rarest))
        below = 0.5 * (bisect_left(self._ordered, residual) + bisect_right(self._ordered, residual))
        return _score((below + 0.5) / (held + 1.0))

    def learn(self, residual: float) -> None:
        """Keep a residual, and let the oldest go."""
        self._seen += 1
        residual = round(residual / self._grain) * self._grain
        if len(self._recent) < KEPT:
            self._recent.append(residual)
        elif self._seen % STRIDE:
            return
        else:
            del self._ordered[bisect_left(self._ordered, self._recent[self._oldest])]
            self._recent[self._oldest] = residual
            self._oldest = (self._oldest + 1) % KEPT
        insort(self._ordered, residual)

    def settle(self) -> None:
        """Measure spread and tails anew; a call for many residuals."""
        ordered, held = self._ordered, len(self._ordered)
        if held < YOUNG:
            return
        self.spread = 0.5 * (ordered[int(0.841 * held)] - ordered[int(0.159 * held)])
        tail = max(int(TAIL_SHARE * held), FEWEST)
        low, high = ordered[tail], ordered[held - 1 - tail]
        below = above = 0.0
        for place in range(tail):
            below += low - ordered[place]
            above += ordered[held - 1 - place] - high
        least = LEAST_EXCESS * self.spread
        self._tails = (low, max(below / tail, least), high, max(above / tail, least))
        self._rarest = 1.0 / (held + 1.0) ** (2.0 if self.spread > 0.0 else 1.0)

    def quantile(self, level: float) -> float:
        """The residual below which this share lies."""
        held = len(self._ordered)
        return self._ordered[min(int(level * held), held - 1)] if held else 0.0

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [list(self._recent), self._oldest, self._seen, self.spread, self._rarest, list(self._tails), self._grain]

    @classmethod
    def restore(cls, state: list[Any]) -> "Ranks":
        """The state of a snapshot."""
        made = cls(state[6])
        made._recent, made._oldest, made._seen, made.spread, made._rarest = list(state[0]), *state[1:5]
        made._tails = (state[5][0], state[5][1], state[5][2], state[5][3])
        made._ordered = sorted(made._recent)
        return made


def _faded(excess: float, mean: float) -> float:
    """The share of a tail beyond; 0 where all of the tail is one value."""
    return math.exp(-excess / mean) if mean > 0.0 else 0.0


__all__ = ["YOUNG", "Ranks"]
