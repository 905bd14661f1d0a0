"""Prometheus gauges of advice, forecasts and models: what is exposed is read back by Prometheus's own parser."""

import urllib.request
from collections.abc import Iterable
from pathlib import Path

import pytest
import troubles
from advice import forecast, recommended, reported, scored
from alertmanaging import raised, resolved
from events import START, completed, sampled
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pointsman.schemas import Event, Expectation, Interval, RecommendationIssued, TrackAdvice
from pointsman.sinks.prometheus import GAUGES, Gauges, MetricsServer

TRACK = {"scope": "chat", "track": "local"}


def fed(events: Iterable[Event], most_series: int = 1000) -> Gauges:
    """Gauges that have seen these events."""
    gauges = Gauges(most_series)
    for event in events:
        gauges.add(event)
    gauges.flush()
    return gauges


def exposed(gauges: Gauges) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """What is exposed: per name the value of each set of labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(gauges.registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_advice_is_exposed_in_base_units() -> None:
    found = fed([recommended(0.0, 3), recommended(60.0, 7), scored(90.0)])
    values = {name: found.registry.get_sample_value(f"pointsman_scaling_{name}", TRACK) for name in ("desired_replicas", "service_time_seconds")}
    assert values == {"desired_replicas": 7.0, "service_time_seconds": 1.5}
    assert found.registry.get_sample_value("pointsman_scaling_effective_timestamp_seconds", TRACK) == START + 660.0
    assert found.registry.get_sample_value("pointsman_scaling_cost_usd_per_hour", TRACK) == 4.5
    assert found.registry.get_sample_value("pointsman_scaling_over_provisioned_ratio", TRACK) == 0.25
    assert found.registry.get_sample_value("pointsman_scope_last_event_timestamp_seconds", {"scope": "chat"}) == START + 90.0


def test_a_track_that_changes_its_unit_has_one_of_the_two() -> None:
    found = exposed(fed([recommended(0.0, 3), recommended(60.0, 48, unit="concurrency")]))
    assert found["pointsman_scaling_desired_concurrency"] == {(("scope", "chat"), ("track", "local")): 48.0}
    assert "pointsman_scaling_desired_replicas" not in found


def test_a_forecast_is_a_median_with_its_interval_and_a_time_to_its_limit() -> None:
    host = {"scope": "chat", "track": "", "host": "gpu-1", "metric": "memory_used_mb", "horizon_seconds": "21600"}
    near = forecast(0.0, 100.0, host="gpu-1", metric="memory_used_mb", horizon_s=21600.0, limit=150.0, time_to_limit_s=5400.0)
    gauges = fed([near])
    values = [gauges.registry.get_sample_value("pointsman_forecast", {**host, "bound": bound}) for bound in ("lower", "median", "upper")]
    assert values == [50.0, 100.0, 200.0]
    assert gauges.registry.get_sample_value("pointsman_forecast_time_to_limit_seconds", host) == 5400.0
    gauges.add(near.model_copy(update={"occurred_at": START + 60.0, "time_to_limit_s": None}))
    assert gauges.registry.get_sample_value("pointsman_forecast_time_to_limit_seconds", host) is None


def test_coverage_and_models_are_exposed_and_a_model_that_is_gone_goes() -> None:
    found = exposed(fed([reported(0.0, 0.91), reported(60.0, 0.88, ("linear",))]))
    latency = (("metric", "latency_ms"), ("scope", "chat"), ("track", "local"))
    assert found["pointsman_prediction_coverage_ratio"] == {latency: 0.88}
    assert found["pointsman_model_weight_ratio"] == {(latency[0], ("model", "linear"), *latency[1:]): 1.0}


def test_a_recommendation_is_its_shares_its_health_and_what_it_expects() -> None:
    advice = TrackAdvice(
        track="local",
        propensity=0.75,
        utility=1.0,
        expected=Expectation(latency_ms=Interval(median=800.0, lower=500.0, upper=1000.0)),
        timeout_ms=2000.0,
        ttft_timeout_ms=500.0,
        health="probing",
    )
    fields = {"event_id": "chat/7/0", "scope": "chat", "occurred_at": START, "caused_by": "e", "segment": "all", "track": "local", "propensity": 0.75}
    rest = {"tracks": (advice,), "strategy": "cost", "mode": "apply", "reasons": (), "policy_version": 3, "expires_at": START + 300.0}
    gauges = fed([RecommendationIssued.model_validate(fields | rest)])
    value = gauges.registry.get_sample_value
    assert value("pointsman_recommended_ratio", TRACK) == 0.75
    assert [value("pointsman_track_expected_latency_seconds", {**TRACK, "bound": bound}) for bound in ("lower", "median", "upper")] == [0.5, 0.8, 1.0]
    assert [value("pointsman_track_health", {**TRACK, "state": state}) for state in ("probing", "healthy")] == [1.0, 0.0]
    assert [value("pointsman_scope_strategy", {"scope": "chat", "strategy": name}) for name in ("cost", "balanced")] == [1.0, 0.0]
    assert value("pointsman_recommendation_expires_timestamp_seconds", {"scope": "chat"}) == START + 300.0


def test_alerts_are_counted_while_they_stand_and_are_0_afterwards() -> None:
    labels = {"scope": "chat", "kind": "constraint", "severity": "warning"}
    gauges = fed([raised(1), raised(2, fingerprint="gpu-1/temperature_c")])
    assert gauges.registry.get_sample_value("pointsman_alerts_active", labels) == 2.0
    gauges.add(resolved(3))
    gauges.add(resolved(4, fingerprint="gpu-1/temperature_c"))
    assert gauges.registry.get_sample_value("pointsman_alerts_active", labels) == 0.0


def test_a_sample_is_in_base_units_and_a_field_that_is_gone_goes() -> None:
    host = {"scope": "chat", "host": "laptop"}
    gauges = fed([sampled(0.0, cpu_percent=70.0, memory_used_mb=3000.0, battery_charging=True, gauges={"pending": 2.0})])
    names = ("cpu_ratio", "memory_used_bytes", "battery_charging", "gpu_ratio")
    assert [gauges.registry.get_sample_value(f"pointsman_resource_{name}", host) for name in names] == [0.7, 3e9, 1.0, None]
    assert gauges.registry.get_sample_value("pointsman_resource_reported", {**host, "gauge": "pending"}) == 2.0
    gauges.add(sampled(1.0, memory_used_mb=3000.0))
    assert gauges.registry.get_sample_value("pointsman_resource_cpu_ratio", host) is None


def test_what_is_older_or_has_no_gauge_changes_nothing() -> None:
    gauges = fed([recommended(60.0, 7), recommended(0.0, 3), completed("r1", 70.0)])
    assert gauges.registry.get_sample_value("pointsman_scaling_desired_replicas", TRACK) == 7.0


def test_series_are_bounded_and_what_goes_is_counted() -> None:
    found = exposed(fed((recommended(float(number), 1, f"t{number}") for number in range(30)), most_series=50))
    assert found["pointsman_series"][()] == 50.0 and sum(len(series) for name, series in found.items() if name in GAUGES) == 50
    assert found["pointsman_series_evicted_total"][()] == 30 * 9 + 1 - 50
    assert (("scope", "chat"), ("track", "t29")) in found["pointsman_scaling_desired_replicas"]


def test_labels_of_any_text_survive() -> None:
    found = exposed(fed([recommended(0.0, 3, 'a"b\\c\nd')]))
    assert found["pointsman_scaling_desired_replicas"] == {(("scope", "chat"), ("track", 'a"b\\c\nd')): 3.0}


def test_gauges_stand_in_a_registry_that_is_given_and_leave_it() -> None:
    registry = CollectorRegistry()
    gauges = Gauges(registry=registry)
    gauges.add(scored(0.0))
    assert b"pointsman_scaling_unserved_ratio" in generate_latest(registry)
    gauges.close()
    assert generate_latest(registry) == b""


def test_metrics_are_served_over_http_and_a_taken_port_is_said() -> None:
    with MetricsServer(fed([recommended(0.0, 3)]).registry) as server:
        with urllib.request.urlopen(f"http://{server.host}:{server.port}/metrics", timeout=10) as answer:
            assert b'pointsman_scaling_desired_replicas{scope="chat",track="local"} 3.0' in answer.read()
        with pytest.raises(OSError, match="cannot be listened on"), MetricsServer(CollectorRegistry(), port=server.port):
            pass


def test_the_documentation_lists_every_gauge() -> None:
    text = "".join((Path(__file__).parents[1] / "docs" / name).read_text() for name in ("autoscaling.md", "monitoring.md"))
    assert all(f"`{name}`" in text for name in GAUGES)


def test_open_incidents_are_counted_by_severity_and_so_is_what_there_was() -> None:
    gauges = Gauges()
    told = [troubles.opened(1), troubles.opened(1), troubles.opened(2, "incident-2"), troubles.updated(3, at=30.0)]
    for event in (*told, troubles.updated(4, at=40.0, severity="critical")):
        gauges.add(event)
    found = {level: {"scope": "chat", "severity": level} for level in ("warning", "critical")}
    value = gauges.registry.get_sample_value
    assert [value("pointsman_incidents_open", labels) for labels in found.values()] == [1.0, 1.0]
    assert [value("pointsman_incidents_total", labels) for labels in found.values()] == [2.0, 1.0]
    gauges.add(troubles.resolved(5, at=90.0))
    assert [value("pointsman_incidents_open", labels) for labels in found.values()] == [1.0, 0.0]
