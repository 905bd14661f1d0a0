"""What is known at the moment a request starts, for every prediction of its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Situation:
    """A request and the track that it meets: `now` in epoch seconds, `features` the sketch's (signed bytes, empty without one), `in_flight` without it.

    `pressure` is how many requests wait at the hosts' queues, `drift` ln of recent latency over the usual one, `overdue` ln of how much longer than
    expected the running requests have run.
    """

    now: float
    input_tokens: int | None = None
    max_output_tokens: int | None = None
    category: str | None = None
    features: bytes = b""
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    in_flight: int = 0
    pressure: float = 0.0
    drift: float = 0.0
    overdue: float = 0.0
