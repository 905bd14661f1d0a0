"""The objectives of one scope: which requests count for which of them, their error budgets, and alerts where a budget goes too fast."""

from collections.abc import Iterable, Mapping
from typing import Any

from pointsman.schemas import Objective, OptimizationConfig, RequestCompleted

from .burn_budget import ErrorBudget
from .findings import Told
from .slo import is_beyond, is_broken, is_of

PATIENCE_S = 60.0


class Objectives:
    """Handed every outcome of a scope, in the order in which they become known; a late one counts when it comes."""

    def __init__(self, config: OptimizationConfig) -> None:
        self._budgets = _budgets(config)
        self._checked_at = 0.0

    def configure(self, config: OptimizationConfig, now: float) -> list[Told]:
        """From here on these objectives; one that stays keeps its counts, the alerts of one that goes are over."""
        before, self._budgets = self._budgets, _budgets(config)
        said: list[Told] = []
        for name, budget in before.items():
            if name in self._budgets and self._budgets[name].objective == budget.objective:
                self._budgets[name] = budget
            else:
                said += budget.withdrawn(now)
        return said

    # what happens

    def completed(self, event: RequestCompleted, category: str | None, now: float, *, is_joined: bool) -> list[Told]:
        """An attempt ends; where its start is not known yet, it counts for objectives of a category only once that comes (`joined`)."""
        return self._count(event, category, now, (one for one in self._budgets.values() if is_joined or one.objective.category is None))

    def joined(self, event: RequestCompleted, category: str | None, now: float) -> list[Told]:
        """The start of an attempt whose end was known comes."""
        return self._count(event, category, now, (one for one in self._budgets.values() if one.objective.category is not None))

    def _count(self, event: RequestCompleted, category: str | None, now: float, budgets: Iterable[ErrorBudget]) -> list[Told]:
        said: list[Told] = []
        for budget in budgets:
            if is_of(budget.objective, event.track, category):
                broken = is_broken(budget.objective, event)
                if broken is not None:
                    said += budget.count(now, is_broken=broken)
        return said

    def lost(self, track: str, category: str | None, now: float) -> list[Told]:
        """An attempt is given up, since nothing was heard of it for so long: it did not succeed."""
        return [told for one in self._of("success", track, category) for told in one.count(now, is_broken=True)]

    def assessed(self, track: str, category: str | None, score: float, now: float) -> list[Told]:
        """The quality of an attempt is judged after its end."""
        return [told for one in self._of("quality_score", track, category) for told in one.count(now, is_broken=is_beyond(one.objective, score))]

    def _of(self, metric: str, track: str, category: str | None) -> list[ErrorBudget]:
        return [one for one in self._budgets.values() if one.objective.metric == metric and is_of(one.objective, track, category)]

    # time and state

    def advance(self, now: float) -> list[Told]:
        """Time passes."""
        if now < self._checked_at + PATIENCE_S:
            return []
        self._checked_at = now
        return [told for budget in self._budgets.values() for told in budget.advance(now)]

    def next_due(self) -> float | None:
        """When to look whether an alert is over though nothing comes."""
        return self._checked_at + PATIENCE_S if any(budget.is_burning for budget in self._budgets.values()) else None

    def status(self, now: float) -> list[dict[str, Any]]:
        """Every objective as it is reported."""
        reports = [budget.fields(now) for budget in self._budgets.values()]
        return [fields | {"burns": [burn.model_dump() for burn in fields["burns"]], "occurred_at": now} for fields in reports]

    def snapshot(self) -> dict[str, Any]:
        """The state in named parts, one an objective, so that those without traffic are not written again."""
        parts: dict[str, Any] = {f"objective:{place}": budget.snapshot() for place, budget in enumerate(self._budgets.values())}
        return parts | {"objectives": self._checked_at}

    def restore(self, parts: Mapping[str, Any]) -> None:
        """Take up the parts of a snapshot."""
        self._checked_at = parts.get("objectives", 0.0)
        for place, name in enumerate(self._budgets):
            if f"objective:{place}" in parts:
                self._budgets[name] = ErrorBudget.restore(parts[f"objective:{place}"])


def _budgets(config: OptimizationConfig) -> dict[str, ErrorBudget]:
    found: dict[str, Objective] = {objective.name: objective for objective in config.objectives}
    return {name: ErrorBudget(objective) for name, objective in found.items()}


__all__ = ["Objectives"]
