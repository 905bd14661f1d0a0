"""Everything learned about one track: its windows, its predictions, its arm of the bandit, and how it is doing now."""

import math
from typing import Any

from pointsman.schemas import Expectation, Interval, OptimizationConfig, RequestCompleted, Track

from . import objective
from .bandit import Arm
from .decision import Context
from .predictor import METRICS, Forecaster, Prediction
from .windows import Windows

FAST = 0.1


class TrackState:
    """The state of one track in one scope."""

    __slots__ = ("arm", "completed", "forecasters", "in_flight", "latency_drift", "name", "overdue", "recent_success", "settings", "windows")

    def __init__(self, settings: Track, config: OptimizationConfig) -> None:
        self.name = settings.name
        self.settings = settings
        self.windows = Windows(config.intervals.window_s)
        typical = settings.cost_per_request_usd + 0.5 * settings.cost_per_1k_input_tokens + 0.2 * settings.cost_per_1k_output_tokens
        defaults = {
            "latency_ms": settings.latency_ms,
            "ttft_ms": settings.latency_ms / 5.0,
            "output_tokens": 200.0,
            "cost_usd": typical,
            "quality_score": settings.quality,
        }
        memory = config.intervals.window_outcomes
        self.forecasters = {metric: Forecaster(metric, defaults[metric], memory) for metric in METRICS}
        latency = objective.log_latency(settings.latency_ms, config)
        self.arm = Arm([settings.quality, latency, objective.cost(typical, config), 1.0])
        self.in_flight = 0
        self.completed = 0
        self.recent_success = 1.0
        self.latency_drift = 0.0
        self.overdue = 0.0

    def features(self, context: Context, pressure: float) -> dict[str, float]:
        """The inputs of the predictions: lengths, load, recent latency, how overdue the running requests are, and queueing at the hosts."""
        return {
            "input": math.log1p(context.input_tokens or 0) / 8.0,
            "room": math.log1p(context.max_output_tokens or 0) / 8.0,
            "in_flight": math.log1p(self.in_flight) / 4.0,
            "drift": max(-2.0, min(2.0, self.latency_drift)),
            "overdue": self.overdue,
            "queue": math.log1p(pressure) / 4.0,
        }

    def predict(self, x: dict[str, float]) -> dict[str, Prediction]:
        """What to expect, to hold against the outcome later; a metric never seen is left out."""
        return {metric: forecaster.predict(x) for metric, forecaster in self.forecasters.items() if forecaster.rung != "default"}

    def intervals(self, predicted: dict[str, Prediction]) -> dict[str, Interval]:
        """The same in each metric's unit, with 90 % intervals."""
        return {metric: self.forecasters[metric].interval(prediction[0]) for metric, prediction in predicted.items()}

    def expectation(self, predicted: dict[str, Prediction]) -> Expectation:
        """The same with the priors of the metrics never seen."""
        logs = {metric: predicted[metric][0] if metric in predicted else forecaster.default for metric, forecaster in self.forecasters.items()}
        return Expectation(**{metric: self.forecasters[metric].interval(value) for metric, value in logs.items()})

    def timeouts(self, predicted: dict[str, Prediction]) -> tuple[float, float]:
        """Total and TTFT timeout: a quarter above the conditional 99 % quantile, between 1 s and 10 minutes."""
        total, first = (
            1.25 * forecaster.quantile(predicted[metric][0] if metric in predicted else forecaster.default, 0.99)
            for metric in ("latency_ms", "ttft_ms")
            for forecaster in (self.forecasters[metric],)
        )
        return round(min(max(total, 1000.0), 600_000.0), 3), round(min(max(first, 1000.0), 600_000.0), 3)

    def observe(self, event: RequestCompleted, clock: float) -> None:
        """Count a completion where it counts at once: windows and health (a client's hang-up is not the track's fault)."""
        self.completed += 1
        self.windows.add(event, clock)
        if event.success or event.failure_class not in ("client", "cancelled"):
            self.recent_success += FAST * (float(event.success) - self.recent_success)

    def learn(self, event: RequestCompleted, context: Context, x: dict[str, float], issued: dict[str, Prediction], config: OptimizationConfig) -> None:
        """Learn from a joined outcome."""
        if not event.success and event.failure_class in ("client", "cancelled"):
            return
        latency = event.latency_ms if event.success else None
        observed = {
            "latency_ms": latency,
            "ttft_ms": event.ttft_ms if event.success else None,
            "output_tokens": float(event.output_tokens) if event.success and event.output_tokens is not None else None,
            "cost_usd": event.cost_usd,
            "quality_score": event.quality_score,
        }
        for metric, value in observed.items():
            if value is not None:
                self.forecasters[metric].learn(x, value, issued.get(metric))
        features = context.features()
        ratio = objective.log_latency(latency, config) if latency is not None else None
        if ratio is not None:
            missed = ratio - self.arm.predict(1, features)
            self.latency_drift += FAST * (max(-3.0, min(3.0, missed)) - self.latency_drift)
        spent = objective.cost(event.cost_usd, config) if event.cost_usd is not None else None
        self.arm.learn(features, [event.quality_score, ratio, spent, float(event.success)])

    def learn_quality(self, score: float, context: Context, x: dict[str, float]) -> None:
        """Learn from a judgement that came after the completion."""
        self.forecasters["quality_score"].learn(x, score, None)
        self.arm.learn(context.features(), [score, None, None, None])

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "settings": self.settings.model_dump(),
            "windows": self.windows.snapshot(),
            "forecasters": {metric: forecaster.snapshot() for metric, forecaster in self.forecasters.items()},
            "arm": self.arm.snapshot(),
            "now": [self.in_flight, self.completed, self.recent_success, self.latency_drift, self.overdue],
        }

    @classmethod
    def restore(cls, state: dict[str, Any], config: OptimizationConfig) -> "TrackState":
        """The track that left this snapshot."""
        track = cls(Track.model_validate(state["settings"]), config)
        track.windows = Windows.restore(state["windows"])
        for metric, forecaster in track.forecasters.items():
            forecaster.restore(state["forecasters"][metric])
        track.arm = Arm.restore(state["arm"])
        track.in_flight, track.completed, track.recent_success, track.latency_drift, track.overdue = state["now"]
        return track
