"""Deployments, as requests show them: a version that was never seen on a track, or one that suddenly serves another share of it."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Self

from .findings import Change

KEYS = ("version", "model_version", "deployment")
FIRST = 20
RECENT = 20
MEMORY = 500.0
SHIFT = 0.3
MOST_SERIES = 128
MOST_VALUES = 16


class Versions:
    """The versions of one track under one key: what the last twenty requests had, beside the usual shares (of about 500).

    The values among the first twenty requests are no change. A share is another one where it has moved by 0.3 or more.
    """

    __slots__ = ("count", "last", "shares")

    def __init__(self) -> None:
        self.count = 0
        self.last: deque[str] = deque(maxlen=RECENT)
        self.shares: dict[str, float] = {}

    def observe(self, value: str) -> str | None:
        """One request; in words what has changed by it."""
        self.count += 1
        self.last.append(value)
        is_new = value not in self.shares
        if is_new and len(self.shares) >= MOST_VALUES:
            del self.shares[min(self.shares, key=lambda name: self.shares[name])]
        rate = 1.0 / min(float(self.count), MEMORY)
        self.shares = {name: share * (1.0 - rate) for name, share in self.shares.items()}
        self.shares[value] = self.shares.get(value, 0.0) + rate
        if self.count <= FIRST:
            return None
        if is_new:
            return "was seen for the first time"
        share = sum(one == value for one in self.last) / len(self.last)
        before = self.shares[value]
        if len(self.last) < RECENT or share - before < SHIFT:
            return None
        self.shares = {name: sum(one == name for one in self.last) / len(self.last) for name in self.shares}
        return f"serves {100.0 * share:.0f} % after {100.0 * before:.0f} %"

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.count, list(self.last), dict(self.shares)]

    @classmethod
    def restore(cls, state: list[Any]) -> Self:
        """What left this snapshot."""
        versions = cls()
        versions.count, versions.shares = state[0], dict(state[2])
        versions.last.extend(state[1])
        return versions


class Deployments:
    """`version`, `model_version` and `deployment` of every track, from the attributes of requests."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], Versions] = {}
        self.evicted = 0

    def observe(self, track: str, attributes: Mapping[str, Any] | None, now: float) -> list[Change]:
        """One request; the deployments that it shows."""
        found = []
        for key in KEYS if attributes else ():
            value = (attributes or {}).get(key)
            if value is None:
                continue
            said = self._versions(track, key).observe(str(value))
            if said is not None:
                found.append(Change("version", f"{key}={value}"[:256], track, now, f"{key} {value} of {track} {said}"))
        return found

    def _versions(self, track: str, key: str) -> Versions:
        found = self._series.get((track, key))
        if found is None:
            if len(self._series) >= MOST_SERIES:
                del self._series[next(iter(self._series))]
                self.evicted += 1
            found = self._series[(track, key)] = Versions()
        return found

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {"series": [[*key, versions.snapshot()] for key, versions in self._series.items()], "evicted": self.evicted}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what left this snapshot."""
        self._series = {(track, key): Versions.restore(versions) for track, key, versions in state["series"]}
        self.evicted = state["evicted"]


__all__ = ["KEYS", "Deployments"]
