"""Evaluating a published policy: the same few lines in the core and in every router, so that both decide alike.

utility_a = offset_a + weights_a · x, spread_a = scale_a · sqrt(x' C_a x), b = argmax utility, gap_a = utility_b - utility_a,
p_a = max(1 / (1 + exp(1.702 gap_a / (V sqrt(spread_a² + spread_b²)))), RHO / (gap_a + RHO / probe_a)); p_b takes the rest.
"""

import hashlib
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pointsman.schemas import PolicyArm, PolicyPublished

FEATURES = ("constant", "log_input_tokens", "log_max_output_tokens", "category_a", "category_b")
EXPLORATION = 0.1
RHO = 0.002
MOST_EXPLORED = 0.9


def dot(left: Iterable[float], right: Iterable[float]) -> float:
    """The inner product, added up from the left: `sum` compensates from Python 3.12 on, and BLAS adds in an order of its own.

    >>> dot((1e16, 1.0), (1.0, 1.0))
    1e+16
    """
    total = 0.0
    for one, other in zip(left, right, strict=True):
        total += one * other
    return total


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a request before it is sent."""

    input_tokens: int | None = None
    max_output_tokens: int | None = None
    category: str | None = None

    def features(self) -> list[float]:
        """The vector x of `FEATURES`, each entry of order one; a category is hashed to a sign on two places."""
        x = [1.0, math.log1p(self.input_tokens or 0) / 8.0, math.log1p(self.max_output_tokens or 0) / 8.0, 0.0, 0.0]
        if self.category is not None:
            bits = zlib.crc32(self.category.encode("utf-8", "replace"))
            x[3] = 0.5 if bits & 1 else -0.5
            x[4] = 0.5 if bits & 2 else -0.5
        return x


@dataclass(frozen=True, slots=True)
class Decision:
    """A drawn track with the probability of that draw, and what the other tracks had."""

    track: str
    propensity: float
    propensities: dict[str, float]
    utilities: dict[str, float]
    policy_version: int


def uniform(scope: str, request_id: str, version: int) -> float:
    """The draw of a request, uniform on [0, 1): the same wherever and whenever it is asked for."""
    digest = hashlib.blake2b(f"{scope}\0{request_id}\0{version}".encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


class Evaluator:
    """Decides by one published policy; holds no other state.

    >>> from pointsman.schemas import PolicyArm
    >>> arm = dict(weights=(0.0,) * 5, covariance=((0.0,) * 5,) * 5, scale=0.0, probe=0.0)
    >>> policy = PolicyPublished(event_id="s/1/0", scope="s", occurred_at=1e9, caused_by="e", version=1, features=FEATURES,
    ...     arms=(PolicyArm(track="a", offset=0.2, **arm), PolicyArm(track="b", offset=0.1, **arm)), strategy="balanced",
    ...     mode="apply", default_track="a", expires_at=1e9)
    >>> Evaluator(policy).decide(Context(), "s", "r1").propensities
    {'a': 1.0, 'b': 0.0}
    """

    def __init__(self, policy: PolicyPublished) -> None:
        self.policy = policy

    def decide(self, context: Context, scope: str, request_id: str) -> Decision:
        """Draw a track for one request."""
        propensities, utilities = self.propensities(context)
        draw = uniform(scope, request_id, self.policy.version)
        track = self.policy.default_track
        if propensities:
            track = max(propensities, key=lambda name: propensities[name])
        reached = 0.0
        for name, share in propensities.items():
            reached += share
            if draw < reached:
                track = name
                break
        return Decision(track, propensities.get(track, 1.0), propensities, utilities, self.policy.version)

    def propensities(self, context: Context) -> tuple[dict[str, float], dict[str, float]]:
        """Per track the probability with which it is drawn, and its utility."""
        arms = self.policy.arms
        if not arms:
            return {}, {}
        x = context.features()
        utilities = {arm.track: _utility(arm, x) for arm in arms}
        if self.policy.mode == "bypass":
            return {arm.track: float(arm.track == self.policy.default_track) for arm in arms}, utilities
        best = max(arms, key=lambda arm: utilities[arm.track])
        best_spread = _spread(best, x)
        shares: dict[str, float] = {}
        total = 0.0
        for arm in arms:
            if arm is best:
                continue
            gap = utilities[best.track] - utilities[arm.track]
            width = EXPLORATION * math.sqrt(_spread(arm, x) ** 2 + best_spread**2)
            chance = 1.0 / (1.0 + math.exp(min(1.702 * gap / width, 700.0))) if width > 0 else 0.0
            floor = RHO / (gap + RHO / arm.probe) if arm.probe > 0 else 0.0
            shares[arm.track] = max(chance, floor)
            total += shares[arm.track]
        shrink = MOST_EXPLORED / total if total > MOST_EXPLORED else 1.0
        rest = 1.0
        for name, share in shares.items():
            shares[name] = round(share * shrink, 6)
            rest -= shares[name]
        shares[best.track] = round(rest, 6)
        return {arm.track: shares[arm.track] for arm in arms}, utilities


def _utility(arm: PolicyArm, x: Sequence[float]) -> float:
    return round(arm.offset + dot(arm.weights, x), 9)


def _spread(arm: PolicyArm, x: Sequence[float]) -> float:
    return arm.scale * math.sqrt(max(dot(x, [dot(row, x) for row in arm.covariance]), 0.0))
