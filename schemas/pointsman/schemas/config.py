"""The configuration of a scope: tracks, strategy, constraints and intervals, with the defaults people know."""

import hashlib
import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Strategy = Literal["balanced", "latency", "throughput", "resource", "quality", "cost", "adaptive"]
Mode = Literal["apply", "observe", "bypass"]
Metric = Literal["latency_ms", "ttft_ms", "success", "quality_score", "cost_usd"]
PredictedMetric = Literal["latency_ms", "ttft_ms", "output_tokens", "cost_usd", "quality_score"]
Learners = Literal["light", "full", "auto"]
ScalingUnit = Literal["replicas", "concurrency"]
_Name = Annotated[str, Field(min_length=1, max_length=256)]
LONGEST_WINDOW_S = 3660 * 86_400.0
LONGEST_NAME = 200
_Price = Annotated[float, Field(ge=0, le=1e6)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Concurrency(_Section):
    """The adaptive limit of requests in flight on a track; it stays within `minimum` and `maximum`, and within the track's `max_concurrency`.

    Where they are not said, a local track starts at its bound (`max_concurrency`, else `constraints.max_concurrent`), at most at 20, and may go down to 1; any
    other starts at 20 and stays there or above.
    """

    initial: Annotated[int, Field(ge=1, le=100_000)] | None = None
    minimum: Annotated[int, Field(ge=1, le=100_000)] | None = None
    maximum: Annotated[int, Field(ge=1, le=100_000)] = 200
    tolerance: Annotated[float, Field(ge=1, le=10)] = 1.5
    smoothing: Annotated[float, Field(gt=0, le=1)] = 0.2

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minimum is not None and self.minimum > self.maximum:
            raise ValueError(f"concurrency: minimum {self.minimum} is above maximum {self.maximum}")
        return self


class Track(_Section):
    """One way to serve a request; prices and quality are priors that completions overrule."""

    name: _Name
    cost_per_1k_input_tokens: _Price = 0.0
    cost_per_1k_output_tokens: _Price = 0.0
    cost_per_request_usd: _Price = 0.0
    quality: Annotated[float, Field(ge=0, le=1)] = 0.7
    latency_ms: Annotated[float, Field(gt=0, le=1e8)] = 2000.0
    max_concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = None
    concurrency: Concurrency = Concurrency()
    provider: _Name | None = None
    uses_local_resources: bool | None = None

    @property
    def typical_cost_usd(self) -> float:
        """What a request of 500 tokens in and 200 out would cost by the declared prices."""
        return self.cost_per_request_usd + 0.5 * self.cost_per_1k_input_tokens + 0.2 * self.cost_per_1k_output_tokens

    @property
    def is_local(self) -> bool:
        """Whether this track competes for the sampled hosts' resources; unless said, the one named `local` does."""
        return self.name == "local" if self.uses_local_resources is None else self.uses_local_resources


class Budget(_Section):
    """What may be spent, in US dollars; soft unless `hard`."""

    usd_per_request: Annotated[float, Field(gt=0)] | None = None
    usd_per_hour: Annotated[float, Field(gt=0)] | None = None
    usd_per_day: Annotated[float, Field(gt=0)] | None = None
    hard: bool = False


class Hedging(_Section):
    """Second copies of a request: after a delay, at most this share of all requests; `parallel` also lets two start at once where that is worth it."""

    share: Annotated[float, Field(ge=0, le=0.5)] = 0.03
    parallel: bool = False


class Constraints(_Section):
    """Bounds whose violation raises an alert and weighs on the tracks that cause it."""

    max_latency_ms: Annotated[float, Field(gt=0, le=1e8)] = 2000.0
    max_cost_usd: Annotated[float, Field(gt=0, le=1e6)] = 0.01
    max_memory_mb: Annotated[float, Field(gt=0)] = 4096.0
    max_cpu_percent: Annotated[float, Field(gt=0, le=100)] = 80.0
    max_gpu_memory_mb: Annotated[float, Field(gt=0)] = 2048.0
    max_concurrent: Annotated[int, Field(ge=1)] = 4
    min_battery_percent: Annotated[float, Field(ge=0, le=100)] = 20.0
    max_temperature_c: Annotated[float, Field(gt=0, le=1000)] | None = None


class Intervals(_Section):
    """How often things happen, in seconds of event time, and how many outcomes a statistic remembers."""

    window_s: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    lateness_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    policy_s: Annotated[float, Field(ge=0.1, le=3600)] = 1.0
    recommendation_s: Annotated[float, Field(ge=0.1, le=3600)] = 10.0
    adapt_s: Annotated[float, Field(ge=1, le=86_400)] = 30.0
    expiry_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    join_s: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    sample_s: Annotated[float, Field(ge=0.1, le=3600)] = 1.0
    window_outcomes: Annotated[int, Field(ge=10, le=2000)] = 100


class Objective(_Section):
    """A service level objective: `share` of requests within `bound` over `window`; of one track, of one category, or of all."""

    metric: Metric
    bound: float
    share: Annotated[float, Field(gt=0, lt=1)] = 0.99
    window: Annotated[str, Field(pattern=r"^[0-9]+[smhd]$", max_length=12)] = "28d"
    track: _Name | None = None
    category: _Name | None = None

    @field_validator("window")
    @classmethod
    def _is_a_stretch_of_time(cls, window: str) -> str:
        if not 1.0 <= _seconds(window) <= LONGEST_WINDOW_S:
            raise ValueError(f"the window {window} is not between 1s and 3660d: write, for example, 28d")
        return window

    @property
    def window_s(self) -> float:
        """The window in seconds."""
        return _seconds(self.window)

    @property
    def name(self) -> str:
        """What it is called in events and metrics: what is asked for, and of what; no two objectives have the same.

        >>> Objective(metric="latency_ms", bound=1500, share=0.99, track="local").name
        'latency_ms<=1500 99% 28d track=local'
        """
        bound = "" if self.metric == "success" else f"{'>=' if self.metric == 'quality_score' else '<='}{self.bound:.12g}"
        of = "".join(f" {kind}={one}" for kind, one in (("track", self.track), ("category", self.category)) if one is not None)
        whole = f"{self.metric}{bound} {100.0 * self.share:.12g}% {self.window}{of}"
        if len(whole) <= LONGEST_NAME:
            return whole
        return f"{whole[: LONGEST_NAME - 9]}~{hashlib.blake2b(whole.encode('utf-8', 'replace'), digest_size=4).hexdigest()}"


def _seconds(window: str) -> float:
    return float(window[:-1]) * {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}[window[-1]]


class ModelChoice(_Section):
    """A river regressor that joins the models of one metric, on one track or, without `track`, on all: its class's full name and its arguments."""

    metric: PredictedMetric
    model: Annotated[str, Field(pattern=r"^river(\.[a-z_]+)+\.[A-Z][A-Za-z0-9]*$", max_length=256)]
    track: _Name | None = None
    parameters: dict[str, float | int | str | bool | None] = {}


class Forecasts(_Section):
    """What is forecast beside arrival rate, token rate and concurrency: the named gauges, on every host that reports them."""

    enabled: bool = True
    gauges: Annotated[tuple[_Name, ...], Field(max_length=16)] = ()


class Scaling(_Section):
    """How many replicas, or how much concurrency, a track may have, and what it takes to change that; `unserved_share` of the demand may find no place."""

    track: _Name
    unit: ScalingUnit = "replicas"
    minimum: Annotated[int, Field(ge=0, le=100_000)] = 1
    maximum: Annotated[int, Field(ge=1, le=100_000)] = 100
    concurrency_per_replica: Annotated[float, Field(gt=0, le=100_000)] = 1.0
    start_delay_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    target_utilisation: Annotated[float, Field(gt=0, le=1)] = 0.8
    unserved_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    cooldown_s: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    usd_per_hour: _Price = 0.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"scaling of {self.track}: minimum {self.minimum} is above maximum {self.maximum}")
        return self


class Signals(_Section):
    """What is watched, and when alerts are one incident.

    `false_alarms_per_month` is what one series may raise where nothing is wrong. An alert joins an incident that had news within `group_s` and that it is
    related to; an incident is over once none of its alerts has stood for `resolve_s`. `calls` are pairs (caller, callee) of tracks, hosts and stages; more are
    learned.
    """

    enabled: bool = True
    false_alarms_per_month: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    group_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    resolve_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    calls: Annotated[tuple[tuple[_Name, _Name], ...], Field(max_length=1024)] = ()
    bottleneck_s: Annotated[float, Field(ge=10, le=86_400)] = 900.0


class Capacity(_Section):
    """So many requests may be in flight on a track that several scopes use together; `priorities` by scope overrule those of the scopes' own configurations."""

    track: _Name
    concurrency: Annotated[int, Field(ge=1, le=100_000)]
    priorities: dict[str, Annotated[float, Field(gt=0, le=1000)]] = {}


class OptimizationConfig(_Section):
    """Everything a user sets for one scope."""

    strategy: Strategy = "balanced"
    mode: Mode = "apply"
    tracks: Annotated[tuple[Track, ...], Field(max_length=64)] = ()
    budget: Budget = Budget()
    constraints: Constraints = Constraints()
    hedging: Hedging = Hedging()
    intervals: Intervals = Intervals()
    objectives: Annotated[tuple[Objective, ...], Field(max_length=64)] = ()
    learners: Learners = "auto"
    models: Annotated[tuple[ModelChoice, ...], Field(max_length=64)] = ()
    forecasts: Forecasts = Forecasts()
    signals: Signals = Signals()
    scaling: Annotated[tuple[Scaling, ...], Field(max_length=64)] = ()
    priority: Annotated[float, Field(gt=0, le=1000)] = 1.0

    @field_validator("tracks")
    @classmethod
    def _names_differ(cls, tracks: tuple[Track, ...]) -> tuple[Track, ...]:
        names = [track.name for track in tracks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two tracks are named {', '.join(twice)}: give every track a name of its own")
        return tracks

    @model_validator(mode="after")
    def _reserved(self) -> Self:
        if any(re.fullmatch(r"\s*", track.name) for track in self.tracks):
            raise ValueError("a track's name is blank: name it, for example, local or api")
        return self
