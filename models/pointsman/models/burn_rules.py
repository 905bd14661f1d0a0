"""When the error budget of an objective goes so fast that somebody must know: multi-window, multi-burn-rate rules.

The four rules and their factors are those of the Site Reliability Workbook (Google, 2018), chapter 5, for a month's budget; the fifth is ours, for outages.
"""

import math
from typing import NamedTuple

from pointsman.schemas import Objective, Severity

HOUR_S = 3600.0
MONTH_S = 30 * 86_400.0
SHORTEST_MONTH_S, LONGEST_MONTH_S = 28 * 86_400.0, 31 * 86_400.0
# In nats: so unlikely is an alert at any one broken request of a stream that keeps its objective exactly, 10^-9 and 10^-6.
EVIDENCE: dict[Severity, float] = {"critical": 9.0 * math.log(10.0), "warning": 6.0 * math.log(10.0)}


class Rule(NamedTuple):
    """Alert where the burn rate over the long *and* the short window is at least `factor`; until that over `until_s` is below `until`. Seconds."""

    severity: Severity
    factor: float
    long_s: float
    short_s: float
    until_s: float
    until: float


_WORKBOOK: tuple[tuple[Severity, float, float, float], ...] = (
    ("critical", 14.4, HOUR_S, 300.0),  # 2 % of a month's budget in an hour
    ("critical", 6.0, 21_600.0, 1800.0),  # 5 % in six hours
    ("warning", 3.0, 86_400.0, 7200.0),  # 10 % in a day
    ("warning", 1.0, 259_200.0, 21_600.0),  # 10 % in three days
)


def scale(window_s: float) -> float:
    """How much longer than a month's the windows of an objective's rules are: the factors stay, so that the same shares of its budget are told.

    >>> scale(28 * 86_400.0), scale(90 * 86_400.0), round(3600.0 * scale(3600.0), 3)
    (1.0, 3.0, 5.0)
    """
    return 1.0 if SHORTEST_MONTH_S <= window_s <= LONGEST_MONTH_S else window_s / MONTH_S


def rules(objective: Objective) -> tuple[Rule, ...]:
    """The rules of an objective, the most pressing first.

    An outage, of `success` only: of two minutes and of thirty seconds the share that failed is nearer to all than to what may. The workbook's first rule takes
    14.4 (1 - share) of an hour for that, 9 minutes at 99 %.

    >>> [(rule.factor, rule.long_s) for rule in rules(Objective(metric="success", bound=1, share=0.99))]
    [(50.5, 120.0), (14.4, 3600.0), (6.0, 21600.0), (3.0, 86400.0), (1.0, 259200.0)]
    """
    times, allowed = scale(objective.window_s), 1.0 - objective.share
    found = [Rule(severity, factor, long * times, short * times, short * times, factor) for severity, factor, long, short in _WORKBOOK]
    if objective.metric == "success":
        outage = round((1.0 + allowed) / (2.0 * allowed), 6)
        found.insert(0, Rule("critical", outage, 120.0 * times, 30.0 * times, 120.0 * times, outage / 2.0))
    return tuple(found)


def evidence(requests: int, broken: int, allowed: float) -> float:
    """-ln of a bound on the probability of so many broken requests or more, were each of them broken with the probability `allowed`.

    Chernoff: n KL(k/n, allowed), exact where all are broken. 0 where no more are than should be.

    >>> round(evidence(5, 5, 0.01), 2), round(evidence(1000, 30, 0.01), 2), evidence(1000, 10, 0.01)
    (23.03, 13.16, 0.0)
    """
    if broken <= requests * allowed:
        return 0.0
    kept = requests - broken
    return broken * math.log(broken / (requests * allowed)) + (kept * math.log(kept / (requests * (1.0 - allowed))) if kept else 0.0)


__all__ = ["EVIDENCE", "HOUR_S", "Rule", "evidence", "rules", "scale"]
