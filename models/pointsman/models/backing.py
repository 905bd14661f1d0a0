"""Which track a sampled engine serves, where neither the configuration nor a name says it: the one whose requests in flight it has."""

from collections.abc import Mapping
from typing import Any

FADING = 0.05
FEWEST = 10
CLOSE = 0.35
MOST_HOSTS = 64


class Backing:
    """Per host and track the recent relative difference between what the engine holds (running and waiting) and what is in flight on the track.

    |held − in flight| ÷ max(held, in flight), over samples in which one of the two is busy. After 10 of them the track with the smallest one is the host's, if
    that is below 0.35; a host that serves several tracks has none.

    >>> backing = Backing()
    >>> for number in range(12):
    ...     backing.observe("gpu-1", number, {"a": number, "b": 12 - number})
    >>> backing.track("gpu-1"), backing.track("gpu-2")
    ('a', None)
    """

    __slots__ = ("_apart", "_counts")

    def __init__(self) -> None:
        self._apart: dict[str, dict[str, float]] = {}
        self._counts: dict[str, int] = {}

    def observe(self, host: str, held: float, in_flight: Mapping[str, int]) -> None:
        """A sample of an engine that holds so many requests, and what is in flight on each track."""
        if held <= 0.0 and not any(in_flight.values()):
            return
        if host not in self._counts and len(self._counts) >= MOST_HOSTS:
            oldest = next(iter(self._counts))
            del self._counts[oldest], self._apart[oldest]
        self._counts[host] = count = self._counts.pop(host, 0) + 1
        apart = self._apart.setdefault(host, {})
        for track, flying in in_flight.items():
            most = max(held, float(flying))
            error = abs(held - flying) / most if most > 0.0 else 0.0
            apart[track] = apart.get(track, 0.0) + max(FADING, 1.0 / count) * (error - apart.get(track, 0.0))

    def track(self, host: str) -> str | None:
        """The track that this host serves, once that is clear."""
        if self._counts.get(host, 0) < FEWEST:
            return None
        apart = self._apart[host]
        best = min(apart, key=lambda name: apart[name])
        return best if apart[best] < CLOSE else None

    def forget(self, tracks: Mapping[str, Any]) -> None:
        """Drop the tracks that are no longer among these."""
        self._apart = {host: {name: error for name, error in apart.items() if name in tracks} for host, apart in self._apart.items()}
        for host in [host for host, apart in self._apart.items() if not apart]:
            del self._apart[host], self._counts[host]

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self._counts, self._apart]

    @classmethod
    def restore(cls, state: list[Any]) -> "Backing":
        """What left this snapshot."""
        backing = cls()
        backing._counts, backing._apart = dict(state[0]), {host: dict(apart) for host, apart in state[1].items()}
        return backing
