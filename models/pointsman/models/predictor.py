"""What to expect of a request on one track: river's linear models in log space, a sliding median, and a default below them."""

import math
from collections.abc import Mapping
from typing import Any

from river import linear_model, optim

from pointsman.schemas import Interval

from .quantiles import SlidingQuantiles

METRICS = ("latency_ms", "ttft_ms", "output_tokens", "cost_usd", "quality_score")
DECIMALS = {"latency_ms": 3, "ttft_ms": 3, "output_tokens": 1, "cost_usd": 9, "quality_score": 6}
SMALLEST = {"latency_ms": 0.01, "ttft_ms": 0.01, "output_tokens": 0.5, "cost_usd": 1e-9, "quality_score": 1e-3}
YOUNG = 20
RESIDUALS = 200
FADING = 0.05
RATE = 0.05
_LARGEST_LOG = 25.0


class Forecaster:
    """One metric of one track: a ladder of learned, windowed and default, each measured, the better of the first two used.

    The learned rung is `river.linear_model.LinearRegression` on the logarithm of the metric, features of order one;
    the interval is the 5 % and 95 % quantile of the last 200 log residuals of what was issued.
    """

    __slots__ = ("default", "learned_error", "metric", "model", "residuals", "window", "window_error")

    def __init__(self, metric: str, default: float, memory: int) -> None:
        self.metric = metric
        self.default = math.log(max(default, SMALLEST[metric]))
        self.model = _model()
        self.window = SlidingQuantiles(memory)
        self.residuals = SlidingQuantiles(RESIDUALS)
        self.learned_error = 0.0
        self.window_error = 0.0

    @property
    def rung(self) -> str:
        """Which rung answers now: learned, windowed or default."""
        if len(self.window) < 3:
            return "default"
        if len(self.window) < YOUNG or self.learned_error > self.window_error:
            return "windowed"
        return "learned"

    def predict(self, x: Mapping[str, float]) -> float:
        """The logarithm of the expected value."""
        rung = self.rung
        if rung == "default":
            return self.default
        centre = self.window.get(0.5)
        value = self._learned(x, centre) if rung == "learned" else None
        return centre if value is None else value

    def _learned(self, x: Mapping[str, float], centre: float) -> float | None:
        value = centre + float(self.model.predict_one(dict(x)))  # type: ignore[no-untyped-call]
        return value if math.isfinite(value) and abs(value) < _LARGEST_LOG else None

    def interval(self, log_median: float) -> Interval:
        """The median with its 90 % interval, in the metric's unit."""
        if len(self.residuals) >= YOUNG:
            low, high = min(self.residuals.get(0.05), 0.0), max(self.residuals.get(0.95), 0.0)
        else:
            low, high = -1.1, 1.1
        digits, metric = DECIMALS[self.metric], self.metric
        median, lower, upper = _unlog(log_median, metric), _unlog(log_median + low, metric), _unlog(log_median + high, metric)
        if metric == "quality_score":
            median, lower, upper = min(median, 1.0), min(lower, 1.0), min(upper, 1.0)
        return Interval(median=round(median, digits), lower=round(lower, digits), upper=round(upper, digits))

    def quantile(self, log_median: float, level: float) -> float:
        """The conditional quantile of the metric, for a timeout."""
        shift = self.residuals.get(level) if len(self.residuals) >= YOUNG else 1.6
        return _unlog(log_median + shift, self.metric)

    def learn(self, x: Mapping[str, float], value: float, issued: float | None) -> None:
        """Take in an outcome; `issued` is the log prediction that was made of it, where one was."""
        target = math.log(max(value, SMALLEST[self.metric]))
        if issued is not None:
            self.residuals.update(target - issued)
        if len(self.window) >= 3:
            centre = self.window.get(0.5)
            learned = self._learned(x, centre)
            missed = abs(target - learned) if learned is not None else 10.0
            self.window_error += FADING * (abs(target - centre) - self.window_error)
            self.learned_error += FADING * (missed - self.learned_error)
            self.model.learn_one(dict(x), max(-3.0, min(3.0, target - centre)))
            if not all(math.isfinite(weight) for weight in self.model.weights.values()):
                self.model = _model()
        self.window.update(target)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "weights": dict(self.model.weights),
            "intercept": self.model.intercept,
            "window": self.window.snapshot(),
            "residuals": self.residuals.snapshot(),
            "errors": [self.learned_error, self.window_error],
            "steps": self.model.optimizer.n_iterations,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self.model = _model()
        self.model._weights.update(state["weights"])
        self.model.intercept = state["intercept"]
        self.model.optimizer.n_iterations = state["steps"]
        self.window.restore(state["window"])
        self.residuals.restore(state["residuals"])
        self.learned_error, self.window_error = state["errors"]


def _model() -> linear_model.LinearRegression:
    return linear_model.LinearRegression(optimizer=optim.SGD(RATE), intercept_lr=RATE, clip_gradient=3.0)


def _unlog(value: float, metric: str) -> float:
    number = math.exp(max(-_LARGEST_LOG, min(_LARGEST_LOG, value)))
    return 0.0 if number <= SMALLEST[metric] * 1.000001 else number
