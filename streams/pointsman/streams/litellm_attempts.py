"""LiteLLM's attempts: which request each is of, and which are still on their way."""

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

from pointsman.sinks.router_view import Routed

from .litellm_calls import Asked, metadata

MOST_ATTEMPTS = 10_000


@dataclass(slots=True)
class Journey:
    """One request on its way: what was decided for it, and which tracks it has tried."""

    request_id: str
    trace: str | None
    asked: Asked | None = None
    described: dict[str, Any] | None = None
    routed: Routed | None = None
    tried: dict[str, int] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def depart(self, track: str) -> str:
        """The request id of the next attempt on this track: Pointsman knows an attempt by request and track, so a retry on the same one is numbered."""
        tried = self.tried[track] = self.tried.get(track, 0) + 1
        return self.request_id if tried == 1 else f"{self.request_id[:240]}~{tried}"


class Token(str):
    """A text that can be watched: it lives as long as LiteLLM's record of a synchronous call, and is written like any other where that is logged."""


@dataclass(slots=True)
class Attempt:
    """One call of one deployment."""

    journey: Journey
    scope: str
    request_id: str
    track: str
    deployment: str
    started_at: float
    forget: Callable[[], None] | None = None

    def envelope(self, moment: float, what: str) -> dict[str, Any]:
        """The fields that its events share."""
        return {
            "event_id": f"{self.request_id[:160]}/{self.track[:80]}/{what}",
            "scope": self.scope,
            "occurred_at": moment,
            "source": "litellm",
            "request_id": self.request_id[:256],
            "track": self.track,
        }


class Attempts:
    """The attempts on their way by LiteLLM's call id, and the last that ended, so that what LiteLLM tells twice is told once; the oldest goes first.

    A proxy's retries and fallbacks share a call id, one after the other.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, Attempt | None] = OrderedDict()
        self._in_flight: dict[tuple[str, str], int] = {}
        self._lock = Lock()

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def flying(self, key: str) -> Attempt | None:
        """The attempt with this key, while it is on its way."""
        return self._known.get(key)

    def begin(self, key: str, attempt: Attempt) -> None:
        """Note an attempt."""
        with self._lock:
            self._known.pop(key, None)
            self._known[key] = attempt
            self._count(attempt, 1)
            if len(self._known) > MOST_ATTEMPTS:
                _, oldest = self._known.popitem(last=False)
                if oldest is not None:
                    self._count(oldest, -1)

    def end(self, key: str) -> Attempt | None:
        """The attempt that ends now; None where it has ended before, or was never seen."""
        with self._lock:
            attempt = self._known.get(key)
            if attempt is not None:
                self._known[key] = None
                self._count(attempt, -1)
        if attempt is not None and attempt.forget is not None:
            attempt.forget()
        return attempt

    @property
    def on_their_way(self) -> int:
        """How many there are, on all tracks."""
        return sum(self._in_flight.values())

    def in_flight(self, scope: str) -> dict[str, int]:
        """How many of this process run on each track of a scope."""
        return {track: count for (place, track), count in self._in_flight.items() if place == scope}

    def _count(self, attempt: Attempt, change: int) -> None:
        place = (attempt.scope, attempt.track)
        self._in_flight[place] = max(self._in_flight.get(place, 0) + change, 0)


_journey: ContextVar[Journey | None] = ContextVar("pointsman_journey", default=None)


def journey_of(arguments: Mapping[str, Any], *, is_routed: bool, call_id: str = "") -> Journey:
    """The request that an attempt is of: a Router's retries and fallbacks run in one context and are counted in its metadata.

    Its id is LiteLLM's call id where there is one for the whole request (the proxy, and calls without a Router), else one of our own.
    """
    trace, own = arguments.get("litellm_trace_id"), metadata(arguments)
    journey = _journey.get() if is_routed else None
    is_first = not (own.get("attempted_retries") or own.get("attempted_fallbacks"))
    if journey is None or journey.trace != trace or (is_first and (not call_id or journey.tried)):
        given = call_id if call_id and not is_routed else arguments.get("litellm_call_id")
        journey = Journey(str(given or uuid.uuid4().hex), trace)
        _journey.set(journey)
    return journey


def latest() -> Journey | None:
    """The request that was chosen for last in this context."""
    return _journey.get()


def outcome(payload: Mapping[str, Any], started_at: float, ended: float) -> dict[str, Any]:
    """What a completed call took and used, of LiteLLM's standard payload."""
    first = payload.get("completionStartTime") if payload.get("stream") else None
    cost, hit = payload.get("response_cost"), payload.get("cache_hit")
    return {
        "success": True,
        "latency_ms": 1000.0 * max(ended - started_at, 0.0),
        "ttft_ms": 1000.0 * max(float(first) - started_at, 0.0) if first else None,
        "input_tokens": payload.get("prompt_tokens"),
        "output_tokens": payload.get("completion_tokens"),
        "cost_usd": cost if isinstance(cost, int | float) and cost >= 0 else None,
        "cache_hit": bool(hit) if hit is not None else None,
    }


def moment(told: Any, given: Any) -> float:
    """Epoch seconds, as LiteLLM's payload has them, else its arguments, else now."""
    if isinstance(told, int | float) and told > 0:
        return float(told)
    return given.timestamp() if isinstance(given, datetime) else time.time()


__all__ = ["Attempt", "Attempts", "Journey", "Token", "journey_of", "latest", "moment", "outcome"]
