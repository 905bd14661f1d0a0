"""A recording with full information played live: the optimizer learns from the answers of its own choices alone, and the truth is known to us."""

import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointsman.models.decision import Evaluator
from pointsman.models.off_policy import Places
from pointsman.schemas import OptimizationConfig, PolicyPublished, RequestCompleted, encode
from pointsman.sinks.router_view import View

from .embedded import Optimizer
from .logged import Recording
from .static_mix import StaticMix

RESAMPLED = 400
FEWEST = 20  # prompts of a category that get a line of their own


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one configuration: the place of the track chosen for each request, and the policies published on the way."""

    budget: float
    chosen: Places
    policies: list[PolicyPublished]

    @property
    def shadow_price(self) -> float:
        """What a US dollar was worth in the second half, in quality: the median over the policies."""
        worths = [policy.worth for policy in self.policies[len(self.policies) // 2 :]]
        return statistics.median(worth.shadow_price / worth.quality if worth.quality else 0.0 for worth in worths)

    def evaluator(self, moment: float) -> Evaluator:
        """The policy in force at this moment."""
        return Evaluator([policy for policy in self.policies if policy.occurred_at <= moment][-1])


@dataclass(frozen=True, slots=True)
class Gain:
    """A run beside the best static mix at its own cost: mean quality above it with a 95 % interval, and what the mix pays for the run's quality, if it can."""

    quality: float
    cost_usd: float
    above: float
    lower: float
    upper: float
    mix_cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """The step from one track to a dearer one for some requests: mean quality and US dollars that it adds, as expected before and as it truly is."""

    name: str
    requests: int
    quality: float
    cost_usd: float
    true_quality: float
    true_cost_usd: float
    taken: float

    @property
    def rate(self) -> float:
        """Quality per US dollar, as expected."""
        return self.quality / max(self.cost_usd, 1e-12)

    @property
    def true_rate(self) -> float:
        """Quality per US dollar, in truth."""
        return self.true_quality / max(self.true_cost_usd, 1e-12)


def play(recording: Recording, config: OptimizationConfig, budget: float, database: Path) -> Run:
    """Route every request of a recording by the policies that the embedded optimizer publishes, as a router does; it starts without any outcome.

    `database` is left with the journal of the run.
    """
    config = config.model_copy(update={"budget": config.budget.model_copy(update={"usd_per_request": budget})})
    moment = 0.0
    policies: list[PolicyPublished] = []
    chosen: list[int] = []
    view = View(config.tracks[0].name, lambda: moment)
    with Optimizer.open(str(database), config, clock=lambda: moment) as optimizer:
        for request in recording.requests:
            start = request.start
            moment = start.occurred_at
            routed = view.decide(start.scope, request_id=start.request_id, input_tokens=start.input_tokens, category=start.category, sketch=start.sketch)
            outcome = request.outcomes[routed.track]
            update = {"track": routed.track, "propensity": routed.propensity, "policy_version": routed.policy_version, "source": "demo"}
            end = RequestCompleted(
                event_id=f"{start.request_id}/{routed.track}/completed",
                scope=start.scope,
                occurred_at=start.occurred_at + outcome["latency_ms"] / 1000.0,
                source="demo",
                request_id=start.request_id,
                track=routed.track,
                success=True,
                latency_ms=outcome["latency_ms"],
                cost_usd=outcome["cost_usd"],
                quality_score=outcome["quality"],
            )
            published = [output for output in optimizer.record_many([start.model_copy(update=update), end]) if isinstance(output, PolicyPublished)]
            for policy in published:
                view.add(encode(policy))
            policies += published
            chosen.append(recording.tracks.index(routed.track))
    return Run(budget, np.array(chosen, dtype=np.int64), policies)


def gain(recording: Recording, chosen: Places) -> Gain:
    """What the choices gave above the best static mix; the interval is a bootstrap over the requests."""
    costs, qualities = recording.outcomes["cost_usd"], recording.outcomes["quality"]
    rows = np.arange(len(chosen))
    paid, given = costs[rows, chosen], qualities[rows, chosen]
    draw = np.random.default_rng(0)
    above = []
    for _ in range(RESAMPLED):
        pick = draw.integers(0, len(rows), len(rows))
        above.append(float(given[pick].mean()) - StaticMix(costs[pick], qualities[pick]).quality_at(float(paid[pick].mean())))
    lower, upper = np.percentile(above, [2.5, 97.5]).tolist()
    mix, cost, quality = StaticMix(costs, qualities), float(paid.mean()), float(given.mean())
    return Gain(quality, cost, quality - mix.quality_at(cost), lower, upper, mix.cost_of(quality))


class Steps:
    """What the policy in force in the middle of a run expected of the requests that came after, between its two most used tracks; and what was true."""

    def __init__(self, recording: Recording, run: Run) -> None:
        self._recording, self._run = recording, run
        self._half = len(recording.requests) // 2
        used = np.bincount(run.chosen, minlength=len(recording.tracks)).argsort(kind="stable")[-2:].tolist()
        self._cheap, self._dear = sorted(used, key=lambda place: float(recording.outcomes["cost_usd"][:, place].mean()))
        self._evaluator = run.evaluator(recording.requests[self._half].start.occurred_at)
        later = recording.requests[self._half :]
        every = [self._evaluator.expected(request.context) for request in later]
        cheap, dear = self.tracks
        self._quality = np.array([found[dear].quality - found[cheap].quality for found in every])
        self._cost = np.array([found[dear].cost_usd - found[cheap].cost_usd for found in every])

    @property
    def tracks(self) -> tuple[str, str]:
        """The cheaper and the dearer one."""
        return self._recording.tracks[self._cheap], self._recording.tracks[self._dear]

    def by_category(self) -> list[Step]:
        """By the category that the sketch found in the prompt, the most frequent first; those with few requests are one."""
        groups: dict[str, list[int]] = {}
        for row, request in enumerate(self._recording.requests[self._half :]):
            groups.setdefault(request.context.category or "none found", []).append(row)
        for name in [name for name, rows in groups.items() if len(rows) < FEWEST]:
            groups.setdefault("others", []).extend(groups.pop(name))
        found = [self._step(name, rows) for name, rows in groups.items()]
        return sorted(found, key=lambda step: -step.requests)

    def by_rate(self) -> list[Step]:
        """By the quality per dollar that was expected: the third with the least first."""
        order = np.argsort(self._quality / np.maximum(self._cost, 1e-12), kind="stable")
        return [self._step(name, rows.tolist()) for name, rows in zip(("least", "middle", "most"), np.array_split(order, 3), strict=True)]

    def _step(self, name: str, rows: list[int]) -> Step:
        there = [self._half + row for row in rows]

        def true(metric: str) -> float:
            outcomes = self._recording.outcomes[metric][there]
            return float((outcomes[:, self._dear] - outcomes[:, self._cheap]).mean())

        taken = float((self._run.chosen[there] == self._dear).mean())
        return Step(name, len(rows), float(self._quality[rows].mean()), float(self._cost[rows].mean()), true("quality"), true("cost_usd"), taken)


__all__ = ["Gain", "Run", "Step", "Steps", "gain", "play"]
