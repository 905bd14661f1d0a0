"""The detector of a series as one of river's: for its pipelines, metrics and evaluations."""

import math
from collections.abc import Hashable
from typing import Any

from river import base

from .detector import SeriesDetector


class Detector(base.AnomalyDetector):
    """Pointsman's detector behind river's interface: `score_one` says how anomalous a value is (0..1), `learn_one` takes it in.

    `x` has the value under `feature` (where that is not given, under the first other name), and its time in epoch seconds under `timestamp`; without a time,
    rows are `step_s` apart. Without a finite value there is nothing to score or to learn.

    >>> detector = Detector()
    >>> for row in range(1000):
    ...     detector.learn_one({"value": float(row % 12)})
    >>> detector.score_one({"value": 5.0}) < 0.3 < detector.score_one({"value": 100.0})
    True
    """

    def __init__(self, feature: str | None = None, timestamp: str = "timestamp", step_s: float = 300.0) -> None:
        self.feature = feature
        self.timestamp = timestamp
        self.step_s = step_s
        self._detector = SeriesDetector()
        self._rows = 0

    def score_one(self, x: dict[Hashable, Any]) -> float:
        """How anomalous the value is, before it is learned."""
        row = self._row(x)
        return self._detector.score(*row).score if row is not None else 0.0

    def learn_one(self, x: dict[Hashable, Any]) -> None:
        """Take in the value."""
        if (row := self._row(x)) is not None:
            self._detector.learn(*row)
            self._rows += 1

    def _row(self, x: dict[Hashable, Any]) -> tuple[float, float] | None:
        """Time and value, where there is one."""
        name = self.feature if self.feature is not None else next((key for key in sorted(x, key=str) if key != self.timestamp), None)
        if name is None or name not in x or not math.isfinite(x[name]):
            return None
        return float(x.get(self.timestamp, self._rows * self.step_s)), float(x[name])


__all__ = ["Detector"]
