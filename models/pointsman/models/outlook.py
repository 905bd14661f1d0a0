"""What to expect of a request on one track: the models of all its metrics, its engine, and how many of them its load allows."""

import math
from typing import Any, Literal, NamedTuple

from pointsman.schemas import Expectation, Interval, OptimizationConfig, RequestCompleted, Track

from .guests import FromKeyed, plainly
from .members import Linear, Smoothed, View
from .named import makings
from .pace import Pace
from .predictor import METRICS, YOUNG, Makers, Predictor, Saying
from .situation import Situation

TIMED = ("latency_ms", "ttft_ms")
LIGHT = frozenset({"linear"})

Sayings = dict[str, Saying]
NONE: Sayings = {}


class Reach(NamedTuple):
    """What a request's prediction was made from: features of order one, and how it lies among others."""

    x: dict[str, float]
    near: tuple[float, ...]
    engine: dict[str, float]


class Outlook:
    """The predictions of one track; in light form the sliding median and the linear model, in full form everything, by `learners` and the track's own pace."""

    __slots__ = ("active", "config", "is_full", "lived", "outcomes", "pace", "predictors", "settings")

    def __init__(self, settings: Track, config: OptimizationConfig) -> None:
        self.settings, self.config = settings, config
        self.pace = Pace()
        self.lived = 0.0
        self.outcomes = 0
        defaults = {
            "latency_ms": settings.latency_ms,
            "ttft_ms": settings.latency_ms / 5.0,
            "output_tokens": 200.0,
            "cost_usd": settings.typical_cost_usd,
            "quality_score": settings.quality,
        }
        memory = config.intervals.window_outcomes
        self.predictors = {metric: Predictor(metric, defaults[metric], memory, self._makers(metric)) for metric in METRICS}
        self._choose()

    def _makers(self, metric: str) -> Makers:
        """The models of a metric under this configuration."""
        makers: dict[str, Any] = {"linear": Linear}
        if self.config.learners != "light":
            makers |= {"smoothed": Smoothed, "keyed": plainly if metric == "quality_score" else FromKeyed}
        return makers | makings(self.config.models, self.settings.name, metric)

    def _choose(self) -> None:
        """Light or full, and who answers then; models that a user named always do."""
        self.is_full = self.config.learners == "full" or (self.config.learners == "auto" and not self.pace.is_busy)
        self.active = {
            metric: frozenset(name for name in predictor.makers if self.is_full or name in LIGHT or name.startswith("river."))
            for metric, predictor in self.predictors.items()
        }

    @property
    def learners(self) -> Literal["light", "full"]:
        """The form that answers now."""
        return "full" if self.is_full else "light"

    # what is said

    def issue(self, request_id: str, situation: Situation) -> tuple[Reach, Sayings]:
        """What is published of a request that starts now, and what is kept of it until its outcome."""
        self.pace.observe(situation.now)
        if self.config.learners == "auto" and self.is_full == self.pace.is_busy:
            self._choose()
        reach = Reach(features(situation), near(situation) if self.is_full else (), {})
        sayings: Sayings = {}
        for metric, predictor in self.predictors.items():
            view = View(reach.x, situation=situation, engine=reach.engine.get(metric))
            saying = predictor.issue(view, self.active[metric], reach.near, situation.in_flight, situation.now, is_full=self.is_full)
            if saying is not None:
                sayings[metric] = saying
        return reach, sayings

    def intervals(self, sayings: Sayings) -> dict[str, Interval]:
        """The same in each metric's unit."""
        return {metric: self.predictors[metric].interval(saying) for metric, saying in sayings.items()}

    def expectation(self, situation: Situation) -> tuple[Expectation, dict[str, float]]:
        """What would be issued of such a request, priors where nothing was seen, and ln of the medians; reads only."""
        x, place = features(situation), near(situation) if self.is_full else ()
        logs, intervals = {}, {}
        for metric, predictor in self.predictors.items():
            found = predictor.expected(View(x, situation=situation, is_question=True), self.active[metric], place, situation.in_flight, is_full=self.is_full)
            logs[metric], intervals[metric] = found
        return Expectation(**intervals), logs

    def logs(self, sayings: Sayings) -> dict[str, float]:
        """ln of the medians of the timed metrics, the prior's where nothing was said."""
        return {metric: sayings[metric].log if metric in sayings else self.predictors[metric].window.default for metric in TIMED}

    def latency(self, situation: Situation) -> tuple[float, tuple[float, ...]]:
        """ln of the latency's median, and how the request lies among others; reads only."""
        saying, _ = self.predictors["latency_ms"].look(View(features(situation), situation=situation, is_question=True), self.active["latency_ms"])
        return saying.log, near(situation)

    # what is learned

    def learn(self, event: RequestCompleted, x: dict[str, float], sayings: Sayings, now: float) -> None:
        """Take in what a joined outcome shows; how long a failure took shows nothing."""
        observed = {
            "latency_ms": event.latency_ms if event.success else None,
            "ttft_ms": event.ttft_ms if event.success else None,
            "output_tokens": float(event.output_tokens) if event.success and event.output_tokens is not None else None,
            "cost_usd": event.cost_usd,
            "quality_score": event.quality_score,
        }
        if event.success and sayings:
            self.lived = max(self.lived, math.expm1(4.0 * x["in_flight"]))
            self.outcomes += 1
        for metric, value in observed.items():
            if value is not None:
                self.predictors[metric].learn(View(x), value, sayings.get(metric), self.active[metric], now)

    def learn_quality(self, score: float, x: dict[str, float], saying: Saying | None, now: float) -> None:
        """Take in a judgement that came after the completion."""
        self.predictors["quality_score"].learn(View(x), score, saying, self.active["quality_score"], now)

    def is_beyond(self, in_flight: int) -> bool:
        """Whether more run than a quarter beyond the most beside which a request was ever seen to its end."""
        return self.outcomes >= YOUNG and in_flight > 1.25 * self.lived + 4.0

    # configuration and state

    def configure(self, config: OptimizationConfig) -> None:
        """From here on this configuration: models come and go, what both have goes on, and so do windows, intervals and coverage."""
        self.config = config
        for metric, old in self.predictors.items():
            fresh = Predictor(metric, math.exp(old.window.default), config.intervals.window_outcomes, self._makers(metric))
            fresh.take_over(old)
            self.predictors[metric] = fresh
        self._choose()

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values, a part for each metric."""
        return {"now": [self.pace.snapshot(), self.lived, self.outcomes]} | {metric: predictor.snapshot() for metric, predictor in self.predictors.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        pace, self.lived, self.outcomes = state["now"]
        self.pace = Pace.restore(pace)
        for metric, predictor in self.predictors.items():
            predictor.restore(state[metric])
        self._choose()


def features(situation: Situation) -> dict[str, float]:
    """The inputs of linear and of user-named models: lengths, load, recent latency, how overdue the running requests are, and queueing at the hosts."""
    return {
        "input": math.log1p(situation.input_tokens or 0) / 8.0,
        "room": math.log1p(situation.max_output_tokens or 0) / 8.0,
        "in_flight": math.log1p(situation.in_flight) / 4.0,
        "drift": max(-2.0, min(2.0, situation.drift)),
        "overdue": situation.overdue,
        "queue": math.log1p(situation.pressure) / 4.0,
    }


def near(situation: Situation) -> tuple[float, ...]:
    """How a request lies among others where no engine says it: load, drift and length, an e-fold being 1 apart."""
    return math.log1p(situation.in_flight + situation.pressure), situation.drift + situation.overdue, 0.3 * math.log1p(situation.input_tokens or 0)
