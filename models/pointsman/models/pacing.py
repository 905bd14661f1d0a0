"""Pacing: the shadow price of money that keeps what is spent at the budget.

The price is solved for, not stepped towards: over the last 256 requests it is the lambda at which the expected cost of the policy's own choices
equals the target. So it needs no learning rate, does not oscillate, and mixes two tracks where one is too dear and the other too cheap.
The target is the allowance, raised or lowered by what was saved or overspent so far.
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pointsman.schemas import Budget

from .choice import expected_cost

RING = 256
RESERVE = 0.99
HORIZON = 50.0
MOST_SAVED = 25.0
SAVED_SHARE = 0.05
DEAR = 3.0
STEPS = 24
YOUNG = 100
AIMED = 500.0
MOST_OVERRUN = 4.0
QUANTA = 40.0
GAPS = 200.0
COSTS = 1000.0
UNKNOWN_SHARE = 0.01
SURE = 3.0
PAUSE_S = 60.0
PAUSE_GAPS = 10.0
_WIDEST = 20.0

Kind = Literal["usd_per_request", "usd_per_hour", "usd_per_day"]
PERIODS: dict[Kind, float] = {"usd_per_request": 0.0, "usd_per_hour": 3600.0, "usd_per_day": 86_400.0}
WARNINGS = (0.85, 0.95)

Table = NDArray[np.float64]


class Sample:
    """The last requests' features, in fortieths, and how far apart they came: what the next ones are taken to be like."""

    __slots__ = ("gap_s", "last", "ring", "running", "written")

    def __init__(self, size: int) -> None:
        self.ring = np.zeros((RING, size), np.int8)
        self.running: dict[str, deque[int]] = {}
        self.written = 0
        self.gap_s = 0.0
        self.last = -math.inf

    def note(self, x: Table, now: float, running: Mapping[str, int] | None = None) -> None:
        """A request has come, by whomever it was routed, at `now` seconds, with so many in flight on tracks that slow down."""
        for track, count in (running or {}).items():
            self.running.setdefault(track, deque(maxlen=RING)).append(count)
        self.ring[self.written % RING] = np.clip(np.rint(x * QUANTA), -127, 127)
        self.written += 1
        if now >= self.last:
            if math.isfinite(self.last):
                self.gap_s += (now - self.last - self.gap_s) / min(self.written - 1.0, GAPS)
            self.last = now

    def get(self) -> Table:
        """The sample, shape (requests, features), the oldest first."""
        if self.written <= RING:
            return self.ring[: self.written] / QUANTA
        return np.roll(self.ring, -(self.written % RING), axis=0) / QUANTA

    def in_flight(self) -> dict[str, list[int]]:
        """What ran at each of them, by track; tracks known for all of the sample only."""
        return {track: list(counts) for track, counts in self.running.items() if len(counts) == min(self.written, RING)}

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        last = self.last if math.isfinite(self.last) else None
        running = {track: list(counts) for track, counts in self.running.items()}
        return [self.ring[: min(self.written, RING)].tobytes().hex(), self.written, self.gap_s, last, running]

    @classmethod
    def restore(cls, state: list[Any], size: int) -> "Sample":
        """The sample that left this snapshot."""
        sample = cls(size)
        rows = np.frombuffer(bytes.fromhex(state[0]), np.int8).reshape(-1, size)
        sample.ring[: len(rows)] = rows
        sample.written, sample.gap_s = state[1:3]
        sample.last = -math.inf if state[3] is None else state[3]
        sample.running = {track: deque(counts, maxlen=RING) for track, counts in state[4].items()}
        return sample


class Account:
    """One budget: what may be spent in USD a request, hour or day (UTC), what was, and the price at which it will hold.

    >>> account = Account("usd_per_request", 0.01)
    >>> for second in range(100):
    ...     account.spend(0.02, float(second), is_own=True, gap_s=1.0)
    >>> round(account.bank, 2), round(account.target(1.0), 5)
    (-1.01, 0.00743)
    """

    __slots__ = ("aim", "aimed", "bank", "decided", "judged", "kind", "limit", "mean", "paid", "period", "price", "since", "spent", "variance")

    def __init__(self, kind: Kind, limit: float) -> None:
        self.kind: Kind = kind
        self.limit = limit
        self.bank = 0.0
        self.decided = 0
        self.price = 0.0
        self.mean = 0.0
        self.variance = 0.0
        self.aim = 0.0
        self.aimed = 0.0
        self.paid = 0.0
        self.judged = 0
        self.period = -1
        self.spent = 0.0
        self.since = -math.inf

    def allowance(self, gap_s: float) -> float:
        """What one request may cost in the mean, USD, where they come `gap_s` apart."""
        length = PERIODS[self.kind]
        return self.limit * (max(gap_s, 1e-6) / length if gap_s > 0.0 else UNKNOWN_SHARE) if length else self.limit

    def spend(self, cost: float, now: float, *, is_own: bool, gap_s: float) -> None:
        """A completion was paid for. A budget a request counts our own decisions, one an hour or day whatever is spent.

        Savings are capped, and so is what a pause grants (at 10 usual gaps, at least a minute), so that a quiet hour does not pay for a wild one.
        """
        if not PERIODS[self.kind]:
            if not is_own:
                return
            granted, most = self.limit, MOST_SAVED * self.limit
        else:
            self.roll(now)
            self.spent += cost
            pause = max(PAUSE_S, PAUSE_GAPS * gap_s)
            granted = self.limit * min(max(now - self.since, 0.0), pause) / PERIODS[self.kind] if math.isfinite(self.since) else 0.0
            most = max(MOST_SAVED * self.allowance(gap_s), SAVED_SHARE * self.limit)
        self.since = max(now, self.since)
        self.decided += 1
        memory = min(self.decided, COSTS)
        self.variance += ((cost - self.mean) ** 2 - self.variance) / memory
        self.mean += (cost - self.mean) / memory
        self.bank = min(self.bank + RESERVE * granted - cost, most)
        if is_own and self.aim > 0.0:
            self.judged += 1
            memory = min(self.judged, AIMED)
            self.aimed += (self.aim - self.aimed) / memory
            self.paid += (min(cost, MOST_SAVED * self.allowance(gap_s)) - self.paid) / memory

    def overrun(self) -> float:
        """What decisions of our own cost of late over what they were expected to: above 1 where choices change what they were made by, as load does."""
        return max(1.0, min(MOST_OVERRUN, self.paid / self.aimed)) if self.judged >= YOUNG and self.aimed > 0.0 else 1.0

    def roll(self, now: float) -> None:
        """Start a new hour or day where one has begun."""
        length = PERIODS[self.kind]
        if length and (period := math.floor(now / length)) > self.period:
            self.period, self.spent = period, 0.0

    def target(self, gap_s: float) -> float:
        """What a request may cost in the mean from here on, USD."""
        allowance = self.allowance(gap_s)
        lowest = -(0.1 + 30.0 / (100.0 + self.decided))
        share = max(lowest, min(1.0, self.bank / (HORIZON * allowance)))
        return RESERVE * allowance * (1.0 + share)

    def ceiling(self, gap_s: float) -> float:
        """A single request dearer than this is left to exploration, USD."""
        allowance = self.allowance(gap_s)
        return max(DEAR * allowance, self.bank + MOST_SAVED * allowance)

    def remaining(self, reserved: float) -> float:
        """What a hard budget has left for one request, USD, `reserved` being on its way already."""
        left = self.limit - self.spent if PERIODS[self.kind] else self.limit + self.bank
        return max(left - reserved, 0.0)

    def share(self, now: float) -> float | None:
        """The share of the hour's or day's budget that is spent; None for a budget a request."""
        self.roll(now)
        return self.spent / self.limit if PERIODS[self.kind] else None

    def projected(self, now: float, gap_s: float) -> float:
        """The share of the budget that will have been spent at this pace when the period is over."""
        length = PERIODS[self.kind]
        if not length:
            return self.mean / self.limit
        left = (self.period + 1) * length - now
        return (self.spent + self.mean * left / max(gap_s, 1e-6)) / self.limit

    def will_not_last(self, now: float, gap_s: float) -> bool:
        """Whether the projection is more than 5 % beyond the budget, and so by three standard errors of the mean cost."""
        projected = self.projected(now, gap_s)
        error = math.sqrt(self.variance / max(min(self.decided, COSTS), 1.0)) / max(self.mean, 1e-12)
        return self.decided >= YOUNG and projected > 1.05 and projected * (1.0 - SURE * error) > 1.0

    def solve(self, values: Table, spreads: Table, costs: Table, probes: Table, gap_s: float) -> float:
        """The shadow price in utility per USD; each table has shape (requests, tracks). 0 where everything is affordable."""
        allowance, target = self.allowance(gap_s), self.target(gap_s) / self.overrun()

        def is_dear(price: float) -> bool:
            return expected_cost(values, spreads, costs, probes, price) > target

        if not is_dear(0.0):
            self.price, self.aim = 0.0, expected_cost(values, spreads, costs, probes, 0.0)
            return 0.0
        self.aim = target
        low, high = -_WIDEST, _WIDEST
        if self.price > 0.0:
            edge, step = math.log(self.price * allowance), 0.1
            upwards = is_dear(self.price)
            while abs(edge) < _WIDEST:
                low, high = (edge, high) if upwards else (low, edge)
                edge += step if upwards else -step
                step *= 3.0
                if abs(edge) >= _WIDEST:
                    break
                if is_dear(math.exp(edge) / allowance) != upwards:
                    low, high = (low, edge) if upwards else (edge, high)
                    break
        for _ in range(STEPS):
            if high - low < 2e-3:
                break
            middle = 0.5 * (low + high)
            low, high = (middle, high) if is_dear(math.exp(middle) / allowance) else (low, middle)
        self.price = float(f"{math.exp(high) / allowance:.5g}")
        return self.price

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        since = self.since if math.isfinite(self.since) else None
        return [
            self.kind,
            self.limit,
            self.bank,
            self.decided,
            self.price,
            self.mean,
            self.period,
            self.spent,
            since,
            self.variance,
            self.aim,
            self.aimed,
            self.paid,
            self.judged,
        ]

    @classmethod
    def restore(cls, state: list[Any]) -> "Account":
        """The account that left this snapshot."""
        account = cls(state[0], state[1])
        account.bank, account.decided, account.price, account.mean, account.period, account.spent = state[2:8]
        account.since = -math.inf if state[8] is None else state[8]
        account.variance, account.aim, account.aimed, account.paid, account.judged = state[9:]
        return account


def accounts(budget: Budget) -> list[Account]:
    """One account per budget that is set."""
    limits: dict[Kind, float | None] = {"usd_per_request": budget.usd_per_request, "usd_per_hour": budget.usd_per_hour, "usd_per_day": budget.usd_per_day}
    return [Account(kind, limit) for kind, limit in limits.items() if limit is not None]
