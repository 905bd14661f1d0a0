"""What the core emits and routers and operators subscribe to."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from .config import Mode, Strategy
from .envelope import Count, Event, Identifier, OutputEvent, Share, ShortText

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
    """One track of a recommendation: how likely it is drawn, what is expected of it, and how long to wait for it."""

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
    Beyond `limit` in flight nothing is known.
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
    input_tokens: Count = 0
    output_tokens: Count = 0
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


class AlertRaised(_Alert):
    """Something is out of its bounds."""

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
