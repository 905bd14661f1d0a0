"""What producers publish: one frozen class per type string."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .config import OptimizationConfig
from .envelope import Attributes, Count, Duration, Identifier, InputEvent, Money, Percent, Share, ShortText

FailureClass = Literal["provider", "client", "timeout", "cancelled", "unknown"]
EXCUSED = frozenset({"client", "cancelled"})
Feature = Annotated[int, Field(ge=-127, le=127)]
Hash = Annotated[int, Field(ge=0, le=2**64 - 1)]


class Sketch(BaseModel):
    """What is kept of a prompt: no text, only sizes, a MinHash signature and hashed n-gram features."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
    tokens: Count
    characters: Count
    minhash: Annotated[tuple[Hash, ...], Field(max_length=32)] = ()
    features: Annotated[tuple[Feature, ...], Field(max_length=59)] = ()
    script: ShortText | None = None
    language: ShortText | None = None
    category: Identifier | None = None


class RequestStarted(InputEvent):
    """A request was sent to `track`; without a track a recommendation for this request is asked for."""

    TYPE: ClassVar[str] = "request.started/1"
    type: Literal["request.started/1"] = "request.started/1"
    request_id: Identifier
    track: Identifier | None = None
    recommendation_id: ShortText | None = None
    propensity: Annotated[float, Field(gt=0, le=1)] | None = None
    policy_version: Count | None = None
    input_tokens: Count | None = None
    max_output_tokens: Count | None = None
    category: Identifier | None = None
    sketch: Sketch | None = None
    conversation_id: ShortText | None = None
    deadline_ms: Duration | None = None
    traceparent: ShortText | None = None
    attributes: Attributes | None = None


class RequestCompleted(InputEvent):
    """An attempt ended: how long it took, what it used, and whether it worked."""

    TYPE: ClassVar[str] = "request.completed/1"
    type: Literal["request.completed/1"] = "request.completed/1"
    request_id: Identifier
    track: Identifier
    success: bool
    latency_ms: Duration | None = None
    ttft_ms: Duration | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cost_usd: Money | None = None
    error_type: ShortText | None = None
    failure_class: FailureClass | None = None
    quality_score: Share | None = None
    cache_hit: bool | None = None
    stages: Annotated[dict[Identifier, Duration], Field(max_length=32)] | None = None

    @property
    def is_excused(self) -> bool:
        """Whether it failed for no fault of the track: by the client's error, or its hang-up."""
        return not self.success and self.failure_class in EXCUSED

    @model_validator(mode="after")
    def _latency_of_a_success(self) -> Self:
        if self.success and self.latency_ms is None:
            raise ValueError("latency_ms is required where success is true")
        return self


class ResourceSampled(InputEvent):
    """What a host had in use at one moment; a field the host cannot measure is absent."""

    TYPE: ClassVar[str] = "resource.sampled/1"
    type: Literal["resource.sampled/1"] = "resource.sampled/1"
    host: Identifier
    cpu_percent: Percent | None = None
    memory_used_mb: Annotated[float, Field(ge=0, le=1e12)] | None = None
    gpu_percent: Percent | None = None
    gpu_memory_used_mb: Annotated[float, Field(ge=0, le=1e12)] | None = None
    battery_percent: Percent | None = None
    battery_charging: bool | None = None
    temperature_c: Annotated[float, Field(ge=-273.15, le=1000)] | None = None
    throttled: bool | None = None
    gauges: Annotated[dict[Identifier, Annotated[float, Field(ge=-1e15, le=1e15)]], Field(max_length=32)] | None = None


class QualityAssessed(InputEvent):
    """A judgement of an answer, often minutes after its completion."""

    TYPE: ClassVar[str] = "quality.assessed/1"
    type: Literal["quality.assessed/1"] = "quality.assessed/1"
    request_id: Identifier
    track: Identifier
    score: Share
    assessor: ShortText | None = None


class ConfigChanged(InputEvent):
    """From here on the scope follows this configuration."""

    TYPE: ClassVar[str] = "config.changed/1"
    type: Literal["config.changed/1"] = "config.changed/1"
    config: OptimizationConfig


class CapacityAllocated(InputEvent):
    """From here on this scope may have so many requests in flight on a track that it shares with other scopes; without `concurrency` it shares no longer."""

    TYPE: ClassVar[str] = "capacity.allocated/1"
    type: Literal["capacity.allocated/1"] = "capacity.allocated/1"
    track: Identifier
    concurrency: Annotated[int, Field(ge=0, le=100_000)] | None = None


class Tick(InputEvent):
    """Time has passed; written by the shell that owns the journal when nothing else moves a scope's clock."""

    TYPE: ClassVar[str] = "tick/1"
    type: Literal["tick/1"] = "tick/1"
