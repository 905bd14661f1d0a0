"""Quantiles of several windows together, from the quantiles that each of them published."""

import math
from collections.abc import Sequence

STEPS = 50
_LEVELS = (0.5, 0.95, 0.99)
_LEAST = 1e-3


class Spread:
    """One window's latencies, known by p50, p95 and p99: in between a straight line in ln(ms), below p50 the mirror image of above it."""

    __slots__ = ("count", "known")

    def __init__(self, count: int, p50: float, p95: float, p99: float) -> None:
        self.count = count
        self.known = [math.log(max(value, _LEAST)) for value in (p50, max(p95, p50), max(p99, p95, p50))]

    def share_below(self, log: float) -> float:
        """The share of the latencies below e^log."""
        middle, high, top = self.known
        if log < middle:
            return 1.0 - self.share_below(2.0 * middle - log) if high > middle else 0.0
        if log >= top:
            return 1.0
        low, ends = (0, (middle, high)) if log < high else (1, (high, top))
        return _LEVELS[low] + (_LEVELS[low + 1] - _LEVELS[low]) * (log - ends[0]) / (ends[1] - ends[0])


def mixed(spreads: Sequence[Spread], level: float) -> float | None:
    """The quantile at `level` (0.5 .. 0.99) of all windows' latencies, ms, each weighed by its count; None of nothing.

    Of one window it is what the window says; of several an estimate, since a window tells three quantiles only.

    >>> round(mixed([Spread(10, 100.0, 200.0, 300.0)], 0.95), 6)
    200.0
    >>> round(mixed([Spread(90, 100.0, 200.0, 300.0), Spread(10, 5000.0, 6000.0, 7000.0)], 0.5))
    109
    """
    total = sum(spread.count for spread in spreads)
    if not total:
        return None
    low, high = min(2.0 * spread.known[0] - spread.known[2] for spread in spreads), max(spread.known[2] for spread in spreads)
    for _ in range(STEPS):
        log = 0.5 * (low + high)
        if sum(spread.count * spread.share_below(log) for spread in spreads) < level * total:
            low = log
        else:
            high = log
    return math.exp(high)


__all__ = ["Spread", "mixed"]
