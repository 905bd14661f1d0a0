"""What is kept of the requests of one group (a track, or one category on it) to say where their time goes: two samples, slow requests apart."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .quantiles import SlidingQuantiles

KEPT = 96
USUAL = 256
WARM_UP = 20
SLOW = 0.9
MOST_STAGES = 12
OTHER = "other"
FIRST_TOKEN, GENERATION = "first_token", "generation"
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class Row(NamedTuple):
    """One request that is over. `stages` are ms, in the order of the group's names; `path` is the critical path of its trace up to its end."""

    latency_ms: float
    in_flight: int | None
    generation_ms: float | None
    output_tokens: int | None
    cost_usd: float | None
    stages: Sequence[float]
    path: Sequence[str] = ()


class Reservoir:
    """A uniform sample of the rows seen (Vitter's algorithm R); the dice are a hash of the count, so that the same stream gives the same sample.

    >>> sample = Reservoir()
    >>> for number in range(1000):
    ...     sample.add(Row(float(number), None, None, None, None, ()))
    >>> len(sample.rows), sample.count
    (96, 1000)
    """

    __slots__ = ("count", "rows")

    def __init__(self, rows: list[Row] | None = None, count: int = 0) -> None:
        self.rows, self.count = rows if rows is not None else [], count

    def add(self, row: Row) -> None:
        """See one row."""
        self.count += 1
        if len(self.rows) < KEPT:
            self.rows.append(row)
        elif (place := _mixed(self.count) % self.count) < KEPT:
            self.rows[place] = row

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.count, [list(row) for row in self.rows]]

    @classmethod
    def restore(cls, state: list[Any]) -> "Reservoir":
        """The sample that left this snapshot."""
        return cls([Row(*row) for row in state[1]], state[0])


def _mixed(number: int) -> int:
    """A hash of a number (splitmix64, Steele et al. 2014)."""
    state = (number * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    state = ((state ^ (state >> 30)) * _MIX[0]) & 0xFFFFFFFFFFFFFFFF
    state = ((state ^ (state >> 27)) * _MIX[1]) & 0xFFFFFFFFFFFFFFFF
    return state ^ (state >> 31)


class Group:
    """One track, or one category on it: the 90th percentile of its last 256 latencies, and since `since` samples of requests above and of the others.

    A request is slow by what was usual when it ended, so that where everything becomes slow, all of it is beside what it was. The first 20 only tell what is
    usual. A group has at most 12 stages; the time of further ones is among what no stage covers.
    """

    __slots__ = ("names", "since", "slow", "typical", "usual")

    def __init__(self, since: float) -> None:
        self.since = since
        self.names: list[str] = []
        self.usual = SlidingQuantiles(USUAL)
        self.slow, self.typical = Reservoir(), Reservoir()

    @property
    def requests(self) -> int:
        """How many were seen since `since`, those of the warm-up left out."""
        return self.slow.count + self.typical.count

    def add(self, row: Row, stages: Mapping[str, float]) -> None:
        """One request is over; `row` is without its stages."""
        for name in stages:
            if name not in self.names and name != OTHER and len(self.names) < MOST_STAGES:
                self.names.append(name)
        if len(self.usual) >= WARM_UP:
            sample = self.slow if self._is_slow(row.latency_ms) else self.typical
            sample.add(row._replace(stages=[round(stages.get(name, 0.0), 3) for name in self.names]))
        self.usual.update(row.latency_ms)

    def _is_slow(self, latency_ms: float) -> bool:
        most = self.usual.get(1.0)  # where more than a tenth are as slow as that, nothing is above the percentile
        return latency_ms > self.usual.get(SLOW) or latency_ms == most > self.usual.get(0.5)

    def renew(self, now: float) -> None:
        """Begin anew; what is usual stays."""
        self.since = now
        self.slow, self.typical = Reservoir(), Reservoir()

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.since, self.names, self.usual.snapshot(), self.slow.snapshot(), self.typical.snapshot()]

    @classmethod
    def restore(cls, state: list[Any]) -> "Group":
        """The group that left this snapshot."""
        group = cls(state[0])
        group.names = list(state[1])
        group.usual.restore(state[2])
        group.slow, group.typical = Reservoir.restore(state[3]), Reservoir.restore(state[4])
        return group


__all__ = ["FIRST_TOKEN", "GENERATION", "OTHER", "Group", "Reservoir", "Row"]
