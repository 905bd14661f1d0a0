"""The share of failures of one track: evidence that it has risen above what is usual, error by error."""

import math
from statistics import NormalDist
from typing import Any

from .arrays import added
from .watch_evidence import Since
from .watch_series import ACCEPTED, ACCEPTED_S, CLEARED, DOUBTFUL, HALF, Away, Pace, Standing, Step

WARM_UP = 50
PRIOR = 0.1
MEMORY = 4000.0
BLOCK = 16
BETS = (0.1, 0.25, 0.6, 0.97)
MILD = 2
ABOVE = 3.0
FEWEST = 2.0
LEAST_SHARE = 1e-3
MOST = 1e200


class WatchedErrors:
    """An e-detector of Bernoulli outcomes: a mean of Shiryaev-Roberts sums that bet on a share of 0.1, 0.25, 0.6, 0.97, or of three times the usual one.

    The usual share has a prior of 0.1 errors in 1, fades over 4,000 outcomes, and is not learned while there is good evidence against it. One error never
    raises an alarm. The first 50 outcomes raise nothing.
    """

    __slots__ = ("_blocked", "_climbs", "_errors", "_here", "_lead", "_rows", "_since", "_sums", "pace", "standing")

    def __init__(self, per_month: float) -> None:
        self.pace = Pace(per_month)
        self._begin()

    def _begin(self) -> None:
        self._errors = self._rows = 0.0
        self._blocked = [0.0, 0.0]
        self._sums, self._climbs = [0.0] * (len(BETS) + 1), [0.0] * (len(BETS) + 1)
        self._since: list[Since | None] = [None] * (len(BETS) + 1)
        self._lead = 0
        self._here = Since(0.0, 0.0, 0.0, 0.0, 0.0)
        self.standing: Standing | None = None

    @property
    def share(self) -> float:
        """The usual share of failures."""
        return (self._errors + PRIOR) / (self._rows + 1.0)

    def observe(self, at: float, is_error: bool) -> tuple[float, Step | None]:
        """Take in an outcome: its normal score, 0 for a success, and what it does to the alarm."""
        self.pace.observe(at, self._here.seen)
        share, here, error = self.share, self._here, float(is_error)
        self._here = Since(at, here.seen + 1.0, here.observed + error, here.expected + share, here.residual + error - share)
        if self.standing is not None:
            return self._score(error), self._clear(at, error)
        step: Step | None = None
        if self._rows >= WARM_UP:
            level = self._gather(Since(at, *here[1:]), error)
            begun = self._since[self._lead]
            if level > self.pace.run and begun is not None and self._here.observed - begun.observed >= FEWEST:
                self.standing = Standing("anomaly", begun, at, self._here.seen, 0.0, self._lead)
                self._blocked = [0.0, 0.0]
                return self._score(error), "raised"
        self._learn(error)
        return self._score(error), step

    def _score(self, error: float) -> float:
        return -NormalDist().inv_cdf(min(max(self.share, 1e-6), 0.5)) if error and self._rows >= WARM_UP else 0.0

    def _bets(self) -> list[float]:
        share = self.share
        return [min(ABOVE * share + 0.01, 0.99), *(max(bet, min(1.5 * share, 0.99)) for bet in BETS)]

    def _gain(self, bet: float, error: float) -> float:
        share = self.share
        return math.log(bet / share) if error else math.log((1.0 - bet) / (1.0 - share))

    def _gather(self, here: Since, error: float) -> float:
        best, total = -1.0, 0.0
        for place, bet in enumerate(self._bets()):
            gain = self._gain(bet, error)
            if self._climbs[place] <= 0.0:
                self._since[place] = here
            self._climbs[place] = max(self._climbs[place] + gain, 0.0)
            self._sums[place] = now = min((1.0 + self._sums[place]) * math.exp(gain), MOST)
            total += now
            if now > best:
                best, self._lead = now, place
        return total / len(self._sums)

    def _learn(self, error: float) -> None:
        self._blocked = [self._blocked[0] + error, self._blocked[1] + 1.0]
        if self._blocked[1] < BLOCK:
            return
        if self.level < self.pace.run**DOUBTFUL:
            fading = 1.0 - BLOCK / MEMORY
            self._errors, self._rows = fading * self._errors + self._blocked[0], fading * self._rows + self._blocked[1]
        self._blocked = [0.0, 0.0]

    def _clear(self, at: float, error: float) -> Step | None:
        alarm = self.standing
        if alarm is None:
            return None
        if self._here.seen - alarm.raised_count >= ACCEPTED and at - alarm.raised_at >= ACCEPTED_S:
            self._begin()
            return "resolved"
        mildest = min(alarm.place, MILD)  # a track whose first requests all failed may go on failing in part
        against = (1.0 + alarm.against) * math.exp(-self._gain(self._bets()[mildest], error))
        self.standing = alarm._replace(against=against)
        if against < CLEARED:
            return None
        self.silent()
        return "resolved"

    def silent(self) -> None:
        """An alarm stands no longer."""
        self.standing = None
        self._sums, self._climbs = [0.0] * len(self._sums), [0.0] * len(self._sums)

    @property
    def level(self) -> float:
        """A false alarm at this level is to be expected once in so many outcomes."""
        return added(self._sums) / len(self._sums)

    def away(self) -> Away | None:
        """How far from usual since the onset, alarm or not; None where there is hardly evidence of anything."""
        level = self.level
        begun = self.standing.begun if self.standing is not None else self._since[self._lead]
        if begun is None or self._here.seen <= begun.seen or (self.standing is None and level < 100.0):
            return None
        here, count = self._here, self._here.seen - begun.seen
        share, found, surprise = self.share, (self._here.observed - begun.observed) / count, math.log10(max(level, 1.0))
        spread = math.sqrt(max(share, LEAST_SHARE) * (1.0 - share))
        upper = min(share + 1.645 * spread / math.sqrt(count), 1.0)
        return Away(begun.at, (found - share) / spread, surprise / (surprise + HALF), found, (here.expected - begun.expected) / count, 0.0, upper)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [
            self.pace.snapshot(),
            [self._errors, self._rows, *self._blocked],
            [list(self._sums), list(self._climbs), self._lead],
            [list(one) if one is not None else None for one in self._since],
            list(self._here),
            self.standing.snapshot() if self.standing is not None else None,
        ]

    @classmethod
    def restore(cls, state: list[Any], per_month: float) -> "WatchedErrors":
        """The state of a snapshot."""
        made = cls(per_month)
        made.pace.restore(state[0])
        made._errors, made._rows = state[1][:2]
        made._blocked = list(state[1][2:])
        made._sums, made._climbs, made._lead = list(state[2][0]), list(state[2][1]), state[2][2]
        made._since = [Since(*one) if one is not None else None for one in state[3]]
        made._here = Since(*state[4])
        made.standing = Standing.restore(state[5]) if state[5] is not None else None
        return made


__all__ = ["WatchedErrors"]
