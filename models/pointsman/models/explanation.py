"""Why a request went where it went: the published policy evaluated once more, in the units that people know, and taken apart.

The utility of a track is the sum of its `parts`. The difference between two tracks is the sum of `Difference.parts`: groups of features through
what they say of quality, latency, success and cost, and what does not depend on the request. Cost enters not linearly but as g(sum of contributions to
ln c); each group gets its share of g by Aumann and Shapley (1974), which for such a function is in proportion to its contribution.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pointsman.schemas import PolicyObjective, PolicyPublished, PolicyTarget, PolicyWorth

from .bandit import LOG_COST, LOG_LATENCY, QUALITY, SUCCESS
from .choice import OPTIMISM
from .context import FEATURES, Context, Vector
from .counterfactual import Counterfactual, Traffic, best_of, counterfactuals, without_objectives
from .decision import MOST_LOG_COST, TARGETS, Evaluator, Expected, uniform
from .policy import Policy

LEVEL = 0.95
_Z = 1.959964

Doubts = dict[str, tuple[Vector, list[float | None], list[float]]]


@dataclass(frozen=True, slots=True)
class Value:
    """An expected value with its 95 % interval; without one where nobody has reported this yet, and it is the configured prior."""

    mean: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class TrackExplained:
    """One track: what was expected of it, what that was worth, and the range of the draw that it had."""

    track: str
    quality: Value
    latency_ms: Value
    success: Value
    cost_usd: Value
    utility: float
    spread: float
    parts: dict[str, float]
    penalty: float
    admitted: float
    shift: float
    probe: float
    held_by: str | None
    running: int | None
    propensity: float
    draw_from: float
    draw_to: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The utility of `track` less that of `against`, by what it comes from, the largest first."""

    track: str
    against: str
    utility: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision under one published policy."""

    policy_version: int
    strategy: str
    mode: str
    best: str
    drawn: str
    draw: float
    shadow_price: float
    ceiling_usd: float | None
    hard_ceiling_usd: float | None
    objectives: list[dict[str, float | str]]
    groups: dict[str, float]
    tracks: list[TrackExplained]
    difference: Difference | None
    counterfactuals: list[Counterfactual]


def doubts(learner: Policy) -> Doubts:
    """How unsure a learner is of each track's targets: the covariance's diagonal, a noise per target (None where unreported), and the level's deviation."""
    bandit, found = learner.bandit, Doubts()
    for track, arm in bandit.arms.items():
        places = range(len(TARGETS))
        noise = [bandit.noise[place] * max(arm.count, 1) / max(arm.seen[place], 1) if bandit.levels_seen[place] else None for place in places]
        found[track] = arm.ridge.covariance.diagonal().astype(np.float64), noise, [bandit.level_spread(track, place) for place in places]
    return found


def explain(policy: PolicyPublished, context: Context, scope: str, request_id: str, taken: str | None, sure: Doubts, traffic: Traffic) -> Explained:
    """Evaluate a policy for one request. `taken` is the track that the request took, if that is known; `traffic` is that of late."""
    evaluator = Evaluator(policy)
    decision = evaluator.decide(context, scope, request_id)
    expected = evaluator.expected(context)
    breaches = _breaches(policy, context, expected)
    best = best_of(policy, context)
    x = context.vector()
    tracks, reached = [], 0.0
    for arm in policy.arms:
        share, one = decision.propensities[arm.track], expected[arm.track]
        spreads = _spreads(sure.get(arm.track), x, one.spread, policy)
        tracks.append(
            TrackExplained(
                track=arm.track,
                quality=_linear(one.quality, spreads[QUALITY]),
                latency_ms=_exponential(policy.worth.max_latency_ms * math.exp(one.log_latency), spreads[LOG_LATENCY]),
                success=_linear(one.success, spreads[SUCCESS]),
                cost_usd=_exponential(one.cost_usd, spreads[LOG_COST]),
                utility=decision.utilities[arm.track],
                spread=one.spread,
                parts=_parts(policy, one, breaches[arm.track], context.previous not in (None, arm.track)),
                penalty=arm.penalty,
                admitted=arm.admitted,
                shift=arm.shift,
                probe=arm.probe,
                held_by=_held(policy, arm.admitted, one.cost_usd, decision.propensities[arm.track]),
                running=dict(context.running).get(arm.track, arm.load.running) if arm.load is not None else None,
                propensity=share,
                draw_from=round(reached, 9),
                draw_to=round(min(reached + share, 1.0), 9),
            )
        )
        reached += share
    first = taken if taken in expected else decision.track
    others = [name for name in expected if name != first]
    rival = best if first != best else max(others, key=lambda name: decision.utilities[name], default=None)
    return Explained(
        policy_version=policy.version,
        strategy=policy.strategy,
        mode=policy.mode,
        best=best,
        drawn=decision.track,
        draw=uniform(scope, request_id, policy.version),
        shadow_price=policy.worth.shadow_price,
        ceiling_usd=policy.ceiling_usd,
        hard_ceiling_usd=policy.hard_ceiling_usd,
        objectives=[_objective(one, policy.worth) for one in policy.worth.objectives],
        groups=sizes(x),
        tracks=tracks,
        difference=_difference(policy, context, x, expected, breaches, first, rival) if rival is not None else None,
        counterfactuals=counterfactuals(policy, context, traffic),
    )


def group_of(feature: str) -> str:
    """The name under which a feature is shown: `words_3` is one of `words`."""
    name, _, last = feature.rpartition("_")
    return name if last.isdecimal() or (len(last) == 1 and name) else feature


_GROUPS = [group_of(feature) for feature in FEATURES]


def sizes(x: Vector) -> dict[str, float]:
    """The Euclidean length of every group of features, as the policy sees them; a single feature keeps its sign."""
    squares: dict[str, float] = {}
    for group, value in zip(_GROUPS, x.tolist(), strict=True):
        squares[group] = squares.get(group, 0.0) + value * value
    single = {group: value for group, value in zip(_GROUPS, x.tolist(), strict=True) if _GROUPS.count(group) == 1}
    return {group: round(single.get(group, math.sqrt(total)), 6) for group, total in squares.items() if group != "constant"}


def _spreads(sure: tuple[Vector, list[float | None], list[float]] | None, x: Vector, published: float, policy: PolicyPublished) -> list[float | None]:
    """The deviation of each target's expectation, brought to the spread of the utility that the policy was published with."""
    if sure is None:
        return [None] * len(TARGETS)
    diagonal, noise, levels = sure
    along = float(np.add.reduce(diagonal * x * x))
    found = [math.sqrt(max(given * along, 0.0) + level * level) if given is not None else None for given, level in zip(noise, levels, strict=True)]
    worth = {QUALITY: policy.worth.quality, LOG_LATENCY: policy.worth.latency, SUCCESS: policy.worth.success}
    now = math.sqrt(sum((share * (found[place] or 0.0)) ** 2 for place, share in worth.items()))
    scale = published / now if now > 0.0 else 1.0
    return [None if deviation is None else deviation * scale for deviation in found]


def _linear(mean: float, spread: float | None) -> Value:
    """A share: its interval stays within 0 and 1 where its mean does."""
    if spread is None:
        return Value(mean)
    return Value(mean, max(mean - _Z * spread, min(mean, 0.0)), min(mean + _Z * spread, max(mean, 1.0)))


def _exponential(mean: float, spread: float | None) -> Value:
    return Value(mean) if spread is None else Value(mean, mean * math.exp(-_Z * spread), mean * math.exp(_Z * spread))


def _parts(policy: PolicyPublished, one: Expected, breach: float, is_switch: bool) -> dict[str, float]:
    """What the utility of a track is the sum of."""
    worth = policy.worth
    return {
        "quality": worth.quality * one.quality,
        "latency": -worth.latency * one.log_latency,
        "success": worth.success * one.success,
        "cost": -worth.cost * math.log1p(one.cost_usd / worth.max_cost_usd) - worth.shadow_price * one.cost_usd,
        "penalty": -one.penalty,
        "objectives": -breach,
        "switching": -worth.switching if is_switch else 0.0,
        "optimism": OPTIMISM * one.spread,
    }


def _held(policy: PolicyPublished, admitted: float, cost: float, propensity: float) -> str | None:
    """What keeps a track from being chosen by its utility, if anything does."""
    if admitted <= 0.0:
        return "health" if propensity == 0.0 else None
    if policy.hard_ceiling_usd is not None and cost > policy.hard_ceiling_usd:
        return "hard budget" if propensity == 0.0 else None
    if policy.ceiling_usd is not None and cost > policy.ceiling_usd:
        return "ceiling"
    return "recovery" if admitted < 1.0 else None


def _objective(one: PolicyObjective, worth: PolicyWorth) -> dict[str, float | str]:
    """An objective that is being broken, in the units of its metric."""
    names = {"log_latency": "latency_ms", "log_cost": "cost_usd", "success": "success", "quality": "quality"}
    units = {"log_latency": worth.max_latency_ms * math.exp(min(one.bound, 50.0)), "log_cost": math.exp(min(one.bound, 50.0))}
    return {"metric": names[one.target], "bound": units.get(one.target, one.bound), "price": one.price}


def _breaches(policy: PolicyPublished, context: Context, expected: Mapping[str, Expected]) -> dict[str, float]:
    """What the chance of breaking an objective costs each track, in utility."""
    if not policy.worth.objectives:
        return dict.fromkeys(expected, 0.0)
    free = Evaluator(without_objectives(policy)).expected(context)
    return {track: free[track].utility - one.utility for track, one in expected.items()}


def _difference(
    policy: PolicyPublished, context: Context, x: Vector, expected: Mapping[str, Expected], breaches: Mapping[str, float], track: str, against: str
) -> Difference:
    own, other = (_contributions(policy, x, name, expected[name]) for name in (track, against))
    parts = {group: own[group] - other[group] for group in own}
    for name in ("penalty", "objectives", "switching", "optimism"):
        one, two = (_parts(policy, expected[place], breaches[place], context.previous not in (None, place))[name] for place in (track, against))
        parts[name] = one - two
    ordered = sorted(((name, value) for name, value in parts.items() if abs(value) > 1e-9), key=lambda item: -abs(item[1]))
    return Difference(track, against, expected[track].utility - expected[against].utility, dict(ordered))


def _contributions(policy: PolicyPublished, x: Vector, track: str, one: Expected) -> dict[str, float]:
    """Per group of features its part in a track's utility; `level` is what the track has for any request, `load` the latency of one that slows down."""
    worth, arm = policy.worth, next(arm for arm in policy.arms if arm.track == track)
    linear: dict[PolicyTarget, Vector] = {target: np.asarray(arm.weights[target]) * x for target in TARGETS}
    slow = 0.0 if arm.load is not None else worth.latency
    values = worth.quality * linear["quality"] - slow * linear["log_latency"] + worth.success * linear["success"]
    ratios = linear["log_cost"]
    constant = FEATURES.index("constant")
    start, whole = arm.offsets["log_cost"] + float(ratios[constant]), float(np.add.reduce(ratios) - ratios[constant])

    def money(ratio: float) -> float:
        cost = arm.price_usd * math.exp(max(-MOST_LOG_COST, min(MOST_LOG_COST, ratio)))
        return worth.shadow_price * cost + worth.cost * math.log1p(cost / worth.max_cost_usd)

    step = whole if abs(whole) > 1e-6 else 1e-6
    slope = (money(start + step) - money(start)) / step
    found: dict[str, float] = {"load": (slow - worth.latency) * one.log_latency}
    for group, value, ratio in zip(_GROUPS, values.tolist(), ratios.tolist(), strict=True):
        name = "level" if group == "constant" else group
        found[name] = found.get(name, 0.0) + value - (0.0 if group == "constant" else slope * ratio)
    offsets = worth.quality * arm.offsets["quality"] - slow * arm.offsets["log_latency"] + worth.success * arm.offsets["success"]
    found["level"] += offsets - money(start)
    return found


__all__ = ["LEVEL", "Difference", "Doubts", "Explained", "TrackExplained", "Value", "doubts", "explain", "group_of", "sizes"]
