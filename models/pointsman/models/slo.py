"""Service level objectives as constraints: the price of breaking one rises while too many requests do, and falls while few enough do."""

from typing import Any

from pointsman.schemas import Objective, RequestCompleted

RATE = 0.05
DEAREST = 5.0
FADING = 0.005
ACTED_ON = ("latency_ms", "success", "quality_score", "cost_usd")


class Slo:
    """One objective: `observe` takes every completion and returns the price, in utility per request that breaks it.

    price <- clamp(price + RATE (broken - (1 - share)), 0, DEAREST): dual ascent, whose rest point is the share asked for.

    >>> slo = Slo(Objective(metric="latency_ms", bound=1500.0, share=0.9))
    >>> for number in range(100):
    ...     price = slo.observe(is_broken=number % 2 == 0)
    >>> round(price, 2), round(slo.held, 2)
    (2.0, 0.8)
    """

    __slots__ = ("held", "objective", "price")

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.price = 0.0
        self.held = 1.0

    def observe(self, *, is_broken: bool) -> float:
        """One completion that this objective applies to."""
        self.held += FADING * ((not is_broken) - self.held)
        self.price = round(max(0.0, min(DEAREST, self.price + RATE * (is_broken - (1.0 - self.objective.share)))), 9)
        return self.price

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.objective.model_dump(), self.price, self.held]

    @classmethod
    def restore(cls, state: list[Any]) -> "Slo":
        """The objective that left this snapshot."""
        slo = cls(Objective.model_validate(state[0]))
        slo.price, slo.held = state[1:]
        return slo


def is_broken(objective: Objective, event: RequestCompleted) -> bool | None:
    """Whether a completion breaks an objective; None where it says nothing about it: a failure nothing of a value, one that is excused nothing at all."""
    if objective.metric == "success":
        return None if event.is_excused else not event.success
    value: float | None = getattr(event, objective.metric) if event.success else None
    return is_beyond(objective, value) if value is not None else None


def is_beyond(objective: Objective, value: float) -> bool:
    """Whether a value of its metric is on the wrong side of an objective's bound."""
    return value < objective.bound if objective.metric == "quality_score" else value > objective.bound


def is_of(objective: Objective, track: str, category: str | None) -> bool:
    """Whether an objective is about requests of this category on this track."""
    return objective.track in (None, track) and objective.category in (None, category)


__all__ = ["ACTED_ON", "Slo", "is_beyond", "is_broken", "is_of"]
