"""Traffic as Prometheus counters: each completion once, predictions beside outcomes, bounded labels."""

from typing import Any

from events import START, completed
from prometheus_client import CollectorRegistry, generate_latest

from pointsman.schemas import Event, Interval, PredictionIssued, QualityAssessed
from pointsman.sinks.traffic import MOST_PENDING, Traffic

TRACK = {"scope": "chat", "track": "local"}


def predicted(request: str, at: float, track: str = "local", scope: str = "chat", **fields: Any) -> PredictionIssued:
    """A latency of 800 ms was expected, between 500 and 1,000."""
    interval = Interval(median=800.0, lower=500.0, upper=1000.0)
    envelope = {"event_id": f"{scope}/{request}/{at}/0", "scope": scope, "occurred_at": START + at, "caused_by": "e"}
    return PredictionIssued.model_validate(envelope | {"request_id": request, "track": track, "latency_ms": interval} | fields)


class Fed:
    """Traffic that has heard these events, and its samples."""

    def __init__(self, *events: Event, most_tracks: int = 500) -> None:
        self.registry = CollectorRegistry()
        self.traffic = Traffic(self.registry, most_tracks)
        self.hear(*events)

    def hear(self, *events: Event) -> None:
        """Take in more."""
        for event in events:
            self.traffic.add(event)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"pointsman_{name}", TRACK | labels)


def test_a_completion_is_counted_once_however_often_it_is_told() -> None:
    done = completed("r1", 1.0, latency_ms=2000.0, input_tokens=7, output_tokens=5, cost_usd=0.25, cache_hit=True, quality_score=0.5)
    found = Fed(done, done)
    assert (found("requests_total", outcome="success"), found("request_latency_seconds_sum"), found("cost_usd_total")) == (1.0, 2.0, 0.25)
    assert (found("tokens_total", direction="input"), found("tokens_total", direction="output"), found("cache_hits_total")) == (7.0, 5.0, 1.0)
    assert found("request_quality_ratio_sum") == 0.5


def test_failures_are_counted_by_their_class_and_have_no_latency() -> None:
    found = Fed(completed("r1", 1.0, success=False, failure_class="timeout"), completed("r2", 1.0, success=False))
    assert (found("requests_total", outcome="timeout"), found("requests_total", outcome="unknown")) == (1.0, 1.0)
    assert found("request_latency_seconds_count") is None


def test_an_outcome_is_below_inside_or_above_what_was_predicted_of_it() -> None:
    found = Fed(*(predicted(f"r{number}", 0.0) for number in range(3)))
    found.hear(*(completed(f"r{number}", 1.0, latency_ms=latency) for number, latency in enumerate((400.0, 900.0, 1100.0))))
    assert [found("request_interval_total", position=position) for position in ("below", "inside", "above")] == [1.0, 1.0, 1.0]
    assert found("request_predicted_latency_seconds_sum") == 2.4000000000000004


def test_requests_are_in_flight_until_they_complete_and_for_ten_minutes_at_most() -> None:
    found = Fed(predicted("r1", 0.0), predicted("r1", 0.0, revision=1), predicted("r2", 1.0), completed("r1", 2.0))
    assert found("requests_in_flight") == 1.0
    found.hear(predicted("r3", 602.0))
    assert found("requests_in_flight") == 1.0


def test_a_completion_that_comes_before_its_prediction_leaves_nothing_in_flight() -> None:
    found = Fed(completed("r1", 1.0), predicted("r1", 0.0))
    assert (found("requests_in_flight"), found("request_predicted_latency_seconds_count")) == (None, 1.0)


def test_what_is_pending_is_bounded() -> None:
    assert Fed(*(predicted(f"r{number}", 0.0) for number in range(MOST_PENDING + 5)))("requests_in_flight") == MOST_PENDING


def test_tracks_beyond_the_bound_are_counted_together_and_that_is_counted() -> None:
    found = Fed(*(completed(f"r{number}", 1.0, f"t{number}") for number in range(5)), most_tracks=2)
    assert found("requests_total", scope="other", track="other", outcome="success") == 3.0
    assert found.registry.get_sample_value("pointsman_label_overflow_total") == 3.0
    assert generate_latest(found.registry).count(b"pointsman_requests_total{") == 3


def test_a_later_judgement_counts_as_quality() -> None:
    score = QualityAssessed(event_id="a1", scope="chat", occurred_at=START, request_id="r1", track="local", score=0.75)
    assert Fed(score, score)("request_quality_ratio_sum") == 0.75
