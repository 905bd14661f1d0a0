"""Counterfactuals of a decision: how far one number would have to be from what it was for another track to be the best.

Each follows from the published formula (`decision.py`) in closed form, and is then checked: the policy with that number changed is evaluated
again on both sides, `MARGIN` of utility away, and must have the one track as its best before and the other one after.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from pointsman.schemas import PolicyArm, PolicyPublished, PolicyTarget, PolicyWorth

from .choice import expected_cost
from .context import Context, Vector
from .decision import Evaluator, Expected

MARGIN = 1e-7
_HALVINGS = 100
_MOST_RUNNING = 4096

What = Literal[
    "quality",
    "latency_ms",
    "success",
    "cost_usd",
    "penalty",
    "running",
    "shadow_price",
    "ceiling_usd",
    "hard_ceiling_usd",
    "admitted",
    "conversation",
    "objectives",
]
Traffic = tuple[Vector, Mapping[str, Sequence[int]]]
Build = Callable[[float], PolicyPublished]
Solve = Callable[[float], float | None]


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """`best` would be the best track were `what` (of `track`, where it is a track's) beyond `needed` instead of `now`; None where no value would do.

    `side` says on which side of a shadow price that is, `budget_usd` what requests like the last ones cost in the mean at that price, USD.
    """

    what: What
    track: str | None
    now: float | None
    needed: float | None
    best: str
    side: Literal["above", "below"] | None = None
    budget_usd: float | None = None


def best_of(policy: PolicyPublished, context: Context) -> str:
    """The track that a policy thinks best of those that may be taken."""
    standing = Evaluator(policy).standing(context)
    return max(standing, key=standing.__getitem__)


def counterfactuals(policy: PolicyPublished, context: Context, traffic: Traffic | None = None) -> list[Counterfactual]:
    """What would have made another track the best. `traffic` has the features of recent requests, shape (requests, features), and what ran then by track."""
    evaluator = Evaluator(policy)
    standing = evaluator.standing(context)
    if policy.mode == "bypass" or len(evaluator.tracks) < 2:
        return []
    best = max(standing, key=standing.__getitem__)
    found = _of_money(policy, context, best, traffic)
    others = [track for track in standing if track != best]
    if others:
        rival = max(others, key=standing.__getitem__)
        found = _of_rival(policy, context, best, rival) + found
    return (
        found
        + _of_load(policy, context, best)
        + _of_limits(policy, context, best)
        + _of_conversation(policy, context, best)
        + _of_objectives(policy, context, best)
    )


def _of_rival(policy: PolicyPublished, context: Context, best: str, rival: str) -> list[Counterfactual]:
    """How good, quick, sound or cheap the runner-up would have to be, everything else as it was."""
    worth = policy.worth
    arm = next(arm for arm in policy.arms if arm.track == rival)
    every = Evaluator(policy).expected(context)
    expected, gap = every[rival], every[best].utility - every[rival].utility
    latency = worth.max_latency_ms * math.exp(expected.log_latency)

    def cheaper(by: float) -> float | None:
        needed, limit = _cost_for(worth, expected.cost_usd, by), policy.ceiling_usd
        if needed is None or limit is None or expected.cost_usd <= limit:
            return needed
        return min(needed, limit * (1.0 + (1e-9 if by < gap else 0.0)))

    rows: list[tuple[What, float, Solve, Build, float]] = [
        ("quality", expected.quality, _linear(expected.quality, worth.quality), _shifted(policy, arm, "quality", expected), 1.0),
        ("latency_ms", latency, _scaled(latency, worth.latency), lambda ms: _slowed(policy, arm, ms / latency), math.inf),
        ("success", expected.success, _linear(expected.success, worth.success), _shifted(policy, arm, "success", expected), 1.0),
        ("cost_usd", expected.cost_usd, cheaper, lambda usd: _with_arm(policy, rival, price_usd=arm.price_usd * usd / expected.cost_usd), math.inf),
    ]
    if arm.penalty > 0.0:
        rows.append(("penalty", arm.penalty, lambda by: arm.penalty - by if by <= arm.penalty else None, _penalised(policy, rival), math.inf))
    found = []
    for what, now, given, build, most in rows:
        solve = given if not worth.objectives or what == "penalty" else _searched(context, rival, what, now, expected.utility, build)
        needed, before, after = solve(gap), solve(gap - MARGIN), solve(gap + MARGIN)
        is_checked = (
            needed is not None
            and before is not None
            and after is not None
            and needed <= most
            and best_of(build(before), context) == best
            and best_of(build(after), context) == rival
        )
        found.append(Counterfactual(what, rival, now, needed if is_checked else None, rival))
    return found


def _searched(context: Context, rival: str, what: What, now: float, utility: float, build: Build) -> Solve:
    """Where objectives have a price the utility has no closed inverse; it rises all the way from a bad value to the best one, so that is halved."""

    def at(share: float) -> float:
        if what == "latency_ms":
            return now * math.exp(2.0 - 22.0 * share)
        return 2.0 * now * (1.0 - share) if what == "cost_usd" else now - 1.0 + share * (max(now, 1.0) + 1.0 - now)

    def reaches(share: float, by: float) -> bool:
        evaluator = Evaluator(build(at(share)))
        return evaluator.evaluate(context.vector(), context)[0][evaluator.tracks.index(rival)] >= utility + by

    def solve(by: float) -> float | None:
        if now == 0.0 or not reaches(1.0, by):
            return None
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS // 2):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if reaches(middle, by) else (middle, high)
        return at(high)

    return solve


def _linear(now: float, weight: float) -> Solve:
    return lambda by: now + by / weight if weight > 0.0 else None


def _scaled(now: float, weight: float) -> Solve:
    return lambda by: now * math.exp(-by / weight) if weight > 0.0 and by / weight < 100.0 else None


def _cost_for(worth: PolicyWorth, now: float, by: float) -> float | None:
    """The cost whose weight is less by this much; None where not even a free answer would do."""

    def weight(cost: float) -> float:
        return worth.shadow_price * cost + worth.cost * math.log1p(cost / worth.max_cost_usd)

    if now <= 0.0 or weight(now) <= by:
        return None
    low, high = 0.0, now if by >= 0.0 else 2.0 * now
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if weight(middle) < weight(now) - by else (low, middle)
    return high


def _shifted(policy: PolicyPublished, arm: PolicyArm, target: PolicyTarget, expected: Expected) -> Build:
    now = float(getattr(expected, target))
    return lambda value: _offset(policy, arm, target, value - now)


def _penalised(policy: PolicyPublished, track: str) -> Build:
    return lambda value: _with_arm(policy, track, penalty=value)


def _offset(policy: PolicyPublished, arm: PolicyArm, target: PolicyTarget, by: float) -> PolicyPublished:
    return _with_arm(policy, arm.track, offsets={**arm.offsets, target: arm.offsets[target] + by})


def _slowed(policy: PolicyPublished, arm: PolicyArm, factor: float) -> PolicyPublished:
    if arm.load is None:
        return _offset(policy, arm, "log_latency", math.log(factor))
    seconds = {name: factor * getattr(arm.load, name) for name in ("constant_s", "per_token_s", "per_token_running_s")}
    return _with_arm(policy, arm.track, load=arm.load.model_copy(update=seconds))


def _with_arm(policy: PolicyPublished, track: str, **update: Any) -> PolicyPublished:
    return policy.model_copy(update={"arms": tuple(arm.model_copy(update=update) if arm.track == track else arm for arm in policy.arms)})


def _with_price(policy: PolicyPublished, price: float) -> PolicyPublished:
    """The policy under a budget of this shadow price: money then has that price instead of the strategy's weight."""
    return policy.model_copy(update={"worth": policy.worth.model_copy(update={"shadow_price": max(price, 0.0), "cost": 0.0})})


def _of_money(policy: PolicyPublished, context: Context, best: str, traffic: Traffic | None) -> list[Counterfactual]:
    """The nearest shadow price above, and below, at which a dearer or a cheaper track would be the best."""
    is_budgeted = policy.worth.cost == 0.0
    now = policy.worth.shadow_price
    free = _with_price(policy, 0.0)
    evaluator = Evaluator(free)
    utilities, _, costs = evaluator.evaluate(context.vector(), context)
    own = evaluator.tracks.index(best)
    found: list[Counterfactual] = []
    for place in range(len(evaluator.tracks)):
        dearer = costs[own] - costs[place]
        if place == own or abs(dearer) < 1e-15:
            continue
        price, step = (utilities[own] - utilities[place]) / dearer, MARGIN / abs(dearer)
        if price - step < 0.0:
            continue
        below, above = best_of(_with_price(policy, price - step), context), best_of(_with_price(policy, price + step), context)
        if (below == best) != (above == best):
            other = above if below == best else below
            spent = _mean_cost(evaluator, traffic, price)
            side: Literal["above", "below"] = "above" if below == best else "below"
            found.append(Counterfactual("shadow_price", None, now if is_budgeted else None, price, other, side, spent))
    return found


def _mean_cost(evaluator: Evaluator, traffic: Traffic | None, price: float) -> float | None:
    if traffic is None or not len(traffic[0]):
        return None
    values, spreads, costs = evaluator.tables(*traffic)
    return expected_cost(values, spreads, costs, np.array([arm.probe for arm in evaluator.policy.arms]), price)


def _of_load(policy: PolicyPublished, context: Context, best: str) -> list[Counterfactual]:
    """How many requests in flight would take the lead from a track that slows down under load, or how few would give it the lead."""
    found = []
    known = dict(context.running)
    for arm in policy.arms:
        if arm.load is None:
            continue
        now = known.get(arm.track, arm.load.running)

        def leads(running: int, track: str = arm.track) -> bool:
            return best_of(policy, replace(context, running=tuple((known | {track: running}).items()))) == track

        if arm.track == best and not leads(_MOST_RUNNING):
            needed = _first(lambda running: not leads(running), now + 1, _MOST_RUNNING)
            other = best_of(policy, replace(context, running=tuple((known | {arm.track: needed}).items())))
            found.append(Counterfactual("running", arm.track, now, needed, other, "above"))
        elif arm.track != best and now > 0 and leads(0):
            found.append(Counterfactual("running", arm.track, now, _first(lambda running: not leads(running), 1, now) - 1, arm.track, "below"))
    return found


def _first(is_so: Callable[[int], bool], low: int, high: int) -> int:
    """The smallest whole number for which it is so, given that it is for `high` and all above the answer."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_so(middle) else (middle + 1, high)
    return low


def _of_limits(policy: PolicyPublished, context: Context, best: str) -> list[Counterfactual]:
    """The tracks that would be the best were they not held back by health or by what a single request may cost."""
    found = []
    evaluator = Evaluator(policy)
    _, _, costs = evaluator.evaluate(context.vector(), context)
    for arm, cost in zip(policy.arms, costs, strict=True):
        if arm.admitted <= 0.0 and best_of(_with_arm(policy, arm.track, admitted=1.0), context) == arm.track != best:
            found.append(Counterfactual("admitted", arm.track, arm.admitted, 1.0, arm.track))
        limits: tuple[tuple[What, float | None], ...] = (("ceiling_usd", policy.ceiling_usd), ("hard_ceiling_usd", policy.hard_ceiling_usd))
        for what, limit in limits:
            if limit is not None and cost > limit and best_of(policy.model_copy(update={what: cost}), context) == arm.track != best:
                found.append(Counterfactual(what, arm.track, limit, cost, arm.track))
    return found


def _of_conversation(policy: PolicyPublished, context: Context, best: str) -> list[Counterfactual]:
    """Whether the track of the conversation so far made the difference."""
    if context.previous is None:
        return []
    fresh = best_of(policy, replace(context, previous=None))
    return [Counterfactual("conversation", context.previous, None, None, fresh)] if fresh != best else []


def without_objectives(policy: PolicyPublished) -> PolicyPublished:
    """The policy were no objective being broken."""
    return policy.model_copy(update={"worth": policy.worth.model_copy(update={"objectives": ()})})


def _of_objectives(policy: PolicyPublished, context: Context, best: str) -> list[Counterfactual]:
    """Whether the price of objectives that are being broken made the difference."""
    other = best_of(without_objectives(policy), context) if policy.worth.objectives else best
    return [Counterfactual("objectives", None, None, None, other)] if other != best else []


__all__ = ["MARGIN", "Counterfactual", "Traffic", "What", "best_of", "counterfactuals", "without_objectives"]
