"""What requests did, as Prometheus counters and histograms: from predictions and completions, per scope and track.

Labels are bounded: the scopes and tracks beyond the first so many are counted together, as `other`.
"""

from collections import OrderedDict

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from pointsman.schemas import Event, PredictionIssued, QualityAssessed, RequestCompleted

MOST_TRACKS = 500
MOST_PENDING = 2_000  # of one scope
MOST_SEEN = 50_000
PENDING_S = 600.0
OTHER = ("other", "other")
LATENCY_BUCKETS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
TRACK = ("scope", "track")

Pair = tuple[str, str]


class Traffic:
    """A sink of input and output events; it hears each completion once, however often it is told.

    A request is in flight from its prediction to its completion, and for ten minutes of its scope's time at most.
    """

    def __init__(self, registry: CollectorRegistry, most_tracks: int = MOST_TRACKS) -> None:
        self._most = most_tracks
        self._pairs: set[Pair] = {OTHER}
        self._pending: dict[str, OrderedDict[Pair, tuple[float, float, float]]] = {}
        self._seen: OrderedDict[int, None] = OrderedDict()
        self.requests = Counter(
            "pointsman_requests", "Requests completed, by outcome: success, or the class of the failure.", (*TRACK, "outcome"), registry=registry
        )
        self.latency = Histogram("pointsman_request_latency_seconds", "Latency of successful requests.", TRACK, buckets=LATENCY_BUCKETS_S, registry=registry)
        self.ttft = Histogram("pointsman_request_ttft_seconds", "Time to the first token.", TRACK, buckets=LATENCY_BUCKETS_S, registry=registry)
        said = "Median latency that was predicted of a request before its outcome."
        self.predicted = Histogram("pointsman_request_predicted_latency_seconds", said, TRACK, buckets=LATENCY_BUCKETS_S, registry=registry)
        said = "Successful requests by where their latency fell: below, inside or above its 90 % interval."
        self.intervals = Counter("pointsman_request_interval", said, (*TRACK, "position"), registry=registry)
        self.tokens = Counter("pointsman_tokens", "Tokens of completed requests.", (*TRACK, "direction"), registry=registry)
        self.cost = Counter("pointsman_cost_usd", "US dollars spent on completed requests.", TRACK, registry=registry)
        self.quality = Summary("pointsman_request_quality_ratio", "Quality scores of requests, 0 to 1.", TRACK, registry=registry)
        self.cached = Counter("pointsman_cache_hits", "Completed requests that a cache answered.", TRACK, registry=registry)
        self.in_flight = Gauge("pointsman_requests_in_flight", "Requests predicted and not completed.", TRACK, registry=registry)
        said = "Events counted under scope and track `other`, because there were too many tracks."
        self.overflowed = Counter("pointsman_label_overflow", said, registry=registry)

    def add(self, event: Event) -> None:
        """Take in one event; those that say nothing of traffic are passed over."""
        if isinstance(event, PredictionIssued):
            self._predicted(event)
        elif isinstance(event, RequestCompleted) and self._is_new(event.scope, event.event_id):
            self._completed(event)
        elif isinstance(event, QualityAssessed) and self._is_new(event.scope, event.event_id):
            self.quality.labels(*self._pair(event.scope, event.track)).observe(event.score)

    def _pair(self, scope: str, track: str) -> Pair:
        pair = (scope, track)
        if pair not in self._pairs:
            if len(self._pairs) > self._most:
                self.overflowed.inc()
                return OTHER
            self._pairs.add(pair)
        return pair

    def _is_new(self, *what: str) -> bool:
        key = hash(what)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)
        return True

    def _predicted(self, event: PredictionIssued) -> None:
        pair, interval = self._pair(event.scope, event.track), event.latency_ms
        if event.revision or pair == OTHER or interval is None:
            return
        self.predicted.labels(*pair).observe(interval.median / 1000.0)
        pending = self._pending.setdefault(event.scope, OrderedDict())
        key = (event.request_id, event.track)
        if hash((event.scope, *key)) in self._seen:  # where predictions and completions come by topics of their own, the completion may be first
            return
        if key not in pending:
            self.in_flight.labels(*pair).inc()
        pending[key] = (event.occurred_at, interval.lower, interval.upper)
        while len(pending) > MOST_PENDING or next(iter(pending.values()))[0] < event.occurred_at - PENDING_S:
            (_, track), _ = pending.popitem(last=False)
            self.in_flight.labels(event.scope, track).dec()

    def _completed(self, event: RequestCompleted) -> None:
        pair = self._pair(event.scope, event.track)
        outcome = "success" if event.success else event.failure_class or "unknown"
        self.requests.labels(*pair, outcome).inc()
        pending = self._pending.get(event.scope)
        said = pending.pop((event.request_id, event.track), None) if pending is not None else None
        if said is None:
            self._is_new(event.scope, event.request_id, event.track)
        else:
            self.in_flight.labels(*pair).dec()
        if event.success and event.latency_ms is not None:
            self.latency.labels(*pair).observe(event.latency_ms / 1000.0)
            if said is not None:
                position = "below" if event.latency_ms < said[1] else "above" if event.latency_ms > said[2] else "inside"
                self.intervals.labels(*pair, position).inc()
        if event.ttft_ms is not None:
            self.ttft.labels(*pair).observe(event.ttft_ms / 1000.0)
        for direction, tokens in (("input", event.input_tokens), ("output", event.output_tokens)):
            if tokens is not None:
                self.tokens.labels(*pair, direction).inc(tokens)
        self.cost.labels(*pair).inc(event.cost_usd or 0.0)
        if event.cache_hit:
            self.cached.labels(*pair).inc()
        if event.quality_score is not None:
            self.quality.labels(*pair).observe(event.quality_score)


__all__ = ["MOST_TRACKS", "Traffic"]
