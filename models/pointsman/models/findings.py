"""What the parts that watch a scope tell each other: outcomes as they were judged, series that deviate, and changes that may explain it."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pointsman.schemas import OutputEvent

ChangeKind = Literal["configuration", "policy", "ejection", "version"]
Told = tuple[type[OutputEvent], dict[str, Any]]


class Judged(NamedTuple):
    """One outcome beside what is usual for such a request under such a load.

    `deviations` are normal scores by metric (`latency_ms`, `ttft_ms`, `output_tokens`, `input_tokens`, `cost_usd`, `quality_score`, `error`): 0 is usual, 3 is
    as rare as three standard deviations; above 0 is worse, for quality too. `extra_usd` is beyond what was usual, at least 0.
    """

    at: float
    request_id: str
    track: str
    category: str | None
    attributes: Mapping[str, Any]
    success: bool
    deviations: Mapping[str, float]
    extra_usd: float


class Deviation(NamedTuple):
    """A series that is away from what is normal, alarm or not: by how many standard deviations, since when, and how sure that is (0..1)."""

    metric: str
    track: str | None
    host: str | None
    effect: float
    since: float
    score: float
    observed: float
    expected: float


class Change(NamedTuple):
    """Something that was changed, by a person or by Pointsman, and could be why something else did."""

    kind: ChangeKind
    name: str
    track: str | None
    at: float
    said: str


__all__ = ["Change", "ChangeKind", "Deviation", "Judged", "Told"]
