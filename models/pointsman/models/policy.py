"""The learned policy of a scope: what the tracks give, whether one has changed, and what money is worth; and its coefficients for routers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointsman.schemas import OptimizationConfig, PolicyArm, PolicyLoad, PolicyObjective, PolicyWorth, Track

from . import objective
from .arrays import short
from .bandit import LOG_COST, QUALITY, Bandit
from .context import SIZE, Vector
from .decision import MOST_LOG_COST, TARGETS, Evaluator
from .drift import Drift
from .objective import Worth
from .pacing import Account, Sample, accounts
from .slo import ACTED_ON, Slo

PRIOR_OUTCOMES = 20.0
PRIOR_DROPPED = 200
PRIOR_NEEDS = 60
CALIBRATION = 5.0
CALIBRATION_FADING = 0.998
PROBE = 0.04
PROBE_OUTCOMES = 200.0
PROBE_SHARE = 0.15
DIGITS = 3


@dataclass(slots=True)
class Prior:
    """What a track is taken to be before it is known: quality, ln(latency / max), and a price in USD that its costs are measured by."""

    quality: float
    log_latency: float
    price: float

    @classmethod
    def of(cls, track: Track, config: OptimizationConfig) -> "Prior":
        """The prior that a track's settings declare; a track without a price takes the first cost it reports as one."""
        return cls(track.quality, objective.log_latency(track.latency_ms, config), track.typical_cost_usd)


@dataclass(slots=True)
class Calibration:
    """Costs paid against costs predicted: exp of a mean logarithm is too low, and this is by how much."""

    paid: float = 0.0
    predicted: float = 0.0

    def get(self, price: float) -> float:
        """The factor that predictions take."""
        return (self.paid + CALIBRATION * price) / (self.predicted + CALIBRATION * price) if price > 0.0 else 1.0

    def update(self, paid: float, predicted: float) -> None:
        """One cost and its uncalibrated prediction."""
        self.paid = CALIBRATION_FADING * self.paid + paid
        self.predicted = CALIBRATION_FADING * self.predicted + predicted


class Policy:
    """Learns from outcomes; `arms` and `worth` are what it has learned, for `policy.published/1`."""

    def __init__(self, tracks: Sequence[Track], config: OptimizationConfig) -> None:
        self.bandit = Bandit([])
        self.priors: dict[str, Prior] = {}
        self.drifts: dict[str, Drift] = {}
        self.calibrations: dict[str, Calibration] = {}
        self.sample = Sample(SIZE)
        self.accounts = accounts(config.budget)
        self.slos = _slos(config)
        for track in tracks:
            self.add(track, config)

    def add(self, track: Track, config: OptimizationConfig) -> None:
        """A track appears, or its settings have changed and it starts again."""
        if track.name in self.priors:
            self.remove(track.name)
        self.bandit.add(track.name)
        self.priors[track.name] = Prior.of(track, config)
        self.drifts[track.name] = Drift(self.bandit.noise[QUALITY])
        self.calibrations[track.name] = Calibration()

    def remove(self, track: str) -> None:
        """A track is gone."""
        self.bandit.remove(track)
        for table in (self.priors, self.drifts, self.calibrations):
            del table[track]

    def configure(self, config: OptimizationConfig) -> None:
        """Other bounds or budgets hold from here on; what was learned stays, and so do the accounts of budgets that did not change."""
        kept = {(account.kind, account.limit): account for account in self.accounts}
        self.accounts = [kept.get((account.kind, account.limit), account) for account in accounts(config.budget)]
        standing = {slo.objective: slo for slo in self.slos}
        self.slos = [standing.get(slo.objective, slo) for slo in _slos(config)]
        for track in config.tracks:
            self.priors[track.name].log_latency = objective.log_latency(track.latency_ms, config)

    # learning

    def learn(
        self,
        track: str,
        x: Vector,
        predicted: Sequence[float] | None,
        *,
        quality: float | None,
        log_latency: float | None,
        cost_usd: float | None,
        success: float,
    ) -> str | None:
        """One outcome. `predicted` is what the policy in force said of each target; says what the track's drift detector said."""
        prior = self.priors[track]
        if cost_usd and prior.price <= 0.0:
            prior.price = cost_usd
        log_cost = _log_ratio(cost_usd, prior.price) if cost_usd is not None else None
        values = [
            quality - prior.quality if quality is not None else None,
            log_cost,
            log_latency - prior.log_latency if log_latency is not None else None,
            success - 1.0,
        ]
        said = self._judge(track, predicted, values, cost_usd)
        if self.drifts[track].is_shifted:
            values[QUALITY] = None
        self.bandit.learn(track, x, values)
        return said

    def learn_quality(self, track: str, x: Vector, predicted: Sequence[float] | None, quality: float) -> str | None:
        """A judgement that came after its outcome was learned."""
        value = quality - self.priors[track].quality
        said = self._judge(track, predicted, [value, None, None, None], None)
        if not self.drifts[track].is_shifted:
            self.bandit.learn_late(track, x, QUALITY, value)
        return said

    def _judge(self, track: str, predicted: Sequence[float] | None, values: list[float | None], cost_usd: float | None) -> str | None:
        """Hold what the policy in force predicted against what came."""
        if predicted is None:
            return None
        prior, drift = self.priors[track], self.drifts[track]
        offsets = (prior.quality, 0.0, prior.log_latency, 1.0)
        said = None
        for place, value in enumerate(values):
            if value is None:
                continue
            error = value + offsets[place] - predicted[place]
            if place == QUALITY:
                shift = drift.shift
                said = drift.observe(error)
                if said == "adopted":
                    prior.quality += shift
                if said is not None or drift.is_shifted:
                    continue
            self.bandit.observe_error(track, place, error)
        if cost_usd is not None and prior.price > 0.0:
            self.calibrations[track].update(cost_usd, prior.price * math.exp(max(-MOST_LOG_COST, min(MOST_LOG_COST, predicted[LOG_COST]))))
        return said

    # publishing

    def refreshed(
        self, arms: Iterable[PolicyArm], penalties: dict[str, float], admitted: dict[str, float], loads: dict[str, PolicyLoad | None]
    ) -> tuple[PolicyArm, ...]:
        """Coefficients published before, with what is known of health and load now."""
        return tuple(
            arm.model_copy(
                update={"penalty": round(penalties.get(arm.track, 0.0), DIGITS), "admitted": admitted.get(arm.track, 1.0), "load": loads.get(arm.track)}
            )
            for arm in arms
        )

    def arms(self, value: Worth, penalties: dict[str, float], admitted: dict[str, float], loads: dict[str, PolicyLoad | None]) -> tuple[PolicyArm, ...]:
        """The coefficients of every track."""
        allowance = self.allowance()
        bandit, levels = self.bandit, self.bandit.levels
        shares = objective.shares(value)
        found = []
        for track, prior in self.priors.items():
            arm, drift = bandit.arms[track], self.drifts[track]
            weights = np.round(bandit.weights(track, self._marks(track)).astype(np.float64), 6).tolist()
            noise = level = 0.0
            for place, share in shares.items():
                if arm.seen[place] or not bandit.is_silent(place):
                    noise += share * share * bandit.noise[place] * max(arm.count, 1) / max(arm.seen[place], 1)
                    level += (share * bandit.level_spread(track, place)) ** 2
            variance = np.round(noise * arm.ridge.covariance.diagonal().astype(np.float64), 9).tolist()
            offsets = (prior.quality + drift.shift, 0.0, prior.log_latency, 1.0)
            found.append(
                PolicyArm.model_construct(
                    track=track,
                    offsets={name: round(offset + given, 6) for name, offset, given in zip(TARGETS, offsets, levels, strict=True)},
                    weights={name: tuple(row) for name, row in zip(TARGETS, weights, strict=True)},
                    price_usd=short(prior.price * self.calibrations[track].get(prior.price)),
                    penalty=round(penalties.get(track, 0.0), DIGITS),
                    shift=round(drift.shift, 6),
                    variance=tuple(variance),
                    level_variance=round(level, 9),
                    noise={name: round(math.sqrt(arm.noise[place]), 6) for place, name in enumerate(TARGETS)},
                    probe=self._probe(drift, prior, allowance),
                    admitted=admitted.get(track, 1.0),
                    load=loads.get(track),
                )
            )
        return tuple(found)

    def worth(self, value: Worth, config: OptimizationConfig, price: float) -> PolicyWorth:
        """What a unit of each target is worth now. Where a budget is set, money has its shadow price instead of the strategy's."""
        return PolicyWorth(
            quality=value.quality,
            latency=value.latency,
            success=value.success,
            cost=0.0 if self.accounts else value.cost,
            max_cost_usd=config.constraints.max_cost_usd,
            max_latency_ms=config.constraints.max_latency_ms,
            shadow_price=price,
            objectives=tuple(_published(slo, config) for slo in self.slos if slo.price > 0.0),
            switching=value.switching,
        )

    def price(self, evaluator: Evaluator) -> float:
        """The shadow price in utility per USD at which the requests of late would have kept to every budget."""
        sample = self.sample.get()
        if not len(sample) or not self.accounts:
            return max((account.price for account in self.accounts), default=0.0)
        values, spreads, costs = evaluator.tables(sample, self.sample.in_flight())
        probes = np.array([arm.probe for arm in evaluator.policy.arms])
        return max(account.solve(values, spreads, costs, probes, self.sample.gap_s) for account in self.accounts)

    def allowance(self) -> float | None:
        """What one request may cost in the mean under the tightest budget, USD."""
        return min((account.allowance(self.sample.gap_s) for account in self.accounts), default=None)

    def ceiling(self) -> float | None:
        """A request dearer than this is left to exploration, USD."""
        return min((account.ceiling(self.sample.gap_s) for account in self.accounts), default=None)

    def objectives(self) -> dict[str, dict[str, float]]:
        """How every objective that routing can do something for stands, by its name: the share held of late, and the price of breaking it."""
        return {slo.objective.name: {"held": round(slo.held, 6), "price": slo.price} for slo in self.slos}

    def budgets(self, now: float) -> dict[str, dict[str, float]]:
        """How every budget stands: its limit and spending in USD, and the shadow price in utility per USD."""
        return {
            account.kind: {
                "limit_usd": account.limit,
                "mean_usd": round(account.mean, 9),
                "spent_share": round(account.share(now) or 0.0, 6),
                "projected_share": round(account.projected(now, self.sample.gap_s), 6),
                "shadow_price": account.price,
            }
            for account in self.accounts
        }

    def _probe(self, drift: Drift, prior: Prior, allowance: float | None) -> float:
        """How often a track whose level has fallen is tried, so that its return is seen."""
        if not drift.is_shifted:
            return 0.0
        share = PROBE * math.sqrt(PROBE_OUTCOMES / (PROBE_OUTCOMES + drift.since))
        if allowance is not None and prior.price > 0.0:
            share = min(share, PROBE_SHARE * allowance / prior.price)
        return float(f"{share:.4g}")

    def _marks(self, track: str) -> list[float]:
        """The level of a track beside the others; a new one's quality leans on its neighbours in price."""
        bandit = self.bandit
        marks = [bandit.mark(track, target) for target in range(len(TARGETS))]
        count = bandit.arms[track].seen[QUALITY]
        if count < PRIOR_DROPPED and bandit.count > PRIOR_NEEDS:
            neighbours = self._interpolated(track)
            if neighbours is not None:
                lean = PRIOR_OUTCOMES / (PRIOR_OUTCOMES + count)
                marks[QUALITY] += lean * (neighbours - marks[QUALITY])
        return marks

    def _interpolated(self, track: str) -> float | None:
        """The level of quality between the nearest cheaper and dearer known tracks, linear in the logarithm of the price."""
        own = self.priors[track].price
        known = [(self.priors[name].price, name) for name, arm in self.bandit.arms.items() if name != track and arm.seen[QUALITY] >= PRIOR_OUTCOMES]
        if own <= 0.0 or any(price <= 0.0 for price, _ in known) or not known:
            return None
        cheaper = max((entry for entry in known if entry[0] <= own), default=None)
        dearer = min((entry for entry in known if entry[0] > own), default=None)
        if cheaper is None or dearer is None:
            end = cheaper or dearer
            return self.bandit.mark(end[1], QUALITY) if end is not None else None
        share = math.log(own / cheaper[0]) / math.log(dearer[0] / cheaper[0])
        return (1.0 - share) * self.bandit.mark(cheaper[1], QUALITY) + share * self.bandit.mark(dearer[1], QUALITY)

    # state

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values, in parts: one per track, one for what they share, one for money."""
        bandit = self.bandit.snapshot()
        arms = {
            f"arm:{name}": [
                bandit.pop(name),
                [prior.quality, prior.log_latency, prior.price],
                self.drifts[name].snapshot(),
                [self.calibrations[name].paid, self.calibrations[name].predicted],
            ]
            for name, prior in self.priors.items()
        }
        shared = {"bandit": bandit.pop(""), "tracks": list(self.priors)}
        money = [self.sample.snapshot(), [account.snapshot() for account in self.accounts], [slo.snapshot() for slo in self.slos]]
        return arms | {"shared": shared, "money": money}

    @classmethod
    def restore(cls, state: dict[str, Any], config: OptimizationConfig) -> "Policy":
        """The policy that left this snapshot."""
        policy = cls((), config)
        rows = {name: state[f"arm:{name}"] for name in state["shared"]["tracks"]}
        policy.bandit = Bandit.restore(state["shared"]["bandit"], {name: row[0] for name, row in rows.items()})
        for name, (_, prior, drift, calibration) in rows.items():
            policy.priors[name], policy.drifts[name], policy.calibrations[name] = Prior(*prior), Drift.restore(drift), Calibration(*calibration)
        policy.sample = Sample.restore(state["money"][0], SIZE)
        policy.accounts = [Account.restore(account) for account in state["money"][1]]
        policy.slos = [Slo.restore(slo) for slo in state["money"][2]]
        return policy


def _slos(config: OptimizationConfig) -> list[Slo]:
    """Those that routing can do something for: what a policy says of an objective holds for every track and category."""
    return [Slo(one) for one in config.objectives if one.metric in ACTED_ON and one.track is None and one.category is None]


def _published(slo: Slo, config: OptimizationConfig) -> PolicyObjective:
    """An objective in the units of the policy's targets."""
    metric, bound = slo.objective.metric, slo.objective.bound
    price = float(f"{slo.price:.4g}")
    if metric == "latency_ms":
        return PolicyObjective(target="log_latency", bound=round(objective.log_latency(bound, config), 6), is_floor=False, price=price)
    if metric == "cost_usd":
        return PolicyObjective(target="log_cost", bound=round(math.log(max(bound, 1e-12)), 6), is_floor=False, price=price)
    return PolicyObjective(target="success" if metric == "success" else "quality", bound=bound, is_floor=True, price=price)


def _log_ratio(cost: float, price: float) -> float:
    """ln(cost / price), a cost of nothing as far below as counts."""
    if price <= 0.0:
        return 0.0
    return math.log(min(max(cost / price, math.exp(-MOST_LOG_COST)), math.exp(MOST_LOG_COST)))
