"""How far experience reaches: the loads of which an engine's outcomes are known, and how far beyond them another load is."""

import math
from collections.abc import Sequence
from typing import Any

A_TENTH = math.log(1.1)
SHORTEST_GAP_S = 1e-3


class Reach:
    """The most in flight and, by half octaves of that number, the shortest times in which the last requests (so many as `counts` says) had come.

    A load is beyond where a tenth more are in flight than beside any request whose outcome is known, or where requests come faster than they ever
    came to so many or fewer: then it is on its way to where nobody was. Faster is what exceeds a count's own noise, 1 ÷ √n of the logarithm.
    Distances are logarithms, so that neither units nor sizes matter.

    >>> reach = Reach([64])
    >>> reach.learn(10, [4.0])
    >>> reach.learn(40, [1.0])
    >>> reach.beyond(20, [4.0]), round(reach.beyond(82, [1.0]), 3), round(reach.beyond(10, [2.0]), 3)
    (0.0, 0.693, 0.693)
    """

    __slots__ = ("_fastest", "_noise", "most")

    def __init__(self, counts: Sequence[int]) -> None:
        self.most = 0
        self._noise = [1.0 / math.sqrt(count) for count in counts]
        self._fastest: list[dict[int, float]] = [{} for _ in counts]

    def learn(self, in_flight: int, gaps: Sequence[float]) -> None:
        """The outcome is known of a request beside which so many were in flight, the last ones having come in these seconds."""
        self.most = max(self.most, in_flight)
        place = _bin(in_flight)
        for fastest, gap in zip(self._fastest, gaps, strict=True):
            fastest[place] = min(fastest.get(place, math.inf), max(gap, SHORTEST_GAP_S))

    def beyond(self, in_flight: int, gaps: Sequence[float]) -> float:
        """ln of how many times further than any known load this one is; 0 within, and where nothing is known."""
        if not self._fastest[0]:
            return 0.0
        place, crowd = _bin(in_flight), math.log(max(in_flight, 1) / (self.most + 1.0))
        farthest = crowd if crowd > A_TENTH else 0.0
        for noise, fastest, gap in zip(self._noise, self._fastest, gaps, strict=True):
            known = min((shortest for other, shortest in fastest.items() if other <= place), default=0.0)
            faster = math.log(known / max(gap, SHORTEST_GAP_S)) if known > gap else 0.0
            farthest = max(farthest, faster if faster > noise else 0.0)
        return farthest

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.most, [[[place, gap] for place, gap in fastest.items()] for fastest in self._fastest]]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self.most = state[0]
        self._fastest = [{int(place): gap for place, gap in fastest} for fastest in state[1]]


def _bin(in_flight: int) -> int:
    return round(2.0 * math.log2(in_flight + 1.0))
