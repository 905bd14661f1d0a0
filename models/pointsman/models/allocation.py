"""Capacity that several scopes share: weighted max-min fairness by priority and need, in whole requests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

BISECTIONS = 100
LEVEL = 1.645  # of the normal distribution: 95 %


@dataclass(frozen=True, slots=True)
class Claim:
    """What one scope could use (requests in flight), and how much it counts beside the others."""

    need: int
    priority: float = 1.0


def allocate(capacity: int, claims: Sequence[Claim]) -> list[int]:
    """Share out `capacity`, in the order of the claims: water-filling (Bertsekas and Gallager, Data Networks, 6.5.2), rounded by largest remainder.

    Everyone gets min(need, max(1, λ · priority)) with one λ for all that uses up the capacity; where there are more scopes in need than capacity, one each for
    the highest priorities. Nobody gets more than it needs; what is left over stays over. Of equals the earlier comes first.

    >>> allocate(8, [Claim(6, priority=2.0), Claim(6), Claim(1)])
    [5, 2, 1]
    >>> allocate(8, [Claim(2), Claim(3)])
    [2, 3]
    >>> allocate(2, [Claim(1), Claim(9, priority=3.0), Claim(1, priority=2.0)])
    [0, 1, 1]
    """
    needy = [place for place, claim in enumerate(claims) if claim.need > 0]
    shares = [0] * len(claims)
    if len(needy) > capacity:
        for place in sorted(needy, key=lambda place: (-claims[place].priority, place))[: max(capacity, 0)]:
            shares[place] = 1
        return shares
    if sum(claims[place].need for place in needy) <= capacity:
        return [max(claim.need, 0) for claim in claims]
    quotas = _quotas(capacity, [claims[place] for place in needy])
    for place, whole in zip(needy, _rounded(quotas, capacity), strict=True):
        shares[place] = whole
    return shares


def share_out(capacity: int, claims: Sequence[Claim]) -> list[int]:
    """The same with nothing left over: what nobody needs goes to all by priority, so that whoever grows finds room at once.

    >>> share_out(8, [Claim(2, priority=2.0), Claim(1), Claim(0)])
    [5, 2, 1]
    """
    shares = allocate(capacity, claims)
    spare = capacity - sum(shares)
    total = sum(claim.priority for claim in claims)
    if spare <= 0 or total <= 0.0:
        return shares
    extra = _rounded([spare * claim.priority / total for claim in claims], spare)
    return [share + more for share, more in zip(shares, extra, strict=True)]


def upper_need(mean: float) -> int:
    """The requests in flight that are not exceeded 95 % of the time where `mean` are on average: arrivals at random keep a Poisson number busy.

    >>> [upper_need(mean) for mean in (0.0, 0.1, 1.0, 4.0, 100.0)]
    [0, 1, 3, 8, 117]
    """
    return math.ceil(round(mean + LEVEL * math.sqrt(mean), 9)) if mean > 0.0 else 0


def _quotas(capacity: int, claims: Sequence[Claim]) -> list[float]:
    """min(need, max(1, λ · priority)), for the λ at which they add up to the capacity."""
    low, high = 0.0, max(claim.need / claim.priority for claim in claims)
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if sum(_quota(claim, middle) for claim in claims) > capacity:
            high = middle
        else:
            low = middle
    return [_quota(claim, low) for claim in claims]


def _quota(claim: Claim, level: float) -> float:
    return min(float(claim.need), max(1.0, level * claim.priority))


def _rounded(quotas: Sequence[float], total: int) -> list[int]:
    """Whole numbers of this total, each its quota rounded down or up: up for the largest remainders, of equals for the earlier."""
    wholes = [math.floor(quota + 1e-9) for quota in quotas]
    missing = total - sum(wholes)
    for place in sorted(range(len(quotas)), key=lambda place: (round(wholes[place] - quotas[place], 9), place))[: max(missing, 0)]:
        wholes[place] += 1
    return wholes
