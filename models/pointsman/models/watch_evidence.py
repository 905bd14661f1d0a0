"""Evidence that a series is no longer what it was, gathered score by score until a false alarm would be rarer than asked for."""

import math
from typing import Any, NamedTuple

from .arrays import added

SHIFTS = (0.5, 1.0, 2.0, -0.5, -1.0, -2.0)
WORSE = 3
FAST = 2.0
SPARSE_SHARE, SPARSE_POWER = 0.1, 0.15
MOST_SCORE = 3.5
MOST_GAIN = 5.0
MOST = 1e200
BATCHES = (8, 32, 128)
PRIOR_BATCHES, PRIOR_EXCESS = 4.0, 1.5
MOST_EXCESS = 50.0
FEW = 100.0
ENOUGH = (128, 256, 64, 0, 256, 64, 0)
SLOW_RATE = 1.0 / 64.0


class Since(NamedTuple):
    """Where a component began to climb (its CUSUM was 0 there): the moment, and the sums of the series there."""

    at: float
    seen: float
    observed: float
    expected: float
    residual: float


class Evidence:
    """An e-detector over normal scores (Shin, Ramdas & Rinaldo 2023): a mean of Shiryaev-Roberts sums R = (1 + R) · g(z), whose mean run to a false alarm
    at the level c is at least c scores.

    The bets g: a shift by δ of all scores, exp(δz - δ²/2) for δ = ±½, ±1, ±2, and a tenth of them at the far end, 0.9 + 0.1 · 0.15 · p^-0.85. A shift is
    bet on once 64 ÷ δ² scores are known, since a normal that is known by n is off by 1 ÷ √n itself. Where scores hang together their sums vary more than they
    should: ln g is divided by that excess, learned from the means of 8, for the
    smallest shifts and in both ways of 32 too. Without `both_ways` only shifts upwards are bet on.

    >>> evidence = Evidence()
    >>> evidence.settle(known=500)
    >>> for number in range(15):
    ...     level = evidence.observe(3.0, Since(float(number), 0, 0, 0, 0))
    >>> level > 1e6, evidence.lead.at
    (True, 0.0)
    """

    __slots__ = ("_batches", "_burst", "_climbs", "_excess", "_known", "_shifts", "_since", "_sums", "lead_place")

    def __init__(self, *, both_ways: bool = True) -> None:
        self._shifts = SHIFTS if both_ways else SHIFTS[:WORSE]
        count = len(self._shifts) + 1
        self._sums, self._climbs = [0.0] * count, [0.0] * count
        self._since: list[Since | None] = [None] * count
        self.lead_place = 0
        self._batches = [[0.0, 0.0, 0.0, 0.0] for _ in BATCHES]  # the open one's sum and count, squares of the closed ones, their number
        self._known = 0
        self._excess = self._burst = PRIOR_EXCESS

    @property
    def level(self) -> float:
        """A false alarm at this level is to be expected once in so many scores."""
        return added(self._sums) / len(self._sums)

    @property
    def lead(self) -> Since | None:
        """Where the strongest component began."""
        return self._since[self.lead_place]

    @property
    def shift(self) -> float:
        """By how much the strongest component bets that scores have moved; 2 for the sparse one."""
        return (2.0, *SHIFTS)[self.lead_place]

    @property
    def excess(self) -> float:
        """How much more sums of scores vary than they would if they came independently."""
        return self._excess

    def observe(self, score: float, here: Since) -> float:
        """Take in a score; the level."""
        best = -1.0
        total = 0.0
        sums, climbs, known = self._sums, self._climbs, self._known
        for place, gain in enumerate(self.gains(score)):
            if known < ENOUGH[place]:
                continue
            climbed = climbs[place]
            if climbed <= 0.0:
                self._since[place] = here
            climbs[place] = climbed + gain if climbed + gain > 0.0 else 0.0
            now = (1.0 + sums[place]) * math.exp(gain)
            sums[place] = now = now if now < MOST else MOST
            total += now
            if now > best:
                best, self.lead_place = now, place
        return total / len(sums)

    def gains(self, score: float) -> list[float]:
        """ln g of every bet on a score, divided by the excess."""
        near = MOST_SCORE if score > MOST_SCORE else -MOST_SCORE if score < -MOST_SCORE else score
        slow, fast = 1.0 / self._excess, 1.0 / self._burst
        found = [_sparse(score) * fast]
        if len(self._shifts) > WORSE:
            fast = slow
        for shift in self._shifts:
            found.append((shift * near - 0.5 * shift * shift) * (fast if shift >= FAST else slow))
        return found

    def learn(self, score: float) -> None:
        """Count a score in what is known of how they hang together; call `settle` at the end of a block."""
        for size, batch in zip(BATCHES, self._batches, strict=True):
            batch[0] += score
            batch[1] += 1.0
            if batch[1] >= size:
                batch[2] += (batch[0] * batch[0] / size - batch[2]) * max(1.0 / (batch[3] + 1.0), SLOW_RATE)
                batch[3] += 1.0
                batch[0] = batch[1] = 0.0

    def settle(self, known: int) -> None:
        """Take the excess from the batches, one standard error higher for small shifts, which long sums tell.

        Scores among few known ones are all off together, and those that hang together are fewer than they seem.
        """
        self._known = known
        found = [(PRIOR_BATCHES * PRIOR_EXCESS + batch[3] * batch[2]) / (PRIOR_BATCHES + batch[3]) for batch in self._batches]
        doubtful = (one * (1.0 + math.sqrt(2.0 / (PRIOR_BATCHES + batch[3]))) for one, batch in zip(found, self._batches, strict=True))
        burst, excess = min(max(found[0], 1.0), MOST_EXCESS), min(max(1.0, *doubtful), MOST_EXCESS)
        young = 1.0 + FEW * excess / max(known, 1)
        self._burst, self._excess = young * burst, young * excess

    def forget(self) -> None:
        """Begin to gather anew."""
        self._sums, self._climbs = [0.0] * len(self._sums), [0.0] * len(self._sums)

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [
            [list(self._sums), list(self._climbs)],
            [list(one) if one is not None else None for one in self._since],
            self.lead_place,
            [list(one) for one in self._batches],
            [self._excess, self._burst],
            self._known,
        ]

    @classmethod
    def restore(cls, state: list[Any]) -> "Evidence":
        """The state of a snapshot."""
        made = cls(both_ways=len(state[0][0]) > WORSE + 1)
        made._sums, made._climbs = list(state[0][0]), list(state[0][1])
        made._since = [Since(*one) if one is not None else None for one in state[1]]
        made.lead_place, (made._excess, made._burst), made._known = state[2], state[4], state[5]
        made._batches = [list(one) for one in state[3]]
        return made


def _sparse(score: float) -> float:
    """ln of the bet that a tenth of the scores are at the far end."""
    if score < 0.7:
        return -0.1
    tail = 0.5 * math.erfc(score * 0.7071067811865476)
    gain = math.log(1.0 - SPARSE_SHARE + SPARSE_SHARE * SPARSE_POWER * tail ** (SPARSE_POWER - 1.0))
    return gain if gain < MOST_GAIN else MOST_GAIN


__all__ = ["SHIFTS", "Evidence", "Since"]
