"""What the server counts of itself, for Prometheus, beside the gauges of what the core advises."""

import time
from collections import Counter as Counts
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest

from pointsman.schemas import Event, Reason
from pointsman.sinks.gauge_samples import BYTES
from pointsman.sinks.prometheus import Gauges
from pointsman.sinks.traffic import Traffic

from .embedded import Bounds
from .http_guard import App, Receive, Scope, Send
from .http_openapi import VERSION

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STREAM = "/v1/stream"
MOST_SCOPES = 500
REMEMBERED = 20_000

# Per limit of a scope's configuration, its field and what one unit of it is in base units.
LIMITS = {
    "pointsman_limit_latency_seconds": ("max_latency_ms", 0.001),
    "pointsman_limit_cost_usd": ("max_cost_usd", 1.0),
    "pointsman_limit_memory_bytes": ("max_memory_mb", BYTES),
    "pointsman_limit_gpu_memory_bytes": ("max_gpu_memory_mb", BYTES),
    "pointsman_limit_cpu_ratio": ("max_cpu_percent", 0.01),
    "pointsman_limit_battery_ratio": ("min_battery_percent", 0.01),
    "pointsman_limit_temperature_celsius": ("max_temperature_c", 1.0),
}
BUDGETS = {
    "pointsman_budget_limit_usd": ("limit_usd", "The limit of a budget: of a request, an hour or a day."),
    "pointsman_budget_spent_ratio": ("spent_share", "Share of an hourly or daily budget that is spent."),
    "pointsman_budget_projected_ratio": ("projected_share", "Share of the budget that will be spent at its end, at the pace of late."),
}


class Meter:
    """The registry of one server."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a gauge beside every counter; Prometheus sees a restart without it
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Info("pointsman_build", "The version that runs.", registry=self.registry).info({"version": VERSION})
        self.gauges = Gauges(registry=self.registry)
        self.traffic = Traffic(self.registry)
        self._accepted = Counter("pointsman_events_accepted", "Events recorded.", registry=self.registry)
        self._rejected = Counter("pointsman_events_rejected", "Events that became dead letters.", ("code",), registry=self.registry)
        self._outputs = Counter("pointsman_outputs", "Outputs and dead letters emitted.", ("type",), registry=self.registry)
        self._requests = Counter("pointsman_http_requests", "Requests answered.", ("method", "route", "code"), registry=self.registry)
        self.bounds: Mapping[str, Bounds] = {}
        self.registry.register(_Bounds(self))
        self._seconds = Histogram("pointsman_http_request_duration_seconds", "Time to answer.", ("route",), buckets=BUCKETS, registry=self.registry)

    def watch(self, figures: Callable[[], tuple[int, int, int, bool]]) -> None:
        """Show, whenever asked, how many events wait, how many subscribers there are and how many were cut off, and whether events are taken."""
        self.registry.register(_Figures(figures))

    def heard(self, outputs: Sequence[tuple[Event, bytes]]) -> None:
        """Count what was emitted."""
        for kind, count in Counts(str(getattr(event, "type", "")) for event, _ in outputs).items():
            self._outputs.labels(kind).inc(count)

    def recorded(self, reasons: Sequence[Reason | None]) -> None:
        """Count what became of posted events."""
        refused = Counts(reason.code for reason in reasons if reason is not None)
        self._accepted.inc(len(reasons) - refused.total())
        for code, count in refused.items():
            self._rejected.labels(code).inc(count)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; how long a stream was open says nothing of speed."""
        self._requests.labels(method, route, str(status)).inc()
        if route != STREAM:
            self._seconds.labels(route).observe(seconds)

    def exposition(self) -> bytes:
        """Everything in the text format."""
        return generate_latest(self.registry)


class _Figures:
    def __init__(self, figures: Callable[[], tuple[int, int, int, bool]]) -> None:
        self._figures = figures

    def collect(self) -> list[Any]:
        """The families, made when asked."""
        waiting, subscribers, cut_off, is_ready = self._figures()
        return [
            GaugeMetricFamily("pointsman_ready", "1 while events are taken.", value=is_ready),
            GaugeMetricFamily("pointsman_events_waiting", "Events that wait to be recorded.", value=waiting),
            GaugeMetricFamily("pointsman_stream_subscribers", "Subscribers connected.", value=subscribers),
            CounterMetricFamily("pointsman_stream_cut_off", "Subscribers let go because they were too slow.", value=cut_off),
        ]

    def describe(self) -> list[Any]:
        """Nothing is known beforehand."""
        return []


class _Bounds:
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def collect(self) -> list[Any]:
        """The limits and budgets of every scope, as they were when they were last asked for."""
        limits = {
            name: GaugeMetricFamily(name, f"The limit of the configuration: constraints.{field}.", labels=("scope",)) for name, (field, _) in LIMITS.items()
        }
        budgets = {name: GaugeMetricFamily(name, said, labels=("scope", "budget")) for name, (_, said) in BUDGETS.items()}
        for scope, (constraints, standing) in self._meter.bounds.items():
            for name, (field, unit) in LIMITS.items():
                if (value := getattr(constraints, field)) is not None:
                    limits[name].add_metric((scope,), value * unit)
            for kind, budget in standing.items():
                for name, (field, _) in BUDGETS.items():
                    budgets[name].add_metric((scope, kind), budget[field])
        return [*limits.values(), *budgets.values()]

    def describe(self) -> list[Any]:
        """Nothing is known beforehand."""
        return []


class Metered:
    """Counts every answer by method, route and status; what matched no route is `other`."""

    METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

    def __init__(self, app: App, meter: Meter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and watch its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = str(scope.get("pointsman.route") or getattr(scope.get("route"), "path", "other"))
            method = scope["method"] if scope["method"] in self.METHODS else "other"
            self._meter.answered(method, route, status, time.monotonic() - began)


__all__ = ["BUCKETS", "MOST_SCOPES", "REMEMBERED", "Meter", "Metered"]
