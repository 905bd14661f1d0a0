"""One watched series: each value beside what was to be expected, the evidence that this has changed, and the alarm that stands for it."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from .false_alarms import MONTH_S
from .watch_evidence import Evidence, Since
from .watch_ranks import Ranks
from .watch_usual import Usual
from .watch_wander import FAR, RETURNED, Wander

FITTED = 32
LEAST_RUN, MOST_RUN = 1e4, 1e9
DOUBTFUL = 0.5
FEWEST, LASTING_S = 3, 15.0
SLOWLY = 100
CLEARED = 1e3
ACCEPTED, ACCEPTED_S, ACCEPTED_LATEST_S = 2000, 3600.0, 86_400.0
GAP_RATE, LONGEST_GAP_S = 1.0 / 512.0, 60.0
HALF = 2.8
LEAST_CHANGE = 0.05
STEADY = 1e3
DRIFTED, DRIFT_S = -1, 240.0
SILENT_S, SILENT_GAPS = 600.0, 50.0
_ORIGIN = Since(0.0, 0.0, 0.0, 0.0, 0.0)

Step = Literal["raised", "resolved"]
Speed = Literal["anomaly", "drift"]


class Standing(NamedTuple):
    """An alarm that stands: since when, of which kind, in which direction, and what would clear it."""

    kind: Speed
    begun: Since
    raised_at: float
    raised_count: float
    against: float
    place: int

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.kind, list(self.begun), *self[2:]]

    @classmethod
    def restore(cls, state: list[Any]) -> "Standing":
        """The state of a snapshot."""
        return cls(state[0], Since(*state[1]), *state[2:])


class Pace:
    """The usual time between two values, and so how many of them should pass, where nothing is wrong, before a false alarm."""

    __slots__ = ("_gap_s", "last", "per_month")

    def __init__(self, per_month: float) -> None:
        self.per_month = per_month
        self.last = self._gap_s = 0.0

    @property
    def run(self) -> float:
        """So many values, by the alarms that are asked for in a month."""
        return min(max(MONTH_S / max(self._gap_s, 1e-3) / self.per_month, LEAST_RUN), MOST_RUN)

    def observe(self, at: float, count: float) -> None:
        """A value comes, after so many others."""
        if self.last > 0.0:
            gap = min(max(at - self.last, 0.0), LONGEST_GAP_S)
            self._gap_s += max(1.0 / (count + 1.0), GAP_RATE) * (gap - self._gap_s)
        self.last = max(self.last, at)

    def is_silent(self, now: float) -> bool:
        """Whether nothing has come for so long that an alarm says nothing any more."""
        return now - self.last > SILENT_S + SILENT_GAPS * self._gap_s

    def snapshot(self) -> list[float]:
        """The state as plain values."""
        return [self.last, self._gap_s]

    def restore(self, state: list[float]) -> None:
        """The state of a snapshot."""
        self.last, self._gap_s = state


class Away(NamedTuple):
    """How far a series is from what is usual: means since the onset, on the scale of its values, and half the 90 % band."""

    since: float
    effect: float
    score: float
    observed: float
    expected: float
    lower: float
    upper: float


class WatchedSeries:
    """Values on a scale on which they can be added (logarithms of times, tokens and cost), one after the other, with rows of what explains them.

    The normal is learned in blocks, and not while there is good evidence against it, so that a fault is not learned; a change that stays for 2,000 values and
    an hour is accepted as the new normal. The first 100 or so values raise nothing.
    """

    __slots__ = (
        "_beside",
        "_blocked",
        "_both_ways",
        "_calm",
        "_evidence",
        "_grain",
        "_here",
        "_inputs",
        "_least",
        "_ranks",
        "_usual",
        "_wander",
        "pace",
        "standing",
    )

    def __init__(self, inputs: int, per_month: float, *, beside: int = 0, both_ways: bool = True, grain: float = 0.01, least: float = LEAST_CHANGE) -> None:
        self.pace = Pace(per_month)
        self._inputs, self._both_ways, self._grain, self._least = (inputs, beside), both_ways, grain, least
        self._begin()

    def _begin(self) -> None:
        self._usual, self._wander = Usual(self._inputs[0]), Wander()
        self._beside = Usual(self._inputs[1]) if self._inputs[1] else None
        self._ranks, self._evidence = Ranks(2.0 * self._grain), Evidence(both_ways=self._both_ways)
        self._blocked: list[tuple[float, float]] = []
        self._here = self._calm = _ORIGIN
        self.standing: Standing | None = None

    @property
    def is_ready(self) -> bool:
        """Whether enough is known to say what is usual."""
        return not self._ranks.is_young

    @property
    def is_doubtful(self) -> bool:
        """Whether there is good evidence that what comes now is not usual."""
        return self.standing is not None or self._evidence.level >= self.pace.run**DOUBTFUL

    def residual(self, row: Sequence[float], value: float) -> float | None:
        """By how much a value is off the line, apart from a drift; None while there is no line."""
        return value - self._usual.expect(row) - self._wander.slow if self._usual.rows >= FITTED else None

    def observe(
        self, at: float, row: Sequence[float], value: float, doubt: float = 1.0, offset: float = 0.0, beside: Sequence[float] = ()
    ) -> tuple[float, float, Step | None]:
        """Take in a value: its normal score, what was expected, and what that does to the alarm.

        `doubt` is by how much more it may vary than usual, `offset` what is known of such rows beyond the line, `beside` the row of another explanation:
        what is expected is the larger of the two.
        """
        self.pace.observe(at, self._here.seen)
        expected, residual, score = self._judge(row, value, doubt, offset, beside)
        here = self._here
        self._here = Since(at, here.seen + 1.0, here.observed + value, here.expected + expected, here.residual + residual)
        step: Step | None = None
        if self.standing is not None:
            step = self._clear(at, score)
        elif not self._ranks.is_young:
            level = self._evidence.observe(score, Since(at, *here[1:]))
            if level > self.pace.run and self._is_lasting():
                step = self._raise(at)
        if self.standing is None:
            self._learn(row, beside, value - self._wander.level)
            if self._usual.rows >= FITTED:
                self._blocked.append((residual, score))
                if self._evidence.level < STEADY:
                    self._wander.learn(residual + self._wander.level, self._ranks.spread)
            if self._usual.is_full:
                self._settle()
                step = self._drift(at)
        elif self.standing.place == DRIFTED:
            self._wander.learn(residual + self._wander.level, self._ranks.spread)
        return score, expected, step

    def away(self) -> Away | None:
        """How far from usual, alarm or not; None where there is hardly evidence of anything."""
        level = self._evidence.level
        begun = self.standing.begun if self.standing is not None else self._evidence.lead
        if begun is None or self._here.seen <= begun.seen or (self.standing is None and level < 20.0):
            return None
        here, count = self._here, self._here.seen - begun.seen
        if self.standing is not None and self.standing.place == DRIFTED:
            return self._drifted(begun, here)
        surprise = math.log10(max(level, 1.0))
        expected, spread = (here.expected - begun.expected) / count, max(self._ranks.spread, 2.0 * self._grain)
        narrow = math.sqrt(min(1.0, self._evidence.excess / count))
        return Away(
            begun.at,
            (here.residual - begun.residual) / count / spread,
            surprise / (surprise + HALF),
            (here.observed - begun.observed) / count,
            expected,
            expected + narrow * min(self._ranks.quantile(0.05), 0.0),
            expected + narrow * max(self._ranks.quantile(0.95), 0.0),
        )

    def _drifted(self, begun: Since, here: Since) -> Away:
        """How far the slow level has gone."""
        slow, spread, far = self._wander.slow, max(self._ranks.spread, 2.0 * self._grain), abs(self._wander.away(self._ranks.spread))
        observed = (here.observed - begun.observed) / (here.seen - begun.seen)
        usual, band = observed - slow, abs(slow) / max(far, 1.0) * 1.645
        return Away(begun.at, slow / spread, far / (far + HALF), observed, usual, usual - band, usual + band)

    def _learn(self, row: Sequence[float], beside: Sequence[float], value: float) -> None:
        spread = 2.0 * self._ranks.spread
        self._usual.learn(row, value, self._usual.expect(row), spread)
        if self._beside is not None:
            self._beside.learn(beside, value, self._beside.expect(beside), spread)

    def _judge(self, row: Sequence[float], value: float, doubt: float, offset: float, beside: Sequence[float]) -> tuple[float, float, float]:
        if self._usual.rows < FITTED:
            return value, 0.0, 0.0
        expected = self._usual.expect(row) + offset
        if self._beside is not None:
            expected = max(expected, self._beside.expect(beside))
        expected += self._wander.level
        residual = (value - expected) / doubt
        return expected, residual, self._ranks.score(residual)

    def _drift(self, at: float) -> Step | None:
        """Whether the slow level has gone further than it ever goes, in a direction that matters."""
        slow, away = self._wander.slow, self._wander.away(self._ranks.spread)
        if abs(away) < 1.0:
            self._calm = self._here
        gone = abs(slow) if self._both_ways else slow
        if gone < self._least or abs(away) < FAR or at - self._calm.at < DRIFT_S:
            return None
        self.standing = Standing("drift", self._calm, at, self._here.seen, 0.0, DRIFTED)
        return "raised"

    def _is_lasting(self) -> bool:
        """Whether a change is of more than a few values, and of seconds (what ends together is not independent), and large enough for anybody to care."""
        lead = self._evidence.lead
        if lead is None or self._here.seen - lead.seen < FEWEST or self._here.at - lead.at < LASTING_S:
            return False
        count = self._here.seen - lead.seen
        if self._evidence.lead_place == 0:
            return count < SLOWLY
        return abs(self._here.residual - lead.residual) >= self._least * count

    def _raise(self, at: float) -> Step:
        begun = self._evidence.lead or self._here
        is_slow = self._here.seen - begun.seen >= SLOWLY
        self.standing = Standing("drift" if is_slow else "anomaly", begun, at, self._here.seen, 0.0, self._evidence.lead_place)
        self._blocked = []
        self._take_in(keep=False)
        return "raised"

    def _clear(self, at: float, score: float) -> Step | None:
        """Gather evidence that all is as it was, or accept what has stayed."""
        alarm = self.standing
        if alarm is None:
            return None
        count, lasted = self._here.seen - alarm.raised_count, at - alarm.raised_at
        if (count >= ACCEPTED and lasted >= ACCEPTED_S) or lasted >= ACCEPTED_LATEST_S:
            self._begin()
            return "resolved"
        if alarm.place == DRIFTED:
            if abs(self._wander.away(self._ranks.spread)) >= RETURNED:
                return None
            self.silent()
            return "resolved"
        against = (1.0 + alarm.against) * math.exp(-self._evidence.gains(score)[alarm.place])
        self.standing = alarm._replace(against=against)
        if against < CLEARED:
            return None
        self.silent()
        return "resolved"

    def silent(self) -> None:
        """An alarm stands no longer."""
        self.standing = None
        self._evidence.forget()

    def _settle(self) -> None:
        """Learn the block, unless there is good evidence against the normal."""
        keep = not self.is_doubtful
        self._take_in(keep=keep)
        if keep:
            for residual, score in self._blocked:
                self._ranks.learn(residual)
                self._evidence.learn(score)
            self._ranks.settle()
            self._evidence.settle(len(self._ranks))
            self._wander.choose(self._ranks.spread)
        self._blocked = []

    def _take_in(self, *, keep: bool) -> None:
        for usual in (self._usual, self._beside):
            if usual is not None:
                usual.settle(keep=keep)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        alarm = self.standing
        return [
            self.pace.snapshot(),
            list(self._here),
            [list(one) for one in self._blocked],
            alarm.snapshot() if alarm is not None else None,
            self._usual.snapshot(),
            self._ranks.snapshot(),
            self._evidence.snapshot(),
            self._wander.snapshot(),
            [list(self._inputs), self._both_ways, self._grain, self._least],
            list(self._calm),
            self._beside.snapshot() if self._beside is not None else None,
        ]

    @classmethod
    def restore(cls, state: list[Any], per_month: float) -> "WatchedSeries":
        """The state of a snapshot."""
        (inputs, beside), both_ways, grain, least = state[8]
        made = cls(inputs, per_month, beside=beside, both_ways=both_ways, grain=grain, least=least)
        made.pace.restore(state[0])
        made._here = Since(*state[1])
        made._blocked = [(one[0], one[1]) for one in state[2]]
        made.standing = Standing.restore(state[3]) if state[3] is not None else None
        made._usual, made._ranks, made._evidence = Usual.restore(state[4]), Ranks.restore(state[5]), Evidence.restore(state[6])
        made._wander, made._calm = Wander.restore(state[7]), Since(*state[9])
        made._beside = Usual.restore(state[10]) if state[10] is not None else None
        return made


__all__ = ["Away", "Pace", "Speed", "Standing", "Step", "WatchedSeries"]
