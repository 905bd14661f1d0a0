"""What one scope's events have said: the newest of everything, and rings of what was."""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

from pointsman.schemas import (
    AlertRaised,
    AlertResolved,
    BottleneckReported,
    Event,
    ForecastIssued,
    IncidentOpened,
    IncidentResolved,
    IncidentUpdated,
    ModelsReported,
    ObjectiveReported,
    PredictionIssued,
    RecommendationIssued,
    ResourceSampled,
    ScalingRecommended,
    TrackAdvice,
    WindowClosed,
)

from .board_rings import MOST_ROWS, Rings, Row, Sampled
from .incident_log import Incident, IncidentLog

MOST_TRACKS = 64
MOST_HOSTS = 64
MOST_GAUGES = 64
MOST_FORECASTS = 1024
MOST_ACTIVE = 256
MOST_ALERTS = 100
MOST_OBJECTIVES = 128
MOST_BOTTLENECKS = 64
MOST_INCIDENTS = 32
MOST_PAST_INCIDENTS = 10
MOST_RECENT = 512
MINUTE_S = 60.0
SAMPLE_S = 15.0
STANDING = "all"
Kept = TypeVar("Kept")
Key = TypeVar("Key", bound=Hashable)
UNITS = {
    "cpu_percent": "%",
    "memory_used_mb": "MB",
    "gpu_percent": "%",
    "gpu_memory_used_mb": "MB",
    "battery_percent": "%",
    "battery_charging": "",
    "temperature_c": "°C",
    "throttled": "",
}
ForecastKey = tuple[str, str, str, float]


class Closed(NamedTuple):
    """One window, with the medians of what was predicted for the requests that started in it."""

    start: float
    end: float
    completed: int
    rate_per_s: float
    success_share: float
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    output_tokens: int
    cost_usd: float
    quality_mean: float | None
    predicted_median_ms: float | None
    predicted_lower_ms: float | None
    predicted_upper_ms: float | None


_OF_WINDOW = ("start", "end", "count", *Closed._fields[3:11])


class TrackBoard:
    """The newest that is known of one track, and the predictions of its open window."""

    __slots__ = ("advice", "arrived", "coverage", "minute", "predicted", "scaling")

    def __init__(self) -> None:
        self.advice: TrackAdvice | None = None
        self.coverage: dict[str, float | None] = {}
        self.scaling: ScalingRecommended | None = None
        self.predicted = Sampled()
        self.minute = 0.0
        self.arrived = 0


class ScopeBoard:
    """The state of one scope; every list in it has a cap, what goes is counted in `evicted`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clock = 0.0
        self.started = math.inf
        self.outputs = 0
        self.tracks: OrderedDict[str, TrackBoard] = OrderedDict()
        self.windows: Rings[str] = Rings(MOST_TRACKS)
        self.arrivals: Rings[str] = Rings(MOST_TRACKS)
        self.recent: deque[PredictionIssued] = deque(maxlen=MOST_RECENT)
        self.standing: RecommendationIssued | None = None
        self.since = 0.0
        self.recommended: deque[Row] = deque(maxlen=MOST_ROWS)
        self.forecasts: Rings[ForecastKey] = Rings(MOST_FORECASTS)
        self.limits: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.hosts: OrderedDict[str, dict[str, tuple[float, float]]] = OrderedDict()
        self.sampled: Rings[tuple[str, str]] = Rings(MOST_GAUGES)
        self.alerts: OrderedDict[str, AlertRaised] = OrderedDict()
        self.objectives: OrderedDict[str, ObjectiveReported] = OrderedDict()
        self.history: deque[AlertRaised | AlertResolved] = deque(maxlen=MOST_ALERTS)
        self.bottlenecks: OrderedDict[tuple[str, str], BottleneckReported] = OrderedDict()
        self.incidents = IncidentLog(MOST_INCIDENTS, MOST_PAST_INCIDENTS)
        self._gone = 0

    @property
    def evicted(self) -> int:
        """How many tracks, hosts, series and alerts have gone because there were too many."""
        return self._gone + self.incidents.evicted + sum(rings.evicted for rings in (self.windows, self.arrivals, self.forecasts, self.sampled))

    def hear(self, event: Event) -> None:
        """Take in one event."""
        at = event.occurred_at
        self.clock = max(self.clock, at)
        self.started = min(self.started, at)
        kind = type(event)
        self.outputs += kind is not ResourceSampled
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, event)

    def track(self, name: str) -> TrackBoard:
        """What is known of a track; the one longest without news goes where there are too many."""
        return self._kept(self.tracks, name, TrackBoard, MOST_TRACKS)

    def _kept(self, where: OrderedDict[Key, Kept], key: Key, make: Callable[[], Kept], most: int) -> Kept:
        found = where.get(key)
        if found is None:
            found = where[key] = make()
            if len(where) > most:
                where.popitem(last=False)
                self._gone += 1
        else:
            where.move_to_end(key)
        return found

    # one handler per event

    def _predicted(self, event: PredictionIssued) -> None:
        track, at = self.track(event.track), event.occurred_at
        if not event.revision:
            minute = at // MINUTE_S * MINUTE_S
            if minute > track.minute:
                if track.arrived:
                    self.arrivals.put(event.track, (track.minute, track.arrived))
                track.minute, track.arrived = minute, 0
            track.arrived += 1  # one that is late counts in the newest minute
        self.recent.append(event)
        if event.latency_ms is not None:
            track.predicted.add(at, event.latency_ms)

    def _window(self, event: WindowClosed) -> None:
        predicted = self.track(event.track).predicted.take(event.start, event.end)
        self.windows.put(event.track, Closed._make((*(getattr(event, name) for name in _OF_WINDOW), *predicted)))

    def _recommended(self, event: RecommendationIssued) -> None:
        if event.request_id is not None or event.segment != STANDING:
            return
        before = self.standing
        if before is not None and event.occurred_at < before.occurred_at:
            return
        if before is None or before.track != event.track:
            self.since = event.occurred_at
        self.standing = event
        for advice in event.tracks:
            self.track(advice.track).advice = advice
        is_news = not self.recommended or self.recommended[-1][1] != event.track or event.occurred_at >= self.recommended[-1][0] + MINUTE_S
        if is_news:
            self.recommended.append((event.occurred_at, event.track, event.propensity))

    def _reported(self, event: ModelsReported) -> None:
        self.track(event.track).coverage[event.metric] = event.coverage

    def _forecast(self, event: ForecastIssued) -> None:
        key = (event.metric, event.track or "", event.host or "", event.horizon_s)
        self.forecasts.put(key, (event.target_time, event.median, event.lower, event.upper))
        if event.host is not None and event.limit is not None:
            self._bound(event.host, event.metric, event.limit)

    def _scaling(self, event: ScalingRecommended) -> None:
        track = self.track(event.track)
        if track.scaling is None or event.occurred_at >= track.scaling.occurred_at:
            track.scaling = event

    def _raised(self, event: AlertRaised) -> None:
        self.history.append(event)
        self.alerts[event.fingerprint] = event
        self.alerts.move_to_end(event.fingerprint)
        if len(self.alerts) > MOST_ACTIVE:
            self.alerts.popitem(last=False)
            self._gone += 1
        if event.kind == "constraint" and event.subject in self.hosts:
            self._bound(event.subject, event.fingerprint.rsplit("/", 1)[-1], event.expected)

    def _resolved(self, event: AlertResolved) -> None:
        self.history.append(event)
        active = self.alerts.get(event.fingerprint)
        if active is not None and active.occurred_at <= event.occurred_at:
            del self.alerts[event.fingerprint]

    def _objective(self, event: ObjectiveReported) -> None:
        known = self._kept(self.objectives, event.objective, lambda: event, MOST_OBJECTIVES)
        if event.occurred_at >= known.occurred_at:
            self.objectives[event.objective] = event

    def _bottleneck(self, event: BottleneckReported) -> None:
        key = (event.track, event.category or "")
        if self._kept(self.bottlenecks, key, lambda: event, MOST_BOTTLENECKS).end <= event.end:
            self.bottlenecks[key] = event

    def _incident(self, event: Incident) -> None:
        self.incidents.add(event)

    def _bound(self, host: str, gauge: str, limit: float) -> None:
        self.limits[(host, gauge)] = limit
        self.limits.move_to_end((host, gauge))
        if len(self.limits) > MOST_HOSTS * len(UNITS):
            self.limits.popitem(last=False)

    def _sample(self, event: ResourceSampled) -> None:
        known = self._kept(self.hosts, event.host, dict[str, tuple[float, float]], MOST_HOSTS)
        at, bucket = event.occurred_at, event.occurred_at // SAMPLE_S
        for name, value in _gauges(event):
            if (name in known or len(known) < MOST_GAUGES) and at >= known.get(name, (0.0, 0.0))[0]:
                known[name] = (at, value)
                self.sampled.put((event.host, name), (bucket, at, value))


def _gauges(event: ResourceSampled) -> list[tuple[str, float]]:
    found = [(name, float(value)) for name in UNITS if (value := getattr(event, name)) is not None]
    return found + list((event.gauges or {}).items())


_HANDLERS: dict[type[Event], Any] = {
    PredictionIssued: ScopeBoard._predicted,
    WindowClosed: ScopeBoard._window,
    RecommendationIssued: ScopeBoard._recommended,
    ModelsReported: ScopeBoard._reported,
    ForecastIssued: ScopeBoard._forecast,
    ScalingRecommended: ScopeBoard._scaling,
    AlertRaised: ScopeBoard._raised,
    ObjectiveReported: ScopeBoard._objective,
    AlertResolved: ScopeBoard._resolved,
    BottleneckReported: ScopeBoard._bottleneck,
    IncidentOpened: ScopeBoard._incident,
    IncidentUpdated: ScopeBoard._incident,
    IncidentResolved: ScopeBoard._incident,
    ResourceSampled: ScopeBoard._sample,
}

__all__ = ["MINUTE_S", "UNITS", "Closed", "ScopeBoard", "TrackBoard"]
