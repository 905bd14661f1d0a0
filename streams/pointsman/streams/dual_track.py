"""The embedded optimizer under the names that dual-track routers already call."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from pointsman.schemas import Event, OptimizationConfig, Track

from .embedded import Optimizer

_DEFAULT = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))
_CONTEXT = ("input_tokens", "max_output_tokens", "category")
_RESULT = ("ttft_ms", "input_tokens", "output_tokens", "cost_usd", "quality_score", "cache_hit", "failure_class")


class DualTrackOptimizer:
    """Two tracks, one scope: `start`, record starts and completions, ask for recommendations, `stop`."""

    def __init__(
        self, config: OptimizationConfig | None = None, *, database: str = ":memory:", scope: str = "default", clock: Callable[[], float] = time.time
    ) -> None:
        self._config = config or _DEFAULT
        self._database = database
        self._scope = scope
        self._clock = clock
        self._started: dict[str, float] = {}
        self._lock = threading.Lock()
        self._optimizer: Optimizer | None = None

    def start(self) -> None:
        """Open the database; a second call does nothing."""
        if self._optimizer is None:
            self._optimizer = Optimizer.open(self._database, self._config, clock=self._clock)

    def stop(self) -> None:
        """Close it; a second call does nothing."""
        if self._optimizer is not None:
            self._optimizer.close()
            self._optimizer = None

    def _open(self) -> Optimizer:
        if self._optimizer is None:
            raise RuntimeError("the optimizer is not running: call start() first")
        return self._optimizer

    def record_request_start(self, request_id: str, query: str, context: Mapping[str, Any] | None = None) -> list[Event]:
        """A request begins; `context` may carry processing_path, input_tokens, max_output_tokens and category."""
        given = dict(context or {})
        now = self._clock()
        outputs = self._open().record_request_start(
            request_id,
            scope=self._scope,
            track=given.get("processing_path"),
            query=query,
            occurred_at=now,
            **{name: given[name] for name in _CONTEXT if name in given},
        )
        with self._lock:
            if len(self._started) >= 4096:
                self._started.pop(next(iter(self._started)))
            self._started[request_id] = now
        return outputs

    def record_request_completion(
        self, request_id: str, processing_path: str, result: Mapping[str, Any] | None, success: bool, error_type: str | None = None
    ) -> list[Event]:
        """It ended on a track; without `result["latency_ms"]` the time since its start counts."""
        given = dict(result or {})
        now = self._clock()
        latency = given.get("latency_ms")
        if latency is None and request_id in self._started:
            latency = max(now - self._started[request_id], 0.0) * 1000.0
        outputs = self._open().record_request_completion(
            request_id,
            scope=self._scope,
            track=processing_path,
            success=success,
            latency_ms=latency,
            occurred_at=now,
            error_type=error_type,
            **{name: given[name] for name in _RESULT if name in given},
        )
        with self._lock:
            self._started.pop(request_id, None)
        return outputs

    def get_optimization_recommendations(self, query: str, context: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What to do with a request, as plain values."""
        given = dict(context or {})
        advice = self._open().recommend(self._scope, query, str(given.get("request_id", "")), **{name: given[name] for name in _CONTEXT if name in given})
        tracks = [row.model_dump(exclude_none=True) for row in advice.tracks]
        return asdict(advice) | {"processing_path": advice.track, "expected": advice.expected.model_dump(exclude_none=True), "tracks": tracks}

    def get_optimization_status(self) -> dict[str, Any]:
        """What is known, as plain values."""
        status: dict[str, Any] = self._open().status().get(self._scope, {"scope": self._scope, "events": 0})
        return status
