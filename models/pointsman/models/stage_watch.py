"""Whether a stage takes longer than it used to: its last durations beside its normal, per track and stage."""

import math
from collections import OrderedDict
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from .findings import Deviation

MOST_STAGES = 128
STAGE = "stages."  # what the metric of a stage's series begins with
RECENT = 0.2
NORMAL = 0.005
WARM_UP = 50
OFF = 3.0
LEAST_SPREAD = 0.02
LEAST_MS = 0.1
RECENT_OUTCOMES = (2.0 - RECENT) / RECENT  # how many outcomes a mean with this rate amounts to
_TAIL = NormalDist()


class StageNormal:
    """Logarithms of one stage's durations: their slow mean and variance, and the mean of the last, about nine.

    The normal learns at a tenth of its rate while the last are off.

    >>> stage = StageNormal()
    >>> for number in range(200):
    ...     stage.update(100.0 + number % 5, at=float(number))
    >>> stage.effect < 1.0
    True
    >>> for number in range(200, 210):
    ...     stage.update(300.0, at=float(number))
    >>> stage.effect > 10.0, stage.since
    (True, 200.0)
    """

    __slots__ = ("count", "mean", "recent", "since", "variance")

    def __init__(self) -> None:
        self.count, self.mean, self.variance, self.recent = 0, 0.0, 0.0, 0.0
        self.since: float | None = None

    @property
    def effect(self) -> float:
        """How far the last durations are from normal, in standard deviations of such a mean; 0 in the warm-up of 50."""
        if self.count < WARM_UP:
            return 0.0
        return (self.recent - self.mean) / max(math.sqrt(self.variance / RECENT_OUTCOMES), LEAST_SPREAD)

    def update(self, ms: float, at: float) -> None:
        """One duration."""
        log = math.log(max(ms, LEAST_MS))
        if self.count == 0:
            self.mean = self.recent = log
        self.count += 1
        self.recent += RECENT * (log - self.recent)
        is_off = abs(self.effect) > OFF
        rate = max(NORMAL * (0.1 if is_off else 1.0), 1.0 / self.count)
        away = log - self.mean
        self.mean += rate * away
        self.variance += rate * (away * (log - self.mean) - self.variance)
        self.since = (at if self.since is None else self.since) if is_off else None


class StageWatch:
    """The 128 stages seen last."""

    def __init__(self) -> None:
        self.stages: OrderedDict[tuple[str, str], StageNormal] = OrderedDict()
        self.evicted = 0

    def update(self, track: str, stages: Mapping[str, float], at: float) -> None:
        """The stages of one request that is over."""
        for stage, ms in stages.items():
            key = (track, stage)
            found = self.stages.get(key)
            if found is None:
                found = self.stages[key] = StageNormal()
                if len(self.stages) > MOST_STAGES:
                    self.stages.popitem(last=False)
                    self.evicted += 1
            self.stages.move_to_end(key)
            found.update(ms, at)

    def deviations(self) -> list[Deviation]:
        """The stages that are off, the furthest first; the metric is `stages.NAME`, the score the probability that chance would not take it so far."""
        found = [
            Deviation(f"{STAGE}{stage}", track, None, one.effect, one.since, _surety(one.effect), math.exp(one.recent), math.exp(one.mean))
            for (track, stage), one in self.stages.items()
            if one.since is not None
        ]
        return sorted(found, key=lambda one: (-abs(one.effect), one.track or "", one.metric))

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        rows = [[*key, one.count, one.mean, one.variance, one.recent, one.since] for key, one in self.stages.items()]
        return [self.evicted, rows]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self.evicted, rows = state
        self.stages = OrderedDict()
        for track, stage, *values in rows:
            one = self.stages[track, stage] = StageNormal()
            one.count, one.mean, one.variance, one.recent, one.since = values


def _surety(effect: float) -> float:
    return 1.0 - 2.0 * _TAIL.cdf(-abs(effect))


__all__ = ["STAGE", "StageNormal", "StageWatch"]
