"""A level that wanders: how far a series is from its usual just now, by the exponential smoothing that has foretold it best."""

import math
from typing import Any

RATES = (0.0, 1.0 / 128.0, 1.0 / 32.0, 1.0 / 16.0)
FADING = 1.0 / 256.0
PREFERENCE = 0.98
CLIP = 3.0
FEWEST_BLOCKS, BLOCK_RATE, MOST_SQUARE = 24, 1.0 / 128.0, 2.25
FAR, RETURNED, LEAST_SHARE = 5.0, 2.0, 0.125


class Wander:
    """Levels of residuals at four rates, 0 among them; the one with the least squared error speaks, a slower one in doubt.

    What is left of residuals that hang together is nearly independent then: an abrupt change stands out, though the level wanders.
    Outliers count as 3 spreads. `away` is the other side of it: a slow level that has gone five times as far as it usually goes has drifted.
    """

    __slots__ = ("_blocks", "_errors", "_seen", "_square", "levels", "place")

    def __init__(self) -> None:
        self.levels = [0.0] * len(RATES)
        self._errors = [0.0] * len(RATES)
        self._seen = self._blocks = 0
        self._square = 0.0
        self.place = 0

    @property
    def level(self) -> float:
        """The level now."""
        return self.levels[self.place]

    def learn(self, residual: float, spread: float) -> None:
        """Follow a residual."""
        if spread <= 0.0:
            return
        self._seen += 1
        fading = max(1.0 / self._seen, FADING)
        most = CLIP * spread
        levels, errors = self.levels, self._errors
        for place, rate in enumerate(RATES):
            away = (residual - levels[place]) / most
            away = 1.0 if away > 1.0 else -1.0 if away < -1.0 else away
            errors[place] += fading * (away * away - errors[place])
            levels[place] += rate * away * most

    @property
    def slow(self) -> float:
        """The slowest level that moves."""
        return self.levels[1]

    def away(self, spread: float) -> float:
        """How far the slow level is, in what it usually is, at least an eighth of a spread; 0 in the first 24 blocks."""
        if self._blocks < FEWEST_BLOCKS or spread <= 0.0:
            return 0.0
        return self.slow / max(math.sqrt(self._square), LEAST_SHARE * spread)

    def choose(self, spread: float) -> None:
        """A block is over: let the best speak."""
        self._blocks += 1
        square, is_known = self.slow * self.slow, self._blocks > FEWEST_BLOCKS
        if is_known:
            square = min(square, MOST_SQUARE * max(self._square, (LEAST_SHARE * spread) ** 2))
        self._square += (BLOCK_RATE if is_known else 1.0 / self._blocks) * (square - self._square)
        best = 0
        for place in range(1, len(RATES)):
            if self._errors[place] < PREFERENCE * self._errors[best]:
                best = place
        self.place = best

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [list(self.levels), list(self._errors), self._seen, self.place, self._blocks, self._square]

    @classmethod
    def restore(cls, state: list[Any]) -> "Wander":
        """The state of a snapshot."""
        made = cls()
        made.levels, made._errors, made._seen, made.place = list(state[0]), list(state[1]), state[2], state[3]
        made._blocks, made._square = state[4], state[5]
        return made


__all__ = ["FAR", "RETURNED", "Wander"]
