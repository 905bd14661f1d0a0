"""How often notices were followed by incidents, and whether that is enough to announce the next one."""

import math
from collections.abc import Mapping
from typing import Any

HORIZON_S = 1800.0
LEAST_FOLLOWED = 3
LEAST_SURE = 0.5
KEPT = 2.0 / 3.0
LIFT = 2.0
Z = 1.645  # one-sided 95 %
CASES = 32
MOST_NOTICES = 128
MOST_KINDS = 64
Case = dict[str, float]  # seconds from the notice to the incident, by the fingerprint of the incidents that followed; empty where none did


class Records:
    """The last 32 cases of each notice, and how many incidents of each kind there were; what is used least recently goes."""

    def __init__(self) -> None:
        self._cases: dict[str, list[Case]] = {}
        self._kinds: dict[str, tuple[int, str]] = {}
        self._since: float | None = None
        self.evicted = 0

    def begin(self, now: float) -> None:
        """Chance is reckoned from the first notice or incident on."""
        self._since = now if self._since is None else self._since

    def came(self, kind: str, incident: str) -> None:
        """An incident of a kind."""
        count, _ = self._kinds.pop(kind, (0, ""))
        self._kinds[kind] = (count + 1, incident)
        if len(self._kinds) > MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
            self.evicted += 1

    def add(self, key: str, case: Case) -> None:
        """What followed a notice."""
        self._cases[key] = [*self._cases.pop(key, []), case][-CASES:]
        if len(self._cases) > MOST_NOTICES:
            del self._cases[next(iter(self._cases))]
            self.evicted += 1

    def announced(self, key: str, now: float) -> str | None:
        """The kind of incident that a notice announces: it followed at least three times and in two of three cases, surely (Wilson's lower bound) more often
        than not, and at least twice as often as by chance.
        """
        cases = self._cases.get(key, [])
        rows: list[tuple[float, str]] = []
        for kind in sorted({kind for case in cases for kind in case}):
            sure = wilson(self.followed(key, kind), len(cases))
            if self.followed(key, kind) >= LEAST_FOLLOWED and self.is_kept(key, kind) and sure >= max(LEAST_SURE, LIFT * self._chance(kind, now)):
                rows.append((sure, kind))
        return max(rows)[1] if rows else None

    def is_kept(self, key: str, kind: str) -> bool:
        """Whether what a notice announces came in two of three cases."""
        return self.followed(key, kind) >= KEPT * len(self._cases.get(key, []))

    def followed(self, key: str, kind: str) -> int:
        """In how many cases incidents of a kind followed a notice."""
        return sum(kind in case for case in self._cases.get(key, []))

    def precision(self, key: str, kind: str) -> float:
        """The share of cases in which they did."""
        return self.followed(key, kind) / max(len(self._cases.get(key, [])), 1)

    def tally(self, key: str, kind: str) -> str:
        """The same as a sentence, with an example of such an incident."""
        return f"incidents like {self.example(kind)} followed in {self.followed(key, kind)} of {len(self._cases.get(key, []))} cases"

    def example(self, kind: str) -> str:
        """The latest incident of a kind."""
        return self._kinds.get(kind, (0, kind))[1]

    def lead(self, key: str, kind: str) -> float:
        """How long before such an incident the notice usually came, in seconds (median)."""
        leads = sorted(case[kind] for case in self._cases.get(key, []) if kind in case)
        return leads[len(leads) // 2] if leads else 0.0

    def _chance(self, kind: str, now: float) -> float:
        """How likely such an incident is within any half hour, by how often they come."""
        count, elapsed = self._kinds.get(kind, (0, ""))[0], max(now - (self._since or now), HORIZON_S)
        return -math.expm1(-count * HORIZON_S / elapsed)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {"cases": self._cases, "kinds": {kind: list(row) for kind, row in self._kinds.items()}, "since": self._since, "evicted": self.evicted}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Records":
        """What left this snapshot."""
        records = cls()
        records._cases, records._since, records.evicted = state["cases"], state["since"], state["evicted"]
        records._kinds = {kind: (count, name) for kind, (count, name) in state["kinds"].items()}
        return records


def wilson(successes: int, trials: int) -> float:
    """The lower bound of a share, one-sided 95 % (Wilson's score interval).

    >>> round(wilson(3, 3), 3), round(wilson(4, 5), 3), wilson(0, 0)
    (0.526, 0.435, 0.0)
    """
    if not trials:
        return 0.0
    share, z2 = successes / trials, Z * Z / trials
    return max((share + z2 / 2.0 - Z * math.sqrt(share * (1.0 - share) / trials + z2 / (4.0 * trials))) / (1.0 + z2), 0.0)


__all__ = ["HORIZON_S", "Case", "Records", "wilson"]
