"""How a model stands: measured by what it said before the outcome, put to rest where it fails, back once it has proved itself in shadow."""

from math import inf
from typing import Any

FADING = 0.02
YOUNG = 20
PROOF = 50
MOST_PROOF = 800
DIVERGED = 4.0
MISTAKE = 0.2
RETURNS = 1.1
CROWDED = 4.0
WORST_LOG = 5.0


class Standing:
    """One model's record on one metric of one track: recent error, WAPE, age, versions; and whether it may answer.

    `error` is the fading mean of |ln(outcome ÷ prediction)|, `loss` that of |outcome - prediction| in the metric's unit. It rests where it throws, is not
    finite, or its error is beyond 4 times the simplest one's and 0.2 more, and returns after 50 outcomes in shadow (twice as many each time) if its error
    is then at most 1.1 times the simplest one's.

    >>> standing = Standing()
    >>> for _ in range(40):
    ...     _ = standing.observe(0.1, 100.0, 110.0)
    >>> standing.may_answer, round(standing.error, 2)
    (True, 0.1)
    >>> standing.rest(now=60.0)
    >>> standing.may_answer, standing.version, standing.outcomes
    (False, 1, 0)
    >>> for _ in range(50):
    ...     standing.judge(0.1, now=120.0)
    ...     _ = standing.observe(0.1, 100.0, 110.0)
    >>> standing.judge(0.1, now=120.0)
    >>> standing.may_answer, standing.since
    (True, 120.0)
    """

    __slots__ = ("deviations", "error", "is_resting", "loss", "outcomes", "resets", "since", "totals", "version")

    def __init__(self) -> None:
        self.error = 0.0
        self.loss = 0.0
        self.deviations = 0.0
        self.totals = 0.0
        self.outcomes = 0
        self.version = 0
        self.resets = 0
        self.since = 0.0
        self.is_resting = False

    @property
    def may_answer(self) -> bool:
        """Whether it is old enough, and not at rest."""
        return not self.is_resting and self.outcomes >= YOUNG

    @property
    def wape(self) -> float | None:
        """Σ |prediction - outcome| ÷ Σ |outcome| over all outcomes of this version; None where that is no finite number."""
        share = self.deviations / self.totals if self.totals > 0.0 else inf
        return share if share < inf else None

    def observe(self, error: float, actual: float, said: float, in_flight: float = 0.0) -> None:
        """An outcome with the |ln ratio| to what was said, both in the metric's unit, and how many ran beside it.

        The loss remembers four times as many outcomes as that: in a burst the short ones end first, and speak for nobody else.
        """
        self.outcomes += 1
        rate = 1.0 / self.outcomes if self.outcomes < 50 else FADING
        away = abs(actual - said)
        self.error += rate * ((error if error < WORST_LOG else WORST_LOG) - self.error)
        slow, whole = 1.0 / (CROWDED * in_flight + 1.0), 1.0 / self.outcomes
        slow = slow if slow < rate else rate
        self.loss += (slow if slow > whole else whole) * (away - self.loss)
        self.deviations += away
        self.totals += actual

    def rest(self, now: float) -> None:
        """It failed: made anew, and silent until it has proved itself."""
        self.version += 1
        self.resets += 1
        self.is_resting, self.since = True, now
        self.error = self.loss = self.deviations = self.totals = 0.0
        self.outcomes = 0

    def has_diverged(self, simplest: float) -> bool:
        """Whether its recent error is out of all proportion to the simplest one's."""
        return self.outcomes >= YOUNG and self.error > DIVERGED * simplest + MISTAKE

    def judge(self, simplest: float, now: float) -> None:
        """Let it back where it has proved itself."""
        proof = min(PROOF * 2 ** min(self.resets - 1, 10), MOST_PROOF)
        if self.is_resting and self.outcomes >= proof and self.error <= RETURNS * simplest + 1e-9:
            self.is_resting, self.since = False, now

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.error, self.loss, self.deviations, self.totals, self.outcomes, self.version, self.resets, self.since, self.is_resting]

    @classmethod
    def restore(cls, state: list[Any]) -> "Standing":
        """The record that left this snapshot."""
        standing = cls()
        standing.error, standing.loss, standing.deviations, standing.totals, *rest = state
        standing.outcomes, standing.version, standing.resets, standing.since, standing.is_resting = rest
        return standing


def is_sane(log: float, centre: float) -> bool:
    """Whether a prediction is a number, and within ten e-folds of what is usual.

    >>> import math
    >>> is_sane(math.nan, 0.0), is_sane(3.0, 0.0), is_sane(-40.0, 0.0)
    (False, True, False)
    """
    return abs(log - centre) < 10.0
