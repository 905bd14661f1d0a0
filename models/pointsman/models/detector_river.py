"""The detector of a series as one of river's: for its pipelines, metrics and evaluations."""

from typing import Any

from river import anomaly

from .detector import SeriesDetector


class Detector(anomaly.base.AnomalyDetector):
    """Pointsman's detector behind river's interface: `score_one` says how anomalous a value is (0..1), `learn_one` takes it in.

    `x` has the value under `feature` (its only other entry where that is not given), and its time in epoch seconds under `timestamp`; without a time, rows are
    `step_s` apart.

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

    def score_one(self, x: dict[str, Any]) -> float:
        """How anomalous the value is, before it is learned."""
        return self._detector.score(*self._row(x)).score

    def learn_one(self, x: dict[str, Any]) -> None:
        """Take in the value."""
        self._detector.learn(*self._row(x))
        self._rows += 1

    def _row(self, x: dict[str, Any]) -> tuple[float, float]:
        at = float(x.get(self.timestamp, self._rows * self.step_s))
        name = self.feature if self.feature is not None else next(key for key in x if key != self.timestamp)
        return at, float(x[name])


__all__ = ["Detector"]
