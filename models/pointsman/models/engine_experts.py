"""Several guesses of one positive number, weighted by how well each did at such a load: exponential weights (Vovk; Littlestone and Warmuth)."""

import math
from collections.abc import Sequence
from typing import Any

from .arrays import dot

EDGES = (0.1, 0.25, 0.5, 1.0, 1.25)
RATE = 0.03
TRUST = 20.0
MOST_LOSS = 3.0


class Experts:
    """Guesses as logarithms; their loss is the distance of the logarithms, weights are kept per class of load.

    A class that has seen n outcomes counts n ÷ (n + 20) against all classes together.

    >>> experts = Experts(2)
    >>> for _ in range(100):
    ...     experts.learn([0.0, 1.0], 0.0, 0.7)
    >>> round(experts.predict([0.0, 1.0], 0.7), 2)
    0.05
    """

    __slots__ = ("_counts", "_losses", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._losses = [[0.0] * size for _ in range(len(EDGES) + 2)]
        self._counts = [0] * (len(EDGES) + 1)

    def weights(self, load: float) -> list[float]:
        """The weights at this load; they add up to 1."""
        place = _place(load)
        count = self._counts[place]
        share = count / (count + TRUST)
        own, every = _normed(self._losses[place]), _normed(self._losses[-1])
        return [share * one + (1.0 - share) * other for one, other in zip(own, every, strict=True)]

    def predict(self, logs: Sequence[float], load: float) -> float:
        """The weighted mean of the logarithms."""
        return dot(self.weights(load), logs)

    def learn(self, logs: Sequence[float], target: float, load: float) -> None:
        """What came out, as a logarithm; losses relative to the best are kept, so that they stay bounded."""
        place = _place(load)
        self._counts[place] = min(self._counts[place] + 1, 1 << 30)
        for losses in (self._losses[place], self._losses[-1]):
            losses[:] = [old + min(abs(one - target), MOST_LOSS) for old, one in zip(losses, logs, strict=True)]
            best = min(losses)
            losses[:] = [min(loss - best, 50.0 / RATE) for loss in losses]

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {"losses": [list(losses) for losses in self._losses], "counts": list(self._counts)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self._losses, self._counts = [list(losses) for losses in state["losses"]], list(state["counts"])


def _place(load: float) -> int:
    return sum(load >= edge for edge in EDGES)


def _normed(losses: Sequence[float]) -> list[float]:
    raw = [math.exp(-RATE * loss) for loss in losses]
    total = dot(raw, [1.0] * len(raw))
    return [one / total for one in raw]
