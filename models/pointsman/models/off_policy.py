"""Off-policy evaluation: what a target policy would have got, from the outcomes of the logged one.

With w = min(target probability / logged propensity, most) of the chosen arm, y its outcome and q(a) what a model expects of arm a:

    IPS   = mean(w y)                                   (Horvitz and Thompson 1952)
    SNIPS = sum(w y) / sum(w)                           (Swaminathan and Joachims 2015)
    DR    = mean(sum_a target(a) q(a) + w (y - q))      (Dudík, Langford and Li 2011)

DR is unbiased with true propensities, whatever the model; a good model makes it narrow. The requests of a log count as draws from the
traffic, so that an interval covers the value for traffic like it, and all the more the value for this very traffic.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

LEVEL = 0.95
MOST_WEIGHT = 100.0
FEW = 50.0  # effective requests below which an estimate is called thin
MISSING = 0.05  # share of the target's probability without support that is worth a warning
_LEAST_FREEDOM = 3.0


@dataclass(frozen=True, slots=True)
class Log:
    """`n` requests with `k` arms: what was chosen with which propensity, what came of it, and what the target would have done.

    >>> Log.of(outcome=[1.0, 0.0], propensity=[0.5, 0.5], chosen=[0, 1], target=[[1.0, 0.0], [1.0, 0.0]]).weight.tolist()
    [2.0, 0.0]
    """

    outcome: Floats
    propensity: Floats
    chosen: Places
    target: Floats
    predicted: Floats
    weight: Floats
    clipped: float
    missing: float
    bounds: tuple[float, float]
    spread: float

    @classmethod
    def of(
        cls,
        *,
        outcome: object,
        propensity: object,
        chosen: object,
        target: object,
        predicted: object = None,
        most: float = MOST_WEIGHT,
        bounds: tuple[float, float] | None = None,
        spread: float = 0.0,
    ) -> "Log":
        """Shapes: (n), (n), (n), (n, k), (n, k) or nothing for a model that says 0. Raises `ValueError` for propensities outside (0, 1].

        `bounds` are the lowest and highest outcome there can be, those seen unless told, for the part of the target that nothing was seen of.
        `spread` is how far from the rest one more outcome may lie although none seen did: 1 for a success that never failed so far.
        """
        y, p = np.asarray(outcome, dtype=np.float64), np.asarray(propensity, dtype=np.float64)
        arms, shares = np.asarray(chosen, dtype=np.int64), np.asarray(target, dtype=np.float64)
        if not len(y) or not np.all((p > 0.0) & (p <= 1.0)):
            raise ValueError("a log needs at least one request, and every propensity in (0, 1]")
        q = np.zeros_like(shares) if predicted is None else np.asarray(predicted, dtype=np.float64)
        raw = shares[np.arange(len(y)), arms] / p
        weight = np.minimum(raw, most)
        total = float(raw.sum())
        clipped = 1.0 - float(weight.sum()) / total if total else 0.0
        return cls(y, p, arms, shares, q, weight, clipped, _missing(weight), bounds or (float(y.min()), float(y.max())), spread)

    def interval(self, scores: Floats, level: float | None = None) -> "Estimate":
        """The mean of one score per request with its interval; where support is missing, that part may be anything within the bounds.

        `level` is what the mean takes that part to be, the mean itself unless told.
        """
        found = interval(scores, effective_size(self.weight), farthest=self.spread * float(self.weight.max()))
        low, high = self.bounds
        held = min(max(found.value if level is None else level, low), high)
        return Estimate(found.value, found.lower - self.missing * (held - low), found.upper + self.missing * (high - held))


def _missing(weight: Floats) -> float:
    """The share of the target that the log has nothing of: how far the mean weight is below 1, where that is beyond two standard errors."""
    short = 1.0 - float(weight.mean())
    return short if short > 2.0 * float(weight.std()) / math.sqrt(len(weight)) + 1e-9 else 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the ends of its 95 % interval."""

    value: float
    lower: float
    upper: float

    @property
    def width(self) -> float:
        """Upper less lower."""
        return self.upper - self.lower


def effective_size(weight: Floats) -> float:
    """Kish's effective sample size (sum w)² / sum w².

    >>> effective_size(np.array([1.0, 1.0, 2.0, 0.0]))
    2.6666666666666665
    """
    square = float(np.square(weight).sum())
    return float(weight.sum()) ** 2 / square if square else 0.0


def interval(scores: Floats, effective: float, level: float = LEVEL, farthest: float = 0.0) -> Estimate:
    """The mean of `scores` with an interval that holds for few rows and heavy weights.

    Both ends are the wider of two: a Student t interval with as many degrees of freedom as there are effective rows, and the same
    through Hall's (1992) cubic transformation, which follows the skewness. The variance takes in one more row as far out as the
    farthest seen, or as `farthest` where that is more, for the heavy row that was not drawn.
    `docs/evaluate.md` has the coverage measured beside other intervals.

    >>> estimate = interval(np.array([0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0]), 8.0)
    >>> estimate.value, round(estimate.lower, 3), round(estimate.upper, 3)
    (0.625, 0.072, 1.1)
    """
    count = len(scores)
    mean = float(scores.mean())
    away = scores - mean
    squares = float(np.square(away).sum())
    if count < 2:
        return Estimate(mean, -math.inf, math.inf)
    is_constant = squares <= (1e-12 * mean) ** 2 * count
    unseen = max(float(np.square(away).max()), farthest**2)
    error = 0.0 if is_constant and not farthest else math.sqrt((squares + unseen) / (count * (count - 1)))
    skew = 0.0 if is_constant else float((away**3).mean()) / (squares / (count - 1)) ** 1.5 / math.sqrt(count)
    reach = _student(0.5 + level / 2.0, max(min(effective, count) - 1.0, _LEAST_FREEDOM))
    below, above = max(reach, _hall(reach, skew)), max(reach, -_hall(-reach, skew))
    return Estimate(mean, mean - below * error, mean + above * error)


def _hall(reach: float, skew: float) -> float:
    """The inverse of Hall's g(t) = t + a t²/3 + a² t³/27 + a/6, at `reach`."""
    if abs(skew) < 1e-9:
        return reach
    return float(np.cbrt(1.0 + skew * (reach - skew / 6.0)) - 1.0) * 3.0 / skew


def _student(share: float, freedom: float) -> float:
    """Student's t quantile by the Cornish-Fisher expansion: within 1 % from 3 degrees of freedom on.

    >>> [round(_student(0.975, freedom), 3) for freedom in (3, 10, 1000)]
    [3.159, 2.228, 1.962]
    """
    z = NormalDist().inv_cdf(share)
    terms = (z**3 + z) / 4.0, (5 * z**5 + 16 * z**3 + 3 * z) / 96.0, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384.0
    return z + terms[0] / freedom + terms[1] / freedom**2 + terms[2] / freedom**3


def ips(log: Log) -> Estimate | None:
    """Inverse propensity scoring; None where the target never agrees with the log.

    >>> log = Log.of(outcome=[1.0, 0.0, 1.0, 1.0], propensity=[0.5] * 4, chosen=[0, 1, 0, 1], target=[[1.0, 0.0]] * 4)
    >>> estimate = ips(log)
    >>> estimate.value if estimate else None
    1.0
    """
    return log.interval(log.weight * log.outcome, level=0.0) if log.weight.any() else None


def snips(log: Log) -> Estimate | None:
    """Self-normalised IPS: a weighted mean, so that it stays within the outcomes; its interval is that of its linearisation."""
    total = float(log.weight.sum())
    if not total:
        return None
    value = float((log.weight * log.outcome).sum()) / total
    linear = log.interval(value + log.weight * (log.outcome - value) / float(log.weight.mean()))
    return Estimate(value, value + linear.lower - linear.value, value + linear.upper - linear.value)


def scores(log: Log) -> Floats:
    """The doubly robust score of each request; DR is their mean."""
    rows = np.arange(len(log.outcome))
    found: Floats = (log.target * log.predicted).sum(axis=1) + log.weight * (log.outcome - log.predicted[rows, log.chosen])
    return found


def doubly_robust(log: Log) -> Estimate | None:
    """The doubly robust estimate; None where the target never agrees with the log, since all would be the model's guess.

    >>> log = Log.of(outcome=[0.9, 0.5], propensity=[0.5, 0.5], chosen=[0, 1], target=[[1.0, 0.0]] * 2, predicted=[[0.9, 0.5]] * 2)
    >>> doubly_robust(log)
    Estimate(value=0.9, lower=0.9, upper=0.9)
    """
    return log.interval(scores(log)) if log.weight.any() else None


@dataclass(frozen=True, slots=True)
class Support:
    """How much of the target the log can speak for."""

    requests: int
    effective: float
    missing: float
    unseen: dict[int, float]
    clipped: float

    def warnings(self, names: list[str]) -> list[str]:
        """What a reader must know before using the estimate; `names` are the arms'."""
        said = [f"takes {names[arm]} in {share:.0%} of the requests, which was never logged with a propensity" for arm, share in self.unseen.items()]
        if self.effective < FEW:
            said.append(f"rests on {self.effective:.0f} effective requests of {self.requests}: too few to decide by")
        if self.missing > MISSING:
            said.append(f"nothing was seen of {self.missing:.0%} of what it does: that part may be anything, which the intervals allow for")
        if self.clipped > 0.0:
            said.append(f"{self.clipped:.1%} of the weight was above the largest allowed and is left out")
        return said


def support(log: Log) -> Support:
    """The effective size, the share of the target without support, and the arms never seen.

    >>> log = Log.of(outcome=[1.0, 0.0], propensity=[0.5, 0.5], chosen=[0, 0], target=[[0.5, 0.5]] * 2)
    >>> support(log).unseen
    {1: 0.5}
    """
    shares = log.target.mean(axis=0)
    seen = set(log.chosen.tolist())
    unseen = {arm: float(share) for arm, share in enumerate(shares.tolist()) if arm not in seen and share > 0.0}
    return Support(len(log.outcome), effective_size(log.weight), log.missing, unseen, log.clipped)


__all__ = ["LEVEL", "MOST_WEIGHT", "Estimate", "Floats", "Log", "Support", "doubly_robust", "effective_size", "interval", "ips", "scores", "snips", "support"]
