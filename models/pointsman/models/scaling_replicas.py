"""Replicas: how many of a thing that serves so many requests at a time are needed, and what they cost."""

import math
from dataclasses import dataclass

_SLACK = 1e-9


def concurrency(rate_per_s: float, service_time_s: float) -> float:
    """Requests in flight on average, by Little's law: the arrival rate times the mean time in service.

    >>> concurrency(12.0, 2.5)
    30.0
    """
    return rate_per_s * service_time_s


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many replicas a demand takes: ceil(demand / (target_utilisation x concurrency_per_replica)), clamped last.

    Concurrency itself is scaled with `concurrency_per_replica=1`: so many slots instead of replicas.

    >>> replicas = Replicas(concurrency_per_replica=4, target_utilisation=0.8, minimum=1, maximum=20, usd_per_hour=1.5)
    >>> replicas.needed(30.0), replicas.cost(replicas.needed(30.0)), replicas.needed(500.0)
    (10, 15.0, 20)
    """

    concurrency_per_replica: float = 1.0
    target_utilisation: float = 0.8
    minimum: int = 1
    maximum: int = 100
    usd_per_hour: float = 0.0

    @property
    def demand_each(self) -> float:
        """Requests in flight that one replica carries at the target utilisation."""
        return self.concurrency_per_replica * self.target_utilisation

    def needed(self, demand: float) -> int:
        """Replicas for so many requests in flight."""
        return min(max(math.ceil(min(demand / self.demand_each, self.maximum) - _SLACK), self.minimum), self.maximum)

    def cost(self, replicas: int) -> float:
        """USD an hour."""
        return replicas * self.usd_per_hour
