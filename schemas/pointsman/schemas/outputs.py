"""What the core emits and routers and operators subscribe to."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from .config import Learners, Mode, PredictedMetric, ScalingUnit, Strategy
from .envelope import Count, Event, Identifier, OutputEvent, Share, ShortText, Sum

AlertKind = Literal["anomaly", "constraint", "slo_burn", "drift", "forecast", "budget"]
Severity = Literal["info", "warning", "critical"]
Health = Literal["healthy", "degraded", "cooldown", "ejected", "probing"]
PolicyTarget = Literal["quality", "log_cost", "log_latency", "success"]


class Interval(BaseModel):
    """A median with the ends of its 90 % interval."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    median: float
    lower: float
    upper: float


class Expectation(BaseModel):
    """What the core expects of one request: per metric a median and a 90 % interval."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    latency_ms: Interval | None = None
    ttft_ms: Interval | None = None
    output_tokens: Interval | None = None
    cost_usd: Interval | None = None
    quality_score: Interval | None = None


class TrackAdvice(BaseModel):
    """One track of a recommendation: how likely it is drawn, what is expected of it, and how long to wait for it.

    `max_concurrency` is how many requests should be in flight on it: the least of what is configured, what Gradient2 has found, and what was allocated.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    track: Identifier
    propensity: Share
    utility: float
    expected: Expectation
    timeout_ms: float
    ttft_timeout_ms: float
    max_concurrency: int | None = None
    health: Health = "healthy"


class RecommendationIssued(OutputEvent):
    """Which track a request, or every request of a segment, should take; `track` is the draw of a request."""

    TYPE: ClassVar[str] = "recommendation.issued/1"
    type: Literal["recommendation.issued/1"] = "recommendation.issued/1"
    segment: Identifier
    request_id: Identifier | None = None
    track: Identifier
    propensity: Share
    tracks: tuple[TrackAdvice, ...]
    plan: Literal["single", "hedged", "parallel"] = "single"
    hedge_delay_ms: float | None = None
    second_track: Identifier | None = None
    duplicate_of: ShortText | None = None
    strategy: Strategy
    mode: Mode
    reasons: tuple[str, ...]
    policy_version: Count
    expires_at: float


class PolicyLoad(BaseModel):
    """How a track slows down: seconds = constant_s + per_running_s · n + tokens · (per_token_s + per_token_running_s · n), n = running + 1.

    Tokens go by the request's input: ln(1 + input tokens) lies below the first of `edges` that is larger, and `tokens` has them at its place.
    Beyond `limit` in flight nothing is known, or no more is allowed.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    constant_s: float
    per_token_s: float
    per_token_running_s: float
    per_running_s: float = 0.0
    running: Count
    limit: float
    outcomes: Count
    edges: tuple[float, ...]
    tokens: tuple[float, ...]


class PolicyArm(BaseModel):
    """One track's coefficients: per target, expected = offset + weights · x; cost = price_usd · exp(expected log_cost)."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    track: Identifier
    offsets: dict[PolicyTarget, float]
    weights: dict[PolicyTarget, tuple[float, ...]]
    price_usd: float
    penalty: float = 0.0
    shift: float = 0.0
    variance: tuple[float, ...]
    level_variance: float
    noise: dict[PolicyTarget, float]
    probe: Share = 0.0
    admitted: Share = 1.0
    load: PolicyLoad | None = None


class PolicyObjective(BaseModel):
    """An objective that is being broken: `price` times the probability that a request breaks it is subtracted from a track's utility."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    target: PolicyTarget
    bound: float
    is_floor: bool
    price: float


class PolicyWorth(BaseModel):
    """What one unit of each target is worth; `cost` times ln(1 + cost / max_cost_usd), `shadow_price` times the cost in USD, are subtracted."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    quality: float
    latency: float
    success: float
    cost: float
    max_cost_usd: float
    max_latency_ms: float
    shadow_price: float = 0.0
    objectives: tuple[PolicyObjective, ...] = ()
    switching: float = 0.0


class PolicyPublished(OutputEvent):
    """Everything a router needs to decide by itself, exactly as the core would: `docs/policy.md` has the formula."""

    TYPE: ClassVar[str] = "policy.published/1"
    type: Literal["policy.published/1"] = "policy.published/1"
    version: Count
    features: Annotated[str, Field(max_length=64)]
    arms: tuple[PolicyArm, ...]
    worth: PolicyWorth
    ceiling_usd: float | None = None
    hard_ceiling_usd: float | None = None
    strategy: Strategy
    mode: Mode
    default_track: Identifier
    expires_at: float


class PredictionIssued(OutputEvent):
    """What was expected of a request with a known track, published before its outcome."""

    TYPE: ClassVar[str] = "prediction.issued/1"
    type: Literal["prediction.issued/1"] = "prediction.issued/1"
    request_id: Identifier
    track: Identifier
    revision: Count = 0
    latency_ms: Interval | None = None
    ttft_ms: Interval | None = None
    output_tokens: Interval | None = None
    cost_usd: Interval | None = None
    quality_score: Interval | None = None


class ModelReport(BaseModel):
    """One model of a metric: its share of what is published, its mean |ln(outcome ÷ prediction)| of late, and its WAPE over all its outcomes.

    `since` is when it took up its role, `version` counts how often it was made anew.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    name: Identifier
    role: Literal["champion", "challenger", "resting"]
    version: Count = 0
    weight: Share = 0.0
    error: float | None = None
    wape: float | None = None
    outcomes: Count = 0
    resets: Count = 0
    since: float = 0.0


class ModelsReported(OutputEvent):
    """How the models of one metric of one track do, and how often its 90 % interval held over the last 500 outcomes."""

    TYPE: ClassVar[str] = "models.reported/1"
    type: Literal["models.reported/1"] = "models.reported/1"
    track: Identifier
    metric: PredictedMetric
    learners: Learners
    models: tuple[ModelReport, ...]
    coverage: Share | None = None
    coverage_outcomes: Count = 0
    winkler: float | None = None


class ForecastIssued(OutputEvent):
    """What a series will be at `target_time`: a median and a 90 % interval; where it has a limit, the time until the median is beyond it.

    Series: `arrival_rate` (requests a second), `token_rate` (output tokens a second) and `concurrency` (mean in flight) of the scope or of one track, and
    what a host samples, by its field's or its gauge's name.
    """

    TYPE: ClassVar[str] = "forecast.issued/1"
    type: Literal["forecast.issued/1"] = "forecast.issued/1"
    metric: Identifier
    track: Identifier | None = None
    host: Identifier | None = None
    horizon_s: float
    target_time: float
    median: float
    lower: float
    upper: float
    limit: float | None = None
    time_to_limit_s: float | None = None


class ScalingRecommended(OutputEvent):
    """How much of a track to have at `effective_at`: enough for `demand` (requests in flight, an upper quantile of the forecast) at the target utilisation."""

    TYPE: ClassVar[str] = "scaling.recommended/1"
    type: Literal["scaling.recommended/1"] = "scaling.recommended/1"
    track: Identifier
    unit: ScalingUnit
    current: Count
    desired: Count
    demand: float
    level: Share
    service_time_ms: float | None = None
    target_utilisation: Share
    effective_at: float
    cooldown_until: float | None = None
    usd_per_hour: float = 0.0
    reason: str


class ScalingScored(OutputEvent):
    """What the advice of one stretch was worth: the share of the demand that it left unserved, and what it had beyond the demand as a share of it."""

    TYPE: ClassVar[str] = "scaling.scored/1"
    type: Literal["scaling.scored/1"] = "scaling.scored/1"
    track: Identifier
    start: float
    end: float
    unserved_share: float
    over_provisioned_share: float
    target_unserved_share: float
    changes: Count


class WindowClosed(OutputEvent):
    """What one track did in one event-time window."""

    TYPE: ClassVar[str] = "window.closed/1"
    type: Literal["window.closed/1"] = "window.closed/1"
    track: Identifier
    start: float
    end: float
    count: Count
    rate_per_s: float
    success_share: Share
    latency_mean_ms: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None
    input_tokens: Sum = 0
    output_tokens: Sum = 0
    cost_usd: float = 0.0
    quality_mean: float | None = None
    late: Count = 0


class StrategyAdapted(OutputEvent):
    """`adaptive` moved from one strategy to another, and on what evidence."""

    TYPE: ClassVar[str] = "strategy.adapted/1"
    type: Literal["strategy.adapted/1"] = "strategy.adapted/1"
    previous: Strategy
    current: Strategy
    why: str
    evidence: dict[str, float]


class _Alert(OutputEvent):
    fingerprint: Identifier
    kind: AlertKind
    severity: Severity
    subject: Identifier
    observed: float
    expected: float
    score: float = 1.0
    since: float
    metric: Identifier | None = None
    track: Identifier | None = None
    host: Identifier | None = None
    lower: float | None = None
    upper: float | None = None
    budget_left: float | None = None
    spent_at: float | None = None
    precision: Share | None = None
    muted: Literal["silenced", "maintenance"] | None = None
    acknowledged_by: ShortText | None = None
    reason: ShortText | None = None


class AlertRaised(_Alert):
    """Something is out of its bounds; told again where who is told of it, or who looks after it, has changed: `reason` says so."""

    TYPE: ClassVar[str] = "alert.raised/1"
    type: Literal["alert.raised/1"] = "alert.raised/1"


class AlertResolved(_Alert):
    """It is back within its bounds."""

    TYPE: ClassVar[str] = "alert.resolved/1"
    type: Literal["alert.resolved/1"] = "alert.resolved/1"


class Reason(BaseModel):
    """Why an event was refused: a code for programs, a sentence for people."""

    model_config = ConfigDict(frozen=True)
    code: Identifier
    message: Annotated[str, Field(max_length=2000)]


class EventRejected(Event):
    """A dead letter: the place, the reason and the bytes (base64, at most 64 KB of them)."""

    TYPE: ClassVar[str] = "event.rejected/1"
    type: Literal["event.rejected/1"] = "event.rejected/1"
    source: Identifier = "pointsman"
    place: str
    reason: Reason
    payload: str
    payload_bytes: Count
