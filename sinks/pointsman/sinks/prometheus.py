"""What the core advises, forecasts and is worth, as Prometheus gauges.

A series is a name and its labels. There are at most so many of them; the one that was written longest ago goes first, and is counted.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pointsman.schemas import AlertRaised, AlertResolved, Event, ForecastIssued, ModelsReported, ObjectiveReported, ScalingRecommended, ScalingScored

from .gauge_samples import BOUNDS, SAMPLED, samples
from .incident_log import INCIDENTS
from .standing_alerts import Incident, StandingAlerts
from .standing_incidents import StandingIncidents

MOST_SERIES = 20_000
_SCOPE = ("scope",)
_TRACK = ("scope", "track")
_FORECAST = ("scope", "track", "host", "metric", "horizon_seconds")
_METRIC = ("scope", "track", "metric")
_OBJECTIVE = ("scope", "objective", "metric", "track", "category")
_MODEL = ("scope", "track", "metric", "model")

# Per gauge its labels and what it says; docs/autoscaling.md and docs/monitoring.md list the same.
GAUGES: dict[str, tuple[tuple[str, ...], str]] = {
    "pointsman_scaling_desired_replicas": (_TRACK, "Replicas advised for a track."),
    "pointsman_scaling_current_replicas": (_TRACK, "Replicas that the last advice started from."),
    "pointsman_scaling_desired_concurrency": (_TRACK, "Requests at once advised for a track that is scaled in concurrency."),
    "pointsman_scaling_current_concurrency": (_TRACK, "Requests at once that the last advice started from."),
    "pointsman_scaling_demand_concurrency": (_TRACK, "Upper quantile of the forecast of requests in flight that the advice covers."),
    "pointsman_scaling_demand_quantile_ratio": (_TRACK, "Which quantile of the forecast the advice covers."),
    "pointsman_scaling_target_utilisation_ratio": (_TRACK, "Share of the advised capacity that the demand would take."),
    "pointsman_scaling_service_time_seconds": (_TRACK, "Time that a request takes, as the advice assumes."),
    "pointsman_scaling_cost_usd_per_hour": (_TRACK, "US dollars an hour that the advised capacity costs."),
    "pointsman_scaling_advised_timestamp_seconds": (_TRACK, "When the last advice was given."),
    "pointsman_scaling_effective_timestamp_seconds": (_TRACK, "When the last advice should be in effect."),
    "pointsman_scaling_unserved_ratio": (_TRACK, "Share of the demand that the advice of the last scored stretch left unserved."),
    "pointsman_scaling_over_provisioned_ratio": (_TRACK, "What the advice of the last scored stretch had beyond the demand, as a share of it."),
    "pointsman_scaling_target_unserved_ratio": (_TRACK, "Share of the demand that may find no place."),
    "pointsman_scaling_changes": (_TRACK, "Changes of the advice in the last scored stretch."),
    "pointsman_forecast": ((*_FORECAST, "bound"), "Forecast of a series, in the unit of the series: median and 90 % interval."),
    "pointsman_forecast_target_timestamp_seconds": (_FORECAST, "The time that the forecast is for."),
    "pointsman_forecast_limit": (_FORECAST, "The limit of the series, in its unit."),
    "pointsman_forecast_time_to_limit_seconds": (_FORECAST, "Time until the median is beyond the limit of the series."),
    "pointsman_prediction_coverage_ratio": (_METRIC, "Share of the last 500 outcomes inside their 90 % interval."),
    "pointsman_prediction_coverage_outcomes": (_METRIC, "Outcomes behind the coverage."),
    "pointsman_prediction_winkler": (_METRIC, "Winkler score of the 90 % intervals, in the unit of the metric."),
    "pointsman_prediction_wape_ratio": (_METRIC, "Sum of the errors of the model in charge, as a share of the sum of the outcomes."),
    "pointsman_model_weight_ratio": (_MODEL, "Share of a model in what is predicted."),
    "pointsman_model_error": (_MODEL, "Mean |ln(outcome / prediction)| of a model of late."),
    "pointsman_objective_budget_left_ratio": (_OBJECTIVE, "Share of the error budget that is left; below 0 it is overspent."),
    "pointsman_objective_burn_rate": ((*_OBJECTIVE, "window"), "How fast the error budget went over the window: 1 spends it exactly."),
    "pointsman_objective_target_ratio": (_OBJECTIVE, "Share of requests that must keep the objective."),
    "pointsman_objective_requests": (_OBJECTIVE, "Requests counted in the objective's window."),
    "pointsman_objective_broken_requests": (_OBJECTIVE, "Those of them that broke it."),
    "pointsman_objective_spent_timestamp_seconds": (_OBJECTIVE, "When the error budget is spent at the pace of the last hour."),
    "pointsman_scope_last_event_timestamp_seconds": (_SCOPE, "When the newest event behind these gauges happened: what does not move is out of date."),
    **SAMPLED,
}
ALERT_LABELS = ("scope", "kind", "severity")
INCIDENT_LABELS = ("scope", "severity")
INCIDENTS_OPEN = "Incidents that are open; 0 for a severity that there was before."
INCIDENTS_TOLD = "Incidents that came to have a severity: counted when they are opened, and when they change it."
ALERTS = "Alerts that stand; 0 for a kind that has stood before."

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sample:
    value: float
    occurred_at: float


class Gauges(Collector):
    """A sink that keeps the newest value of each series; `registry` exposes them, alone or mounted in a larger one.

    >>> gauges = Gauges()
    >>> gauges.add(ScalingScored(event_id="chat/1/0", scope="chat", occurred_at=1.7e9, caused_by="t", track="local", start=1.7e9, end=1.7e9 + 3600.0,
    ...                          unserved_share=0.01, over_provisioned_share=0.25, target_unserved_share=0.02, changes=3))
    >>> gauges.registry.get_sample_value("pointsman_scaling_unserved_ratio", {"scope": "chat", "track": "local"})
    0.01
    """

    def __init__(self, most_series: int = MOST_SERIES, registry: CollectorRegistry | None = None) -> None:
        self._most = most_series
        self._series: OrderedDict[tuple[str, Labels], _Sample] = OrderedDict()
        self._models: dict[Labels, set[str]] = {}
        self._alerts = StandingAlerts()
        self._kinds: dict[Labels, None] = {}
        self._incidents = StandingIncidents()
        self._opened: Counter[Labels] = Counter()  # by scope and severity: when they are opened, and when they change it
        self._evicted = 0
        self._lock = threading.Lock()
        self.registry = registry if registry is not None else CollectorRegistry()
        self.registry.register(self)

    def add(self, event: Event) -> None:
        """Take in one output event, or a sample of resources; what has no gauges is passed over, and so is what is older than what is there."""
        with self._lock:
            if isinstance(event, ScalingRecommended):
                self._recommended(event)
            elif isinstance(event, ScalingScored):
                self._scored(event)
            elif isinstance(event, ForecastIssued):
                self._forecast(event)
            elif isinstance(event, ModelsReported):
                self._reported(event)
            elif isinstance(event, ObjectiveReported):
                self._objective(event)
            elif isinstance(event, INCIDENTS):
                self._incident(event)
            elif isinstance(event, AlertRaised | AlertResolved):
                self._alerts.add(event)
                self._kinds = dict.fromkeys([*self._kinds, (event.scope, event.kind, event.severity)][-self._most :])
            else:
                found = list(samples(event))
                for name, labels, value in found:
                    self._set(name, labels, value, event)
                if not found:
                    return
            self._set("scope_last_event_timestamp_seconds", (event.scope,), event.occurred_at, event)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Leave the registry."""
        self.registry.unregister(self)

    def collect(self) -> Iterator[Metric]:
        """The families of every gauge that has a series, and what this sink says of itself."""
        with self._lock:
            series, evicted = list(self._series.items()), self._evicted
            counts: Counter[Labels] = Counter((alert.scope, alert.kind, alert.severity) for alert in self._alerts.alerts())
            kinds = [*self._kinds]
            open_now: Counter[Labels] = Counter((one.scope, one.severity) for one in self._incidents.incidents())
            opened = dict(self._opened)
        families: dict[str, GaugeMetricFamily] = {}
        for (name, labels), sample in series:
            if name not in families:
                families[name] = GaugeMetricFamily(name, GAUGES[name][1], labels=GAUGES[name][0])
            families[name].add_metric(labels, sample.value)
        yield from families.values()
        active = GaugeMetricFamily("pointsman_alerts_active", ALERTS, labels=ALERT_LABELS)
        for labels in kinds:
            active.add_metric(labels, counts[labels])
        yield active
        standing = GaugeMetricFamily("pointsman_incidents_open", INCIDENTS_OPEN, labels=INCIDENT_LABELS)
        total = CounterMetricFamily("pointsman_incidents", INCIDENTS_TOLD, labels=INCIDENT_LABELS)
        for labels, count in opened.items():
            standing.add_metric(labels, open_now[labels])
            total.add_metric(labels, count)
        yield standing
        yield total
        yield GaugeMetricFamily("pointsman_series", "Series kept here.", value=len(series))
        yield CounterMetricFamily("pointsman_series_evicted", "Series dropped because there were too many.", value=evicted)

    def _set(self, name: str, labels: Labels, value: float | None, event: Event) -> None:
        """Write one series; without a value it goes."""
        key = (f"pointsman_{name}", labels)
        known = self._series.get(key)
        if known is not None and known.occurred_at > event.occurred_at:
            return
        if value is None:
            self._series.pop(key, None)
            return
        self._series[key] = _Sample(float(value), event.occurred_at)
        self._series.move_to_end(key)
        if len(self._series) > self._most:
            self._series.popitem(last=False)
            self._evicted += 1

    def _incident(self, event: Incident) -> None:
        before = len(self._incidents)
        changes = self._incidents.add(event)
        if len(self._incidents) > before or len(changes) > 1:
            self._opened[event.scope, event.severity] += 1
            if len(self._opened) > self._most:
                del self._opened[next(iter(self._opened))]

    def _recommended(self, event: ScalingRecommended) -> None:
        labels = (event.scope, event.track)
        for unit in ("replicas", "concurrency"):
            is_own = event.unit == unit
            self._set(f"scaling_desired_{unit}", labels, event.desired if is_own else None, event)
            self._set(f"scaling_current_{unit}", labels, event.current if is_own else None, event)
        self._set("scaling_demand_concurrency", labels, event.demand, event)
        self._set("scaling_demand_quantile_ratio", labels, event.level, event)
        self._set("scaling_target_utilisation_ratio", labels, event.target_utilisation, event)
        self._set("scaling_service_time_seconds", labels, event.service_time_ms / 1000.0 if event.service_time_ms is not None else None, event)
        self._set("scaling_cost_usd_per_hour", labels, event.usd_per_hour, event)
        self._set("scaling_advised_timestamp_seconds", labels, event.occurred_at, event)
        self._set("scaling_effective_timestamp_seconds", labels, event.effective_at, event)

    def _scored(self, event: ScalingScored) -> None:
        labels = (event.scope, event.track)
        self._set("scaling_unserved_ratio", labels, event.unserved_share, event)
        self._set("scaling_over_provisioned_ratio", labels, event.over_provisioned_share, event)
        self._set("scaling_target_unserved_ratio", labels, event.target_unserved_share, event)
        self._set("scaling_changes", labels, event.changes, event)

    def _forecast(self, event: ForecastIssued) -> None:
        labels = (event.scope, event.track or "", event.host or "", event.metric, f"{event.horizon_s:.10g}")
        for bound in BOUNDS:
            self._set("forecast", (*labels, bound), getattr(event, bound), event)
        self._set("forecast_target_timestamp_seconds", labels, event.target_time, event)
        self._set("forecast_limit", labels, event.limit, event)
        self._set("forecast_time_to_limit_seconds", labels, event.time_to_limit_s, event)

    def _objective(self, event: ObjectiveReported) -> None:
        labels = (event.scope, event.objective, event.metric, event.track or "", event.category or "")
        self._set("objective_budget_left_ratio", labels, event.budget_left, event)
        self._set("objective_target_ratio", labels, event.share, event)
        self._set("objective_requests", labels, event.requests, event)
        self._set("objective_broken_requests", labels, event.broken, event)
        self._set("objective_spent_timestamp_seconds", labels, event.spent_at, event)
        for burn in event.burns:
            self._set("objective_burn_rate", (*labels, _span(burn.window_s)), burn.rate, event)

    def _reported(self, event: ModelsReported) -> None:
        labels = (event.scope, event.track, event.metric)
        self._set("prediction_coverage_ratio", labels, event.coverage, event)
        self._set("prediction_coverage_outcomes", labels, event.coverage_outcomes, event)
        self._set("prediction_winkler", labels, event.winkler, event)
        self._set("prediction_wape_ratio", labels, next((model.wape for model in event.models if model.role == "champion"), None), event)
        gone = self._models.pop(labels, set()) - {model.name for model in event.models}
        for name in gone:
            self._set("model_weight_ratio", (*labels, name), None, event)
            self._set("model_error", (*labels, name), None, event)
        for model in event.models:
            self._set("model_weight_ratio", (*labels, model.name), model.weight, event)
            self._set("model_error", (*labels, model.name), model.error, event)
        self._models[labels] = {model.name for model in event.models}
        if len(self._models) > self._most:
            del self._models[next(iter(self._models))]


def _span(seconds: float) -> str:
    """A window as metrics name it.

    >>> _span(300.0), _span(21_600.0), _span(259_200.0), _span(2.5)
    ('5m', '6h', '3d', '2.5s')
    """
    unit, size = next(((unit, size) for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)) if seconds and seconds % size == 0.0), ("s", 1))
    return f"{seconds / size:g}{unit}"


class MetricsServer:
    """`/metrics` over HTTP for one registry, in a thread of its own."""

    def __init__(self, registry: CollectorRegistry, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._registry = registry
        self.host, self.port = host, port
        self._running: Any = None

    def __enter__(self) -> Self:
        try:
            self._running = start_http_server(self.port, self.host, self._registry)
        except OSError as error:
            raise OSError(f"{self.host}:{self.port} cannot be listened on ({error.strerror or error}): give another port or host") from None
        self.port = int(self._running[0].server_port)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        server, thread = self._running
        server.shutdown()
        server.server_close()
        thread.join()


__all__ = ["GAUGES", "Gauges", "MetricsServer"]
