"""Strategies as utilities: what one unit of quality, latency, cost, failure and resource pressure is worth under each."""

import math
from dataclasses import dataclass

from pointsman.schemas import OptimizationConfig, Strategy


@dataclass(frozen=True, slots=True)
class Worth:
    """Utility = quality·q - latency·ln(latency/max) - cost·ln(1 + cost/max) + success·s - resource·pressure."""

    quality: float
    latency: float
    cost: float
    success: float
    resource: float


WORTH: dict[Strategy, Worth] = {
    "balanced": Worth(1.0, 0.15, 0.15, 1.0, 0.3),
    "latency": Worth(0.2, 0.6, 0.02, 1.0, 0.1),
    "throughput": Worth(0.2, 0.4, 0.05, 1.0, 0.6),
    "resource": Worth(0.3, 0.1, 0.05, 1.0, 1.5),
    "quality": Worth(3.0, 0.03, 0.03, 1.0, 0.1),
    "cost": Worth(0.3, 0.05, 1.0, 1.0, 0.05),
}


def worth(strategy: Strategy) -> Worth:
    """The worth under a strategy; `adaptive` starts as balanced."""
    return WORTH.get(strategy, WORTH["balanced"])


def shares(value: Worth) -> list[float]:
    """The same as weights on the bandit's targets (quality, log latency, cost, success)."""
    return [value.quality, -value.latency, -value.cost, value.success]


def log_latency(latency_ms: float, config: OptimizationConfig) -> float:
    """ln(latency / largest allowed), the bandit's latency target."""
    return math.log(max(latency_ms, 0.01) / config.constraints.max_latency_ms)


def cost(cost_usd: float, config: OptimizationConfig) -> float:
    """ln(1 + cost / largest allowed), the bandit's cost target."""
    return math.log1p(cost_usd / config.constraints.max_cost_usd)
