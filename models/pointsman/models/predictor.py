"""What to expect of a request on one track: river's linear models in log space, a sliding median, and a default below them."""

import math
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


Prediction = tuple[float, float, float]
"""Of one metric and request, as logarithms: what is issued, what the learned rung says, and what the window says."""


class Forecaster:
    """One metric of one track: a ladder of learned, windowed and default, each measured, the better of the first two used.

    The learned rung is `river.linear_model.LinearRegression` on the logarithm of the metric, features of order one;
    the interval is the 5 % and 95 % quantile of the last 200 log residuals of what was issued. Both rungs are judged by
    what they said before the outcome.
    """

    __slots__ = ("centre", "default", "high", "learned_error", "low", "metric", "model", "residuals", "rung", "window", "window_error")

    def __init__(self, metric: str, default: float, memory: int) -> None:
        self.metric = metric
        self.default = self.centre = math.log(max(default, SMALLEST[metric]))
        self.model = _model()
        self.window = SlidingQuantiles(memory)
        self.residuals = SlidingQuantiles(RESIDUALS)
        self.learned_error = 0.0
        self.window_error = 0.0
        self._settle()

    def _settle(self) -> None:
        """What changes only with an outcome: which rung answers (learned, windowed or default), its centre and its interval."""
        seen = len(self.window.ordered)
        self.rung = "default" if seen < 3 else "windowed" if seen < YOUNG or self.learned_error > self.window_error else "learned"
        self.centre = self.window.get(0.5) if seen >= 3 else self.default
        if len(self.residuals.ordered) >= YOUNG:
            self.low, self.high = math.exp(min(self.residuals.get(0.05), 0.0)), math.exp(max(self.residuals.get(0.95), 0.0))
        else:
            self.low, self.high = 1.0 / 3.0, 3.0

    def predict(self, x: dict[str, float]) -> Prediction:
        """What each rung expects; one that is not finite, or beyond all reason, says what the window says."""
        centre = self.centre
        if self.rung == "default":
            return centre, centre, centre
        learned = centre + self.model.predict_one(x)  # type: ignore[no-untyped-call]
        if not -_LARGEST_LOG < learned < _LARGEST_LOG:
            self.model, learned = _model(), centre
        return (learned if self.rung == "learned" else centre), learned, centre

    def interval(self, log_median: float) -> Interval:
        """The median with its 90 % interval, in the metric's unit."""
        digits = DECIMALS[self.metric]
        median = _unlog(log_median, self.metric)
        if self.metric == "quality_score":
            return Interval(
                median=round(min(median, 1.0), digits), lower=round(min(median * self.low, 1.0), digits), upper=round(min(median * self.high, 1.0), digits)
            )
        return Interval(median=round(median, digits), lower=round(median * self.low, digits), upper=round(median * self.high, digits))

    def quantile(self, log_median: float, level: float) -> float:
        """The conditional quantile of the metric, for a timeout."""
        shift = self.residuals.get(level) if len(self.residuals) >= YOUNG else 1.6
        return _unlog(log_median + shift, self.metric)

    def learn(self, x: dict[str, float], value: float, issued: Prediction | None) -> None:
        """Take in an outcome; `issued` is what was predicted of it, where something was."""
        target = math.log(max(value, SMALLEST[self.metric]))
        if issued is not None:
            self.residuals.update(round(target - issued[0], 5))
        if self.rung != "default":
            _, learned, centre = issued or self.predict(x)
            self.window_error += FADING * (abs(target - centre) - self.window_error)
            self.learned_error += FADING * (abs(target - learned) - self.learned_error)
            if target != learned:  # a gradient of zero changes nothing: a track that is always free costs nothing to learn
                self.model.learn_one(x, max(-3.0, min(3.0, target - self.centre)))
        self.window.update(round(target, 6))
        self._settle()

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
        self._settle()


def _model() -> linear_model.LinearRegression:
    return linear_model.LinearRegression(optimizer=optim.SGD(RATE), intercept_lr=RATE, clip_gradient=3.0)


def _unlog(value: float, metric: str) -> float:
    number = math.exp(max(-_LARGEST_LOG, min(_LARGEST_LOG, value)))
    return 0.0 if number <= SMALLEST[metric] * 1.000001 else number
