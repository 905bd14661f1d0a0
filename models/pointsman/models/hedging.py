"""When a second copy of a request is worth its cost: at once (`parallel`), after a delay (`hedged`, Dean & Barroso 2013), or never."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Quantile = Callable[[float], float]
"""Level (0..1) → latency in ms, increasing."""
LEVELS = tuple((number + 0.5) / 15 for number in range(15))
LATER = (0.9, 0.95, 0.98, 0.99)
"""Quantiles after which a hedge is tried as well where the budget would allow an earlier one."""
_SHORTEST_MS = 0.01


@dataclass(frozen=True, slots=True)
class Candidate:
    """A track for one request: `value` is the utility of its answer without latency and cost, `spread` that value's standard deviation."""

    track: str
    latency: Quantile
    value: float = 0.0
    spread: float = 0.0
    success: float = 1.0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Worth:
    """In utility: per e-fold of latency, per success, and per USD (the shadow price)."""

    latency: float
    success: float = 0.0
    per_usd: float = 0.0


class Plan(NamedTuple):
    """What to do; `gain` is the expected utility beyond a single request, per copy sent."""

    kind: Literal["single", "hedged", "parallel"] = "single"
    second: str | None = None
    delay_ms: float | None = None
    gain: float = 0.0
    takes: Literal["first", "better"] = "first"


SINGLE = Plan()


def faster(first: Candidate, second: Candidate, worth: Worth) -> float:
    """Expected gain of taking the first good answer of two: sooner, seldom none, at the value of whichever wins.

    >>> slow = Candidate("local", lambda level: 8000.0 * 4.0 ** (level - 0.5), success=0.9)
    >>> quick = Candidate("api", lambda level: 2000.0 * 4.0 ** (level - 0.5), cost_usd=0.001)
    >>> round(faster(slow, quick, Worth(latency=0.15, success=1.0)), 4)
    0.3079
    >>> round(faster(quick, slow, Worth(latency=0.15, success=1.0)), 4)
    0.0
    """
    ones, others = _logs(first.latency), _logs(second.latency)
    sooner = sum(max(one - other, 0.0) for one in ones for other in others)
    wins = sum(other < one for one in ones for other in others)
    pairs = len(ones) * len(others)
    rescued = (1.0 - first.success) * second.success
    return second.success * (worth.latency * sooner + (second.value - first.value) * wins) / pairs + worth.success * rescued


def better(first: Candidate, second: Candidate, worth: Worth) -> float:
    """Expected gain of waiting for both and taking the better: E max of two independent normal values (Clark 1961), later by the slower one.

    >>> one, other = Candidate("a", lambda level: 1000.0, 0.7, 0.3), Candidate("b", lambda level: 2000.0, 0.7, 0.4)
    >>> round(better(one, other, Worth(latency=0.0)), 4), round(better(one, other, Worth(latency=0.15)), 4)
    (0.1995, 0.0955)
    """
    width = math.hypot(first.spread, second.spread)
    ahead = second.value - first.value
    if width > 0.0:
        z = ahead / width
        ahead = ahead * 0.5 * (1.0 + math.erf(z / math.sqrt(2.0))) + width * math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    ones, others = _logs(first.latency), _logs(second.latency)
    later = sum(max(other - one, 0.0) for one in ones for other in others) / (len(ones) * len(others))
    return max(ahead, 0.0) - worth.latency * later + worth.success * (1.0 - first.success) * second.success


def rescue(first: Candidate, second: Candidate, delay_ms: float, level: float, worth: Worth) -> float:
    """Expected gain of a copy sent after `delay_ms`, the first's quantile at `level`, given that it is sent.

    >>> tail = Candidate("api", lambda level: 1000.0 if level < 0.97 else 20_000.0)
    >>> round(rescue(tail, Candidate("other", lambda level: 1500.0), 1000.0, 0.97, Worth(latency=0.15)), 4)
    0.3119
    """
    ones = [math.log(max(first.latency(level + (1.0 - level) * part), _SHORTEST_MS)) for part in LEVELS]
    others = [math.log(delay_ms + max(second.latency(part), _SHORTEST_MS)) for part in LEVELS]
    sooner = sum(max(one - other, 0.0) for one in ones for other in others) / (len(ones) * len(others))
    return second.success * worth.latency * sooner


def plan(first: Candidate, others: Iterable[Candidate], worth: Worth, level: float | None, *, parallel: bool = True) -> Plan:
    """The plan with the highest expected gain a request above its extra cost; `level` is `HedgeBudget.level()`, None where no hedge may be sent.

    `parallel` says whether two at once may be advised at all.

    A hedge pays its copy only where it is sent, a share 1 - level of the time (or later, where that gains more), and its copy's median finish must lie
    before the first's median given that the first still runs.

    >>> api = Candidate("api", lambda level: 1000.0 if level < 0.97 else 20_000.0, success=0.99)
    >>> spare = Candidate("spare", lambda level: 1500.0, value=-0.1, cost_usd=0.001)
    >>> plan(api, [spare], Worth(latency=0.15, per_usd=200.0), level=0.965)
    Plan(kind='hedged', second='spare', delay_ms=1000.0, gain=0.002461, takes='first')
    >>> plan(api, [spare], Worth(latency=0.15, per_usd=2000.0), level=0.965).kind
    'single'
    >>> slow = Candidate("local", lambda level: 20_000.0 * 4.0 ** (level - 0.5))
    >>> plan(slow, [spare], Worth(latency=0.15, per_usd=100.0), level=0.97)
    Plan(kind='parallel', second='spare', delay_ms=None, gain=0.18854, takes='first')
    """
    plans = [SINGLE]
    for second in others:
        cost = worth.per_usd * second.cost_usd
        if parallel:
            plans.append(Plan("parallel", second.track, None, round(faster(first, second, worth) - cost, 6), "first"))
            plans.append(Plan("parallel", second.track, None, round(better(first, second, worth) - cost, 6), "better"))
        for late in (level, *(one for one in LATER if one > level)) if level is not None else ():
            delay = first.latency(late)
            if delay + second.latency(0.5) < first.latency(0.5 * (1.0 + late)):
                gain = (1.0 - late) * (rescue(first, second, delay, late, worth) - cost)
                plans.append(Plan("hedged", second.track, round(delay, 3), round(gain, 6)))
    return max(plans, key=lambda one: one.gain)


def _logs(latency: Quantile) -> list[float]:
    return [math.log(max(latency(level), _SHORTEST_MS)) for level in LEVELS]


@dataclass(frozen=True, slots=True)
class HedgeSettings:
    """`share` is the budget: extra requests per request; `saved` how many unspent ones may wait; levels bound the delay's quantile."""

    share: float = 0.03
    saved: float = 10.0
    rate: float = 0.1
    lowest: float = 0.5
    highest: float = 0.999
    fading: float = 0.002


class HedgeBudget:
    """The quantile at which hedges are sent, so that their share of all requests meets the budget.

    logit(level) += rate · (extra copies - share): where few tracks are worth a hedge the delay of those shortens until the budget is spent on them.
    Whatever is planned, a bank that grows by `share` a request must hold something for a hedge to be allowed.

    >>> budget = HedgeBudget(HedgeSettings(share=0.05))
    >>> for number in range(2000):
    ...     level = budget.level()
    ...     budget.observe(extra=level is not None and number % 4 == 0 and 0.618 * number % 1.0 >= level)
    >>> round(budget.level() or 0.0, 3), round(budget.realised(), 3)
    (0.776, 0.046)
    """

    __slots__ = ("_bank", "_logit", "_realised", "_settings")

    def __init__(self, settings: HedgeSettings | None = None) -> None:
        self._settings = settings or HedgeSettings()
        self._logit = _logit(1.0 - self._settings.share)
        self._bank = 0.0
        self._realised = 0.0

    def level(self) -> float | None:
        """The quantile of the first track's latency after which to send a copy; None while the budget is spent."""
        return 1.0 / (1.0 + math.exp(-self._logit)) if self._bank >= 0.0 else None

    def realised(self) -> float:
        """The share of the last 500 or so requests that had an extra copy by a hedge."""
        return self._realised

    def observe(self, *, extra: bool) -> None:
        """A request ended, with an extra copy sent by a hedge or without."""
        settings = self._settings
        off = float(extra) - settings.share
        self._logit = max(_logit(settings.lowest), min(_logit(settings.highest), round(self._logit + settings.rate * off, 9)))
        self._bank = round(min(self._bank - off, settings.saved), 9)
        self._realised = round(self._realised + settings.fading * (float(extra) - self._realised), 9)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {"logit": self._logit, "bank": self._bank, "realised": self._realised}

    @classmethod
    def restore(cls, state: dict[str, Any], settings: HedgeSettings | None = None) -> "HedgeBudget":
        """The budget that left this snapshot."""
        budget = cls(settings)
        budget._logit, budget._bank, budget._realised = state["logit"], state["bank"], state["realised"]
        return budget


def _logit(share: float) -> float:
    return math.log(share / (1.0 - share))
