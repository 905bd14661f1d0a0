"""How often what was issued held, over the last 500 outcomes, and how sharp it was."""

from collections import deque
from typing import Any

OUTCOMES = 500
FEWEST = 200
LOWEST, HIGHEST = 0.86, 0.94
FADING = 0.005
_FADES = 1.0 / FADING
_MISSED = 0.1


class Coverage:
    """Counts outcomes inside, on an end of, and outside their 90 % intervals; `winkler` is the fading mean interval score (Winkler 1972).

    >>> coverage = Coverage()
    >>> for outcome in range(10):
    ...     coverage.observe(1.0, 8.0, float(outcome))
    >>> coverage.share, len(coverage), round(coverage.winkler, 1)
    (0.8, 10, 11.0)
    """

    __slots__ = ("_inside", "_recent", "_within", "winkler")

    def __init__(self) -> None:
        self._recent: deque[int] = deque()
        self._inside = 0
        self._within = 0
        self.winkler = 0.0

    def __len__(self) -> int:
        return len(self._recent)

    @property
    def share(self) -> float | None:
        """The share of the outcomes within their intervals, ends included; None before the first."""
        return self._within / len(self._recent) if self._recent else None

    def is_off(self, margin: float = 0.0) -> bool:
        """Whether the intervals can't be what they say: too few outcomes within them, or too many strictly inside (a value that repeats is on an end)."""
        count = len(self._recent)
        return count >= FEWEST and (self._within < (LOWEST + margin) * count or self._inside > (HIGHEST - margin) * count)

    def observe(self, lower: float, upper: float, actual: float, slack: float = 0.0) -> None:
        """An outcome and the interval that was issued for it; one within `slack` of an end is on it."""
        recent, score = self._recent, upper - lower
        if len(recent) == OUTCOMES:
            self._count(recent.popleft(), -1)
        if lower < actual < upper:
            place = 2
        else:
            place = int(lower - slack <= actual <= upper + slack)
            score += 2.0 / _MISSED * max(lower - actual, actual - upper)
        recent.append(place)
        self._count(place, 1)
        held = len(recent)
        self.winkler += (FADING if held > _FADES else 1.0 / held) * (score - self.winkler)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return ["".join(map(str, self._recent)), self.winkler]

    @classmethod
    def restore(cls, state: list[Any]) -> "Coverage":
        """The counts that left this snapshot."""
        coverage = cls()
        for mark in state[0]:
            coverage._recent.append(int(mark))
            coverage._count(int(mark), 1)
        coverage.winkler = state[1]
        return coverage

    def _count(self, place: int, by: int) -> None:
        self._within += by * (place > 0)
        self._inside += by * (place == 2)
