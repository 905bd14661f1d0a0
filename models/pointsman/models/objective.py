"""Strategies as utilities: what one unit of quality, latency, cost, failure and resource pressure is worth under each."""

import math
from dataclasses import dataclass

from pointsman.schemas import OptimizationConfig, Strategy

from .bandit import LOG_LATENCY, QUALITY, SUCCESS


@dataclass(frozen=True, slots=True)
class Worth:
    """Utility = quality·q - latency·ln(latency/max) - cost·ln(1 + cost/max) + success·s - resource·pressure - switching where a conversation changes track."""

    quality: float
    latency: float
    cost: float
    success: float
    resource: float
    switching: float


WORTH: dict[Strategy, Worth] = {
    "balanced": Worth(1.0, 0.15, 0.15, 1.0, 0.3, 0.02),
    "latency": Worth(0.2, 0.6, 0.02, 1.0, 0.1, 0.05),
    "throughput": Worth(0.2, 0.4, 0.05, 1.0, 0.6, 0.02),
    "resource": Worth(0.3, 0.1, 0.05, 1.0, 1.5, 0.02),
    "quality": Worth(1.0, 0.01, 0.01, 0.5, 0.03, 0.005),
    "cost": Worth(0.3, 0.05, 1.0, 1.0, 0.05, 0.05),
}


def worth(strategy: Strategy) -> Worth:
    """The worth under a strategy; `adaptive` starts as balanced."""
    return WORTH.get(strategy, WORTH["balanced"])


def shares(value: Worth) -> dict[int, float]:
    """The same as weights on the bandit's targets."""
    return {QUALITY: value.quality, LOG_LATENCY: -value.latency, SUCCESS: value.success}


def log_latency(latency_ms: float, config: OptimizationConfig) -> float:
    """ln(latency / largest allowed), the bandit's latency target."""
    return math.log(max(latency_ms, 0.01) / config.constraints.max_latency_ms)


def cost(cost_usd: float, config: OptimizationConfig) -> float:
    """ln(1 + cost / largest allowed), what a strategy's worth of cost is counted in."""
    return math.log1p(cost_usd / config.constraints.max_cost_usd)
