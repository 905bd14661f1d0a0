"""Change of one track's level: CUSUM (Page 1954) on standardised residuals, and a likelihood ratio for its return.

While nothing has changed: S <- max(0, S - z - SLACK), z the residual in its own standard deviations, clipped at 3; an alarm at S > ALARM. From then on the
track is predicted by its old regression plus the mean residual since S was last 0; the regression itself is kept as it was, so that when the
likelihood of the old level wins by RETURN nats again, everything known before is in force at once. A new level that lasts is adopted.
"""

import math
from typing import Any

SLACK = 0.75
ALARM = 10.0
RETURN = 4.0
CLIP = 3.0
YOUNG = 30
ADOPTED = 400
LONGEST_MEAN = 50


class Drift:
    """The detector of one track. `shift` is what to add to its predictions: 0 unless its level has changed."""

    __slots__ = ("alarms", "evidence", "is_shifted", "mean", "outcomes", "returned", "run", "shift", "since", "variance")

    def __init__(self, variance: float) -> None:
        self.variance = variance
        self.outcomes = 0
        self.is_shifted = False
        self.shift = 0.0
        self.since = 0
        self.alarms = 0
        self.returned = 0.0
        self.evidence = 0.0
        self.mean = 0.0
        self.run = 0

    def observe(self, error: float) -> str | None:
        """One residual of the unshifted prediction; says `shifted`, `returned` or `adopted` where that changed.

        >>> drift = Drift(0.01)
        >>> [said for n in range(80) if (said := drift.observe(0.1 if n < 40 and n % 2 else -0.1 if n < 40 else -0.3))]
        ['shifted']
        >>> round(drift.shift, 1)
        -0.3
        """
        deviation = math.sqrt(self.variance)
        z = max(-CLIP, min(CLIP, error / deviation))
        if self.outcomes < YOUNG:
            self._settle(error)
            return None
        if self.is_shifted:
            return self._follow(error, deviation)
        self.evidence = max(0.0, self.evidence - z - SLACK)
        if self.evidence == 0.0:
            self.mean, self.run = 0.0, 0
        else:
            self.run += 1
            self.mean += (error - self.mean) / self.run
        if self.evidence > ALARM:
            self.is_shifted, self.since, self.returned = True, 0, 0.0
            self.shift = self.mean * self.run / (self.run + 1.0)
            self.alarms += 1
            return "shifted"
        self._settle(error)
        return None

    def _follow(self, error: float, deviation: float) -> str | None:
        """After an alarm: is the old level back, or has the new one come to stay?"""
        likelihood = 0.5 * (((error - self.shift) / deviation) ** 2 - (error / deviation) ** 2)
        self.returned = max(0.0, self.returned + max(-CLIP, min(CLIP, likelihood)))
        self.since += 1
        self.run += 1
        self.shift += (error - self.shift) / min(self.run, LONGEST_MEAN)
        if self.returned > RETURN:
            self._calm()
            return "returned"
        if self.since >= ADOPTED:
            self._calm()
            return "adopted"
        return None

    def _calm(self) -> None:
        self.is_shifted, self.shift, self.evidence, self.mean, self.run = False, 0.0, 0.0, 0.0, 0

    def _settle(self, error: float) -> None:
        self.outcomes += 1
        self.variance = max(1e-4, self.variance + (error * error - self.variance) / min(self.outcomes + 10.0, 200.0))

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [getattr(self, name) for name in self.__slots__]

    @classmethod
    def restore(cls, state: list[Any]) -> "Drift":
        """The detector that left this snapshot."""
        drift = cls(1.0)
        for name, value in zip(cls.__slots__, state, strict=True):
            setattr(drift, name, value)
        return drift
