"""Constraints: which bound is broken, for how long, and when that is over; two observations in a row decide."""

from dataclasses import dataclass
from typing import Any

CONFIRMATIONS = 2
MOST = 256


@dataclass(slots=True)
class Breach:
    """The state of one bound: how often in a row it was broken or kept, and since when an alert stands."""

    broken: int = 0
    kept: int = 0
    since: float | None = None


class Constraints:
    """One `observe` for every measurement of every bound; answers raise, resolve or nothing."""

    __slots__ = ("breaches",)

    def __init__(self) -> None:
        self.breaches: dict[str, Breach] = {}

    def observe(self, fingerprint: str, is_broken: bool, now: float, confirmations: int = CONFIRMATIONS) -> str | None:
        """`raised` at the second violation in a row, `resolved` at the second observation within bounds, unless other `confirmations` are asked for."""
        breach = self.breaches.get(fingerprint)
        if breach is None:
            if not is_broken or len(self.breaches) >= MOST:
                return None
            breach = self.breaches[fingerprint] = Breach()
        breach.broken, breach.kept = (breach.broken + 1, 0) if is_broken else (0, breach.kept + 1)
        if breach.since is None and breach.broken >= confirmations:
            breach.since = now
            return "raised"
        if breach.kept >= confirmations:
            del self.breaches[fingerprint]
            return "resolved" if breach.since is not None else None
        return None

    def since(self, fingerprint: str) -> float | None:
        """Since when an alert stands."""
        breach = self.breaches.get(fingerprint)
        return breach.since if breach else None

    def standing(self) -> list[str]:
        """The fingerprints of the alerts that stand, in the order in which they were first seen."""
        return [name for name, breach in self.breaches.items() if breach.since is not None]

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [[name, breach.broken, breach.kept, breach.since] for name, breach in self.breaches.items()]

    @classmethod
    def restore(cls, state: list[Any]) -> "Constraints":
        """The constraints that left this snapshot."""
        constraints = cls()
        constraints.breaches = {name: Breach(*rest) for name, *rest in state}
        return constraints
