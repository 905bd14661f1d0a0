"""The blast radius of an incident: how many requests it concerns, on which tracks and of which categories, and what they cost more."""

from collections.abc import Mapping
from typing import Any, Self

from .findings import Judged

FAR = 3.0
MOST_NAMES = 64
SHOWN = 16
FEWEST_SHARE = 0.05


def is_concerned(judged: Judged) -> bool:
    """Whether a request failed, or is three standard deviations or more worse than usual."""
    return not judged.success or any(value >= FAR for value in judged.deviations.values())


class Blast:
    """Counts since the onset; of all requests of the scope, and of the concerned ones on the incident's tracks."""

    __slots__ = ("categories", "concerned", "requests", "tracks", "usd")

    def __init__(self) -> None:
        self.requests = 0
        self.concerned = 0
        self.usd = 0.0
        self.tracks: dict[str, int] = {}
        self.categories: dict[str, int] = {}

    def observe(self, judged: Judged, *, is_covered: bool) -> None:
        """One outcome since the onset; `is_covered` where its track is one of the incident's."""
        self.requests += 1
        if not is_covered or not is_concerned(judged):
            return
        self.concerned += 1
        self.usd += max(judged.extra_usd, 0.0)
        _count(self.tracks, judged.track)
        if judged.category is not None:
            _count(self.categories, judged.category)

    @property
    def share(self) -> float:
        """The concerned ones among all requests since the onset."""
        return self.concerned / self.requests if self.requests else 0.0

    def named(self, counts: Mapping[str, int]) -> list[str]:
        """The names with at least a twentieth of the concerned requests, most first."""
        found = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [name for name, count in found[:SHOWN] if count >= FEWEST_SHARE * self.concerned]

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.requests, self.concerned, self.usd, dict(self.tracks), dict(self.categories)]

    @classmethod
    def restore(cls, state: list[Any]) -> Self:
        """What left this snapshot."""
        blast = cls()
        blast.requests, blast.concerned, blast.usd = state[:3]
        blast.tracks, blast.categories = dict(state[3]), dict(state[4])
        return blast


def _count(counts: dict[str, int], name: str) -> None:
    if name in counts or len(counts) < MOST_NAMES:
        counts[name] = counts.get(name, 0) + 1


__all__ = ["Blast", "is_concerned"]
