"""The ways of requests: the stages and the other tracks that they wait for, the call graph that is learned of it, and what makes slow ones slow."""

from collections.abc import Iterable, Mapping
from typing import Any

from pointsman.schemas import OptimizationConfig, RequestCompleted

from .bottleneck import Bottlenecks
from .findings import Deviation, Told
from .join import Attempt
from .learned_graph import Edge, LearnedGraph
from .stage_watch import StageWatch
from .traces import NOWHERE, Span, Traces, Walked, trace_of, walked


class Paths:
    """A scope's traces, call graph, stages and bottlenecks."""

    def __init__(self, config: OptimizationConfig) -> None:
        self._settings = config.signals
        self.traces = Traces()
        self.graph = LearnedGraph()
        self.stages = StageWatch()
        self.bottlenecks = Bottlenecks(config)

    def configure(self, config: OptimizationConfig) -> None:
        """From here on this configuration."""
        self._settings = config.signals
        self.bottlenecks.configure(config)

    def completed(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> None:
        """An attempt is over."""
        if not self._settings.enabled:
            return
        if event.stages:
            self.graph.staged(event.track, event.stages, now)
            if event.success:
                self.stages.update(event.track, event.stages, now)
        self.bottlenecks.completed(event, attempt, now, self._walk(event, attempt, now))

    def _walk(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> Walked:
        """The way of its trace to its end."""
        trace = trace_of(attempt.traceparent) if attempt is not None else None
        if attempt is None or trace is None:
            return NOWHERE
        took = event.latency_ms / 1000.0 if event.latency_ms is not None else max(event.occurred_at - attempt.started_at, 0.0)
        span = Span(event.track, attempt.started_at, attempt.started_at + took, event.request_id)
        others = self.traces.add(trace, span)
        self.graph.traced(span, others, now)
        return walked(span, others)

    def served(self, host: str, tracks: Iterable[str], now: float) -> None:
        """These tracks run on this host."""
        if self._settings.enabled:
            self.graph.served(host, tracks, now)

    def advance(self, now: float) -> list[Told]:
        """The reports that are due."""
        if self.bottlenecks.due is not None and self.bottlenecks.due <= now:
            self.graph.advance(now)
        return self.bottlenecks.advance(now)

    def next_due(self) -> float | None:
        """When the next reports are due."""
        return self.bottlenecks.due

    def edges(self) -> list[Edge]:
        """Who calls whom, as configured and as learned: tracks, hosts, and stages as `track/stage`."""
        return self.graph.edges(self._settings.calls)

    def deviations(self) -> list[Deviation]:
        """The stages that take longer, or less, than normal."""
        return self.stages.deviations()

    def status(self) -> dict[str, Any]:
        """What a person wants to know, as plain values."""
        return {"bottlenecks": self.bottlenecks.status(), "calls": [list(edge) for edge in self.edges()]}

    def snapshot(self) -> dict[str, Any]:
        """The state in named parts, as plain values."""
        own = {"traces": self.traces.snapshot(), "graph": self.graph.snapshot(), "stages": self.stages.snapshot()}
        return own | {f"bottlenecks {name}": part for name, part in self.bottlenecks.snapshot().items()}

    def restore(self, parts: Mapping[str, Any]) -> None:
        """Take up the parts of a snapshot."""
        self.traces.restore(parts["traces"])
        self.graph.restore(parts["graph"])
        self.stages.restore(parts["stages"])
        own = "bottlenecks "
        self.bottlenecks.restore({name.removeprefix(own): part for name, part in parts.items() if name.startswith(own)})


__all__ = ["Paths"]
