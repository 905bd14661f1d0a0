"""What to expect of a request on one track: the models of all its metrics, its engine, and how many of them its load allows."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from pointsman.schemas import Expectation, Interval, OptimizationConfig, RequestCompleted, Track

from .engine import Engine, EngineForecast
from .engine_gauges import recognised
from .guests import FromEngine, FromKeyed, plainly
from .members import Linear, Smoothed, View
from .named import makings
from .pace import Pace
from .predictor import METRICS, YOUNG, Makers, Predictor, Saying
from .situation import Situation

TIMED = ("latency_ms", "ttft_ms")
LIGHT = frozenset({"linear"})

Sayings = dict[str, Saying]
NONE: Sayings = {}
NOWHERE = (0.0, 0.0, 0.0, 0.0)  # for the latency of an engine, whose intervals hold better by the median alone (benchmarks.latency)


class Outlook:
    """The predictions of one track; in light form the sliding median and the linear model, in full form everything, by `learners` and the track's own pace."""

    __slots__ = ("active", "config", "engine", "has_engine", "is_full", "lived", "outcomes", "pace", "predictors", "settings")

    def __init__(self, settings: Track, config: OptimizationConfig) -> None:
        self.settings, self.config = settings, config
        self.pace = Pace()
        self.lived = 0.0
        self.outcomes = 0
        self.has_engine = settings.is_local
        self.engine: Engine | None = None
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
            if metric in TIMED:
                makers |= {"engine": FromEngine}
        return makers | makings(self.config.models, self.settings.name, metric)

    def _choose(self) -> None:
        """Light or full, and who answers then; models that a user named always do."""
        self.is_full = self.config.learners == "full" or (self.config.learners == "auto" and not self.pace.is_busy)
        self.active = {
            metric: frozenset(name for name in predictor.makers if self.is_full or name in LIGHT or name.startswith("river."))
            for metric, predictor in self.predictors.items()
        }
        if not self.is_full or not self.has_engine:
            self.engine = None
        elif self.engine is None:
            self.engine = Engine()

    @property
    def learners(self) -> Literal["light", "full"]:
        """The form that answers now."""
        return "full" if self.is_full else "light"

    # what is said

    def issue(self, request_id: str, situation: Situation, *, is_new: bool = True) -> tuple[dict[str, float], Sayings]:
        """What is published of a request that starts now, kept until its outcome, and its features; the engine hears only of new ones."""
        self.pace.observe(situation.now)
        if self.config.learners == "auto" and self.is_full == self.pace.is_busy:
            self._choose()
        x = features(situation)
        views, places = self._views(x, situation, self._forecast(request_id, situation) if is_new else None)
        sayings: Sayings = {}
        for metric, predictor in self.predictors.items():
            saying = predictor.issue(views[metric], self.active[metric], places[metric], situation.in_flight, situation.now, is_full=self.is_full)
            if saying is not None:
                sayings[metric] = saying
        return x, sayings

    def _views(
        self, x: dict[str, float], situation: Situation, forecast: EngineForecast | None, *, is_question: bool = False
    ) -> tuple[dict[str, View], dict[str, tuple[float, ...]]]:
        """What the models of each metric see of a request, and how it lies among others: as its engine says where it has one."""
        views = dict.fromkeys(self.predictors, View(x, situation=situation, is_question=is_question))
        places = dict.fromkeys(self.predictors, near(situation) if self.is_full else ())
        if self.engine is not None:
            places["latency_ms"] = NOWHERE
        if forecast is not None:
            places["ttft_ms"] = forecast.near
            for metric, log in (("latency_ms", forecast.latency_ms), ("ttft_ms", forecast.ttft_ms)):
                views[metric] = View(x, situation=situation, engine=log, beyond=forecast.beyond, is_question=is_question)
        return views, places

    def intervals(self, sayings: Sayings) -> dict[str, Interval]:
        """The same in each metric's unit."""
        return {metric: self.predictors[metric].interval(saying) for metric, saying in sayings.items()}

    def expectation(self, situation: Situation) -> tuple[Expectation, dict[str, float]]:
        """What would be issued of such a request, priors where nothing was seen, and ln of the medians; reads only."""
        views, places = self._views(features(situation), situation, self._peek(situation), is_question=True)
        logs, intervals = {}, {}
        for metric, predictor in self.predictors.items():
            found = predictor.expected(views[metric], self.active[metric], places[metric], situation.in_flight, is_full=self.is_full)
            logs[metric], intervals[metric] = found
        return Expectation(**intervals), logs

    def logs(self, sayings: Sayings) -> dict[str, float]:
        """ln of the medians of the timed metrics, the prior's where nothing was said."""
        return {metric: sayings[metric].log if metric in sayings else self.predictors[metric].window.default for metric in TIMED}

    def latency(self, situation: Situation) -> tuple[float, tuple[float, ...]]:
        """ln of the latency's median, and how the request lies among others; reads only."""
        views, places = self._views(features(situation), situation, self._peek(situation), is_question=True)
        saying, _ = self.predictors["latency_ms"].look(views["latency_ms"], self.active["latency_ms"])
        return saying.log, places["latency_ms"]

    # the engine

    def sampled(self, now: float, gauges: Mapping[str, float], host: str) -> None:
        """A host of this track was sampled."""
        if not self.has_engine and "running" in recognised(gauges):
            self.has_engine = True
            self._choose()
        if self.engine is not None:
            try:
                self.engine.sampled(now, gauges, host)
            except Exception:  # law 9
                self._renew_engine(now)

    def ended(self, request_id: str, event: RequestCompleted | None, now: float) -> None:
        """A request is over, or, without an event, given up."""
        if self.engine is None:
            return
        try:
            if event is None:
                self.engine.abandon(request_id, now)
            else:
                self.engine.complete(request_id, now, event.latency_ms, event.ttft_ms, success=event.success, output_tokens=event.output_tokens)
        except Exception:  # law 9
            self._renew_engine(now)

    def is_beyond(self, situation: Situation) -> bool:
        """Whether more run, or arrive, than was ever lived through: as the engine says, else a quarter beyond the most beside which a request ended."""
        if self.outcomes < YOUNG:
            return False
        if self.engine is not None and len(self.engine.starts) >= YOUNG:
            return self.engine.is_beyond
        return situation.in_flight > 1.25 * self.lived + 4.0

    def _forecast(self, request_id: str, situation: Situation) -> EngineForecast | None:
        if self.engine is None:
            return None
        try:
            return self.engine.start(request_id, situation)
        except Exception:  # law 9
            self._renew_engine(situation.now)
            return None

    def _peek(self, situation: Situation) -> EngineForecast | None:
        """What the engine would say of such a request; reads only."""
        if self.engine is None:
            return None
        try:
            return self.engine.peek(situation)
        except Exception:  # law 9
            return None

    def _renew_engine(self, now: float) -> None:
        self.engine = Engine()
        for metric in TIMED:
            self.predictors[metric].rest("engine", now)

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
        now = [self.pace.snapshot(), self.lived, self.outcomes, self.has_engine]
        engine = self.engine.snapshot() if self.engine is not None else None
        return {"now": now, "engine": engine} | {metric: predictor.snapshot() for metric, predictor in self.predictors.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        pace, self.lived, self.outcomes, self.has_engine = state["now"]
        self.pace = Pace.restore(pace)
        for metric, predictor in self.predictors.items():
            predictor.restore(state[metric])
        self._choose()
        if self.engine is not None and state["engine"] is not None:
            self.engine.restore(state["engine"])


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
    return math.log1p(situation.in_flight + situation.pressure), situation.drift + situation.overdue, 0.3 * math.log1p(situation.input_tokens or 0), 0.0
