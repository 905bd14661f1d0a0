"""The best that routing without learning can do: fixed shares of the tracks, chosen by someone who knows every track's true means."""

import itertools
from collections.abc import Sequence

import numpy as np

from pointsman.models.off_policy import Floats


class StaticMix:
    """Mixes of tracks by fixed shares, from outcomes of shape (requests, tracks): the upper concave hull of (mean cost, mean quality).

    >>> mix = StaticMix(np.array([[1.0, 2.0, 5.0]]), np.array([[0.5, 0.4, 0.9]]))
    >>> round(mix.quality_at(3.0), 3), round(mix.cost_of(0.6), 3), mix.shares_at(2.0)
    (0.7, 2.0, [0.75, 0.0, 0.25])
    >>> mix.cost_of(0.95) is None
    True
    """

    def __init__(self, costs: Floats, qualities: Floats) -> None:
        self._tracks = costs.shape[1]
        means = zip(costs.mean(0).tolist(), qualities.mean(0).tolist(), range(self._tracks), strict=True)
        self._corners = _hull(sorted(means, key=lambda point: (point[0], -point[1])))

    @property
    def corners(self) -> list[tuple[float, float]]:
        """(cost, quality) of the tracks that a best mix is made of, the cheapest first."""
        return [(cost, quality) for cost, quality, _ in self._corners]

    def quality_at(self, cost: float) -> float:
        """The mean quality at this mean cost; what is dearer than the best track buys no more."""
        costs, qualities = zip(*self.corners, strict=True)
        return float(np.interp(cost, costs, qualities))

    def cost_of(self, quality: float) -> float | None:
        """The mean cost at which a mix has this quality; None where none has."""
        costs, qualities = zip(*self.corners, strict=True)
        return float(np.interp(quality, qualities, costs)) if quality <= qualities[-1] else None

    def shares_at(self, cost: float) -> list[float]:
        """The share of every track in the best mix at this mean cost."""
        shares = [0.0] * self._tracks
        first, last = self._corners[0], self._corners[-1]
        if cost <= first[0] or cost >= last[0]:
            shares[first[2] if cost <= first[0] else last[2]] = 1.0
            return shares
        low, high = next((low, high) for low, high in itertools.pairwise(self._corners) if low[0] <= cost < high[0])
        shares[high[2]] = (cost - low[0]) / (high[0] - low[0])
        shares[low[2]] = 1.0 - shares[high[2]]
        return shares


def _hull(points: Sequence[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Andrew's monotone chain over points by cost, kept to what is better than everything cheaper."""
    found: list[tuple[float, float, int]] = []
    for cost, quality, place in points:
        if found and quality <= found[-1][1]:
            continue
        while len(found) > 1 and (found[-1][1] - found[-2][1]) * (cost - found[-2][0]) <= (quality - found[-2][1]) * (found[-1][0] - found[-2][0]):
            found.pop()
        found.append((cost, quality, place))
    return found


__all__ = ["StaticMix"]
