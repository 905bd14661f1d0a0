"""Evaluating a published policy: the same few lines in the core and in every router, so that both decide alike.

Per track: utility = quality·q + success·s - latency·l - penalty - cost·ln(1 + c / max_cost) - shadow_price·c + spread / 2, with q, s, l and ln c linear in
the features x of the request and spread² = variance · x² + level_variance. `choice.py` turns utilities and spreads into probabilities.
"""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pointsman.schemas import PolicyLoad, PolicyPublished, PolicyTarget, PolicyWorth

from .arrays import short
from .choice import LOGISTIC, OPTIMISM, probabilities
from .context import FEATURES_NAME, LENGTH, Context, Vector
from .load import seconds

MOST_LOG_COST = 6.0
UNKNOWN = 3.0
TARGETS: tuple[PolicyTarget, ...] = ("quality", "log_cost", "log_latency", "success")


@dataclass(frozen=True, slots=True)
class Decision:
    """A drawn track with the probability of that draw, and what the other tracks had."""

    track: str
    propensity: float
    propensities: dict[str, float]
    utilities: dict[str, float]
    policy_version: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What a policy expects of one request on one track: `log_latency` is ln(latency / max_latency_ms), `spread` that of the utility."""

    quality: float
    log_latency: float
    success: float
    cost_usd: float
    penalty: float
    utility: float
    spread: float


def uniform(scope: str, request_id: str, version: int) -> float:
    """The draw of a request, uniform on [0, 1): the same wherever and whenever it is asked for."""
    digest = hashlib.blake2b(f"{scope}\0{request_id}\0{version}".encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


class Evaluator:
    """Decides by one published policy; holds no other state. Raises `ValueError` for features of another version."""

    _linear: Vector
    _targets: Vector
    _variance: Vector

    def __init__(self, policy: PolicyPublished, last: "Evaluator | None" = None) -> None:
        """`last` lends its tables where its policy has the same coefficients."""
        if policy.features != FEATURES_NAME:
            raise ValueError(f"the policy is for features {policy.features!r}, this version knows {FEATURES_NAME!r}: upgrade the older side")
        self.policy = policy
        self.tracks = [arm.track for arm in policy.arms]
        worth, arms = policy.worth, policy.arms
        self._loads = [(place, arm.load) for place, arm in enumerate(arms) if arm.load is not None]
        self._max_ms = worth.max_latency_ms
        self._probes = [arm.probe for arm in arms]
        self._constants = [(arm.track, arm.price_usd, arm.level_variance) for arm in arms]
        self._admitted = [place for place, arm in enumerate(arms) if arm.admitted > 0.0] or list(range(len(arms)))
        self._partial = {arm.track: arm.admitted for arm in arms if 0.0 < arm.admitted < 1.0}
        self._places = {track: place for place, track in enumerate(self.tracks)}
        self._log_costs = [arm.offsets["log_cost"] for arm in arms]
        self._offsets = [_worth_of(arm.offsets, worth) - arm.penalty for arm in arms]
        for place, _ in self._loads:  # a track that slows down under load has its latency from there
            self._offsets[place] += worth.latency * arms[place].offsets["log_latency"]
        if last is not None and self._has_tables_of(last):
            self._linear, self._variance, self._targets = last._linear, last._variance, last._targets
            return
        shape = (len(arms), -1)
        quality, costs, latency, success = (np.array([arm.weights[name] for arm in arms]).reshape(shape) for name in TARGETS)
        values = worth.quality * quality - worth.latency * latency + worth.success * success
        for place, _ in self._loads:
            values[place] += worth.latency * latency[place]
        self._linear = np.concatenate([values, costs])
        self._targets = np.stack([quality, costs, latency, success], axis=1)
        self._variance = np.array([arm.variance for arm in arms]).reshape(shape)

    def _has_tables_of(self, last: "Evaluator") -> bool:
        one, other = self.policy, last.policy
        if self.tracks != last.tracks or (one.strategy, one.worth.quality, one.worth.latency) != (other.strategy, other.worth.quality, other.worth.latency):
            return False
        if [place for place, _ in self._loads] != [place for place, _ in last._loads]:
            return False
        return all(arm.weights is before.weights for arm, before in zip(one.arms, other.arms, strict=True))

    def decide(self, context: Context, scope: str, request_id: str) -> Decision:
        """Draw a track for one request."""
        propensities, utilities = self.propensities(context)
        draw = uniform(scope, request_id, self.policy.version)
        reached = 0.0
        for name, share in propensities.items():
            reached += share
            if draw < reached:
                track = name
                break
        else:
            track = max(propensities, key=propensities.__getitem__) if propensities else self.policy.default_track
        return Decision(track, propensities.get(track, 1.0), propensities, utilities, self.policy.version)

    def propensities(self, context: Context) -> tuple[dict[str, float], dict[str, float]]:
        """Per track the probability with which it is drawn, and its utility."""
        if not self.tracks:
            return {}, {}
        utilities, spreads, costs = self.evaluate(context.vector(), context)
        named = dict(zip(self.tracks, utilities, strict=True))
        if self.policy.mode == "bypass":
            return {track: float(track == self.policy.default_track) for track in self.tracks}, named
        places = self._open(costs)
        chosen = self._affordable(places, utilities, costs)
        shares = probabilities([chosen[place] for place in places], [spreads[place] for place in places], [self._probes[place] for place in places])
        found = dict.fromkeys(self.tracks, 0.0)
        for place, share in zip(places, shares, strict=True):
            found[self.tracks[place]] = share
        return self._admit(found, chosen), named

    def evaluate(self, x: Vector, context: Context) -> tuple[list[float], list[float], list[float]]:
        """Per track the utility, its spread, and the expected cost in USD, of a request with features x."""
        worth, count, previous = self.policy.worth, len(self.tracks), context.previous
        loaded = dict(self._log_latencies(context)) if self._loads else {}
        linear = np.add.reduce(self._linear * x, axis=1).tolist()
        variances = np.add.reduce(self._variance * (x * x), axis=1).tolist()
        utilities, spreads, costs = [], [], []
        price_of_money, strategys_own, switching, objectives = worth.shadow_price, worth.cost, worth.switching, worth.objectives
        for place, (track, price, level_variance) in enumerate(self._constants):
            ratio = self._log_costs[place] + linear[count + place]
            cost = price * math.exp(ratio if -MOST_LOG_COST < ratio < MOST_LOG_COST else math.copysign(MOST_LOG_COST, ratio))
            variance = variances[place]
            spread = math.sqrt(variance + level_variance if variance > 0.0 else level_variance)
            utility = self._offsets[place] + linear[place] + OPTIMISM * spread - price_of_money * cost
            if strategys_own:
                utility -= strategys_own * math.log1p(cost / worth.max_cost_usd)
            if previous is not None and previous != track:
                utility -= switching
            if place in loaded:
                utility -= worth.latency * loaded[place]
            if objectives:
                utility -= self._breach(place, x, loaded.get(place), math.log(max(cost, 1e-12)))
            utilities.append(round(utility, 9))
            spreads.append(spread)
            costs.append(cost)
        return utilities, spreads, costs

    def targets(self, track: str, x: Vector) -> list[float] | None:
        """What this policy expects of each of `bandit.TARGETS` on one track, its shift of level left out; None for a track it does not know."""
        place = self._places.get(track)
        if place is None:
            return None
        arm = self.policy.arms[place]
        linear: list[float] = np.add.reduce(self._targets[place] * x, axis=1).tolist()
        found = [arm.offsets[name] + value for name, value in zip(TARGETS, linear, strict=True)]
        found[0] -= arm.shift
        return found

    def _breach(self, place: int, x: Vector, log_latency: float | None, log_cost: float) -> float:
        """What the probabilities of breaking objectives cost on one track; `log_latency` is that under load, where that is known."""
        arm, total = self.policy.arms[place], 0.0
        expected = dict(zip(TARGETS, np.add.reduce(self._targets[place] * x, axis=1).tolist(), strict=True))
        for objective in self.policy.worth.objectives:
            mean = arm.offsets[objective.target] + expected[objective.target]
            if objective.target == "log_cost":
                mean = log_cost
            elif objective.target == "log_latency" and log_latency is not None:
                mean = log_latency
            if objective.target == "success":
                share = min(max(1.0 - mean, 0.0), 1.0)
            else:
                beyond = (objective.bound - mean if objective.is_floor else mean - objective.bound) / arm.noise[objective.target]
                share = 1.0 / (1.0 + math.exp(-LOGISTIC * min(beyond, 60.0))) if beyond > -60.0 / LOGISTIC else 0.0
            total += objective.price * share
        return total

    def _log_latencies(self, context: Context) -> Iterator[tuple[int, float]]:
        """ln(latency / max) of the tracks that slow down under load; e^3 times as much beyond the load that was lived through."""
        length = math.log1p(context.input_tokens or 0)
        known = dict(context.running)
        for place, load in self._loads:
            running = known.get(self.tracks[place], load.running)
            yield place, _log_latency(load, length, running, self._max_ms)

    def tables(self, sample: Vector, running: Mapping[str, Sequence[int]]) -> tuple[Vector, Vector, Vector]:
        """For many requests (rows) and tracks (columns): utility before money has a price, spread, and cost in USD.

        `running` has the number in flight at each request, by track.
        """
        policy, count = self.policy, len(self.tracks)
        linear = np.add.reduce(sample[:, None, :] * self._linear, axis=2)
        ratios = np.clip(linear[:, count:] + np.array(self._log_costs), -MOST_LOG_COST, MOST_LOG_COST)
        costs = np.array([arm.price_usd for arm in policy.arms]) * np.exp(ratios)
        variances = np.add.reduce((sample * sample)[:, None, :] * self._variance, axis=2)
        spreads = np.sqrt(np.maximum(variances, 0.0) + np.array([arm.level_variance for arm in policy.arms]))
        values = linear[:, :count] + np.array(self._offsets) + OPTIMISM * spreads
        for place, load in self._loads:
            lengths, flying = (8.0 * sample[:, LENGTH]).tolist(), running.get(self.tracks[place], [load.running] * len(sample))
            found = [_log_latency(load, length, many, self._max_ms) for length, many in zip(lengths, flying, strict=True)]
            values[:, place] -= policy.worth.latency * np.array(found)
        return values, spreads, costs

    def expected(self, context: Context) -> dict[str, Expected]:
        """What the policy expects of a request, track by track, for people who want to know why."""
        x = context.vector()
        utilities, spreads, costs = self.evaluate(x, context)
        loaded = dict(self._log_latencies(context))
        found = {}
        for place, arm in enumerate(self.policy.arms):
            linear: list[float] = np.add.reduce(self._targets[place] * x, axis=1).tolist()
            quality, _, latency, success = (arm.offsets[name] + value for name, value in zip(TARGETS, linear, strict=True))
            found[arm.track] = Expected(quality, loaded.get(place, latency), success, costs[place], arm.penalty, utilities[place], spreads[place])
        return found

    def standing(self, context: Context) -> dict[str, float]:
        """The utilities that the draw goes by: of the tracks that health and a hard budget leave open, one that is too dear behind the others."""
        utilities, _, costs = self.evaluate(context.vector(), context)
        places = self._open(costs)
        chosen = self._affordable(places, utilities, costs)
        return {self.tracks[place]: chosen[place] for place in places}

    def _open(self, costs: list[float]) -> list[int]:
        """The tracks that health admits and a hard budget can pay; where none is left, the cheapest of those admitted."""
        ceiling = self.policy.hard_ceiling_usd
        if ceiling is None:
            return self._admitted
        return [place for place in self._admitted if costs[place] <= ceiling] or [min(self._admitted, key=costs.__getitem__)]

    def _affordable(self, places: list[int], utilities: list[float], costs: list[float]) -> list[float]:
        """Under a soft budget a track that is too dear for this moment falls behind every other and keeps its floor."""
        ceiling = self.policy.ceiling_usd
        if ceiling is None:
            return utilities
        cheap = [utilities[place] for place in places if costs[place] <= ceiling]
        if not cheap or len(cheap) == len(places):
            return utilities
        top = max(cheap) - 1.0
        return [utility if costs[place] <= ceiling else min(utility, top) for place, utility in enumerate(utilities)]

    def _admit(self, shares: dict[str, float], utilities: list[float]) -> dict[str, float]:
        """A track that recovers gets its admitted share of what it would have; the best fully admitted one takes the rest."""
        partial = self._partial
        if not partial or len(partial) == len(shares):
            return shares
        full = [place for place, track in enumerate(self.tracks) if track not in partial and shares[track] > 0.0]
        if not full:
            return shares
        heir = self.tracks[max(full, key=utilities.__getitem__)]
        for track, share in partial.items():
            given = short(shares[track] * share)
            shares[heir] = round(shares[heir] + shares[track] - given, 9)
            shares[track] = given
        return shares


def _log_latency(load: PolicyLoad, length: float, running: int, max_ms: float) -> float:
    tokens = load.tokens[bisect_right(load.edges, length)]
    return math.log(max(1000.0 * seconds(load, tokens, running), 1.0) / max_ms) + (UNKNOWN if running >= load.limit else 0.0)


def _worth_of(offsets: Mapping[PolicyTarget, float], worth: PolicyWorth) -> float:
    return worth.quality * offsets["quality"] - worth.latency * offsets["log_latency"] + worth.success * offsets["success"]
