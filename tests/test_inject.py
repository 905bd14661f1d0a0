"""Faults put into recordings: what they touch, what they leave alone, and what is said where they cannot be."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pointsman.schemas import AnyInput, ConfigChanged, OptimizationConfig, QualityAssessed, RequestCompleted, RequestStarted, ResourceSampled, Tick, Track
from pointsman.streams import Optimizer
from pointsman.streams.cli import main
from pointsman.streams.inject import Fault, inject, read_events, write_events
from pointsman.streams.inject_effects import InjectError
from pointsman.streams.inject_faults import FAULTS

BEGIN = 1_704_067_200.0
CONFIG = OptimizationConfig(tracks=(Track(name="local", max_concurrency=8), Track(name="api")))


def recording(count: int = 60) -> list[AnyInput]:
    """A request every ten seconds, by turns on two tracks, each answered after two seconds; a sample of a host beside each."""
    found: list[AnyInput] = []
    for number in range(count):
        at, track, name = BEGIN + 10.0 * number, ("local", "api")[number % 2], f"r{number}"
        common: dict[str, Any] = {"scope": "chat", "request_id": name, "track": track}
        found.append(RequestStarted(event_id=f"{name}/s", occurred_at=at, input_tokens=100, max_output_tokens=200, **common))
        gauges = {"running": float(number % 3), "generation_tokens_per_s": 100.0}
        found.append(ResourceSampled(event_id=f"{name}/h", scope="chat", occurred_at=at + 1.0, host="box", gpu_percent=60.0, temperature_c=50.0, gauges=gauges))
        done: dict[str, Any] = {"latency_ms": 2000.0, "ttft_ms": 500.0, "output_tokens": 50, "cost_usd": 0.001, "quality_score": 0.8, "success": True}
        found.append(RequestCompleted(event_id=f"{name}/c", occurred_at=at + 2.0, **common, **done))
    return found


def injected(kind: str, **given: Any) -> tuple[list[AnyInput], dict[str, Any]]:
    """The recording with a fault from 100 to 300 seconds."""
    return inject(recording(), replace(Fault(kind, at_s=100.0, for_s=200.0, config=CONFIG), **given))


def changed(events: list[AnyInput]) -> list[AnyInput]:
    """What is not as it was."""
    before = {event.event_id: event for event in recording()}
    return [event for event in events if before.get(event.event_id) != event]


def done(events: list[AnyInput]) -> list[RequestCompleted]:
    """The completions among them."""
    return [event for event in events if isinstance(event, RequestCompleted)]


def test_a_slow_track_is_slower_from_then_to_then_and_nothing_else_changes() -> None:
    events, said = injected("latency", track="api", factor=3.0)
    touched = changed(events)
    assert {event.track for event in done(touched)} == {"api"} and len(touched) == len(done(touched)) == said["requests"] == 10
    assert {(event.latency_ms, event.ttft_ms) for event in done(touched)} == {(6000.0, 1500.0)}
    assert [event.occurred_at for event in events] == sorted(event.occurred_at for event in events)
    assert (said["start"], said["end"]) == (BEGIN + 100.0, BEGIN + 300.0)


def test_late_events_that_nobody_touched_stay_as_late_as_they_were() -> None:
    events = recording()
    events.insert(90, events.pop(3))
    found, _ = inject(events, Fault("latency", at_s=100.0, for_s=60.0, track="api"))
    assert found.index(events[90]) - found.index(events[89]) == 1


def test_a_share_fails_quickly_by_the_provider() -> None:
    events, said = injected("errors", track="local", factor=0.5, seed=3)
    failed = done(changed(events))
    assert 0 < len(failed) == said["requests"] < 10
    assert {(event.success, event.failure_class, event.error_type, event.output_tokens) for event in failed} == {(False, "provider", "503", 0)}
    assert all(event.latency_ms is not None and event.latency_ms < 250.0 for event in failed)


def test_a_throttled_host_is_hot_and_its_track_slow() -> None:
    events, said = injected("throttled")
    samples = [event for event in changed(events) if isinstance(event, ResourceSampled)]
    assert said["host"] == "box" and said["samples"] == len(samples) == 20
    assert {(one.throttled, one.gpu_percent, one.temperature_c, (one.gauges or {})["generation_tokens_per_s"]) for one in samples} == {
        (True, 100.0, 70.0, 50.0)
    }
    assert {(event.track, event.latency_ms) for event in done(changed(events))} == {("local", 4000.0)}


def test_one_client_sends_more_tokens_and_the_quiet_twin_has_the_same_clients() -> None:
    events, said = injected("tokens", factor=4.0)
    quiet, _ = injected("none")
    starts = {event.request_id: event for event in events if isinstance(event, RequestStarted)}
    clients = {event.request_id: (event.attributes or {})["client"] for event in quiet if isinstance(event, RequestStarted)}
    assert clients == {name: (event.attributes or {})["client"] for name, event in starts.items()} and len(set(clients.values())) > 3
    touched = {name for name, event in starts.items() if event.input_tokens == 400}
    assert {clients[name] for name in touched} == {said["client"]} and len(touched) == said["requests"] > 0
    worse = [event for event in done(events) if event.request_id in touched]
    assert {(event.output_tokens, event.cost_usd, event.latency_ms) for event in worse} == {(200, 0.004, 6500.0)}


def test_a_bad_configuration_comes_and_goes_and_its_effect_is_in_the_outcomes() -> None:
    events, said = injected("configuration", track="local")
    first, second = (event for event in events if isinstance(event, ConfigChanged))
    assert [track.max_concurrency for track in first.config.tracks] == [4, None] and second.config == CONFIG
    assert (first.occurred_at, second.occurred_at) == (said["start"], said["end"])
    assert {(event.track, event.latency_ms) for event in done(changed(events))} == {("local", 4000.0)}


def test_a_version_is_on_every_request_of_its_track_and_the_new_one_is_worse() -> None:
    events, said = injected("version", track="api", factor=0.5)
    versions = {(event.attributes or {}).get("version") for event in events if isinstance(event, RequestStarted) and event.track == "api"}
    assert versions == {"v1", "v2"} and 0 < said["failed"] < said["requests"]
    assert {event.quality_score for event in done(changed(events)) if event.success} == {0.4}


def test_a_drift_grows_evenly() -> None:
    events, _ = injected("drift", track="local", factor=3.0)
    latencies = [event.latency_ms for event in sorted(done(changed(events)), key=lambda event: event.occurred_at)]
    assert latencies[:2] == [2400.0, 2800.0] and latencies[-1] == 5600.0


def test_a_stuck_gauge_keeps_its_last_value() -> None:
    events, said = injected("stuck")
    values = {(event.gauges or {})[said["gauge"]] for event in events if isinstance(event, ResourceSampled) and 100.0 <= event.occurred_at - BEGIN < 300.0}
    assert said["gauge"] == "running" and values == {said["value"]}


def test_quality_falls_in_completions_and_judgements() -> None:
    events = recording()
    events.append(QualityAssessed(event_id="q", scope="chat", occurred_at=events[-1].occurred_at, request_id="r11", track="api", score=0.5))
    found, said = inject(events, Fault("quality", at_s=100.0, for_s=200.0, track="api", factor=0.5))
    assert said["requests"] == 11 and next(event.score for event in found if isinstance(event, QualityAssessed)) == 0.25


def test_traffic_comes_again() -> None:
    events, said = injected("traffic", factor=3.0)
    assert said["requests"] == 40 and len(events) == 60 * 3 + 80 and len({event.event_id for event in events}) == len(events)


@pytest.mark.parametrize("kind", FAULTS)
def test_the_same_seed_gives_the_same_recording_and_the_core_takes_all_of_it(kind: str) -> None:
    given = {} if kind in ("tokens", "traffic", "none", "stuck") else {"track": "local"}
    events, said = injected(kind, **given)
    assert (events, said) == injected(kind, **given)
    with Optimizer.open(":memory:", CONFIG) as optimizer:
        outputs = optimizer.record_many(events)
    assert not [output for output in outputs if output.TYPE == "event.rejected/1"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("latency", at_s=100.0, track="lokal"), "no track lokal in this recording; it has local, api"),
        (Fault("latency", at_s=100.0), "give --track: this recording has local, api"),
        (Fault("latency", at_s=1e6, track="api"), "a recording of 592 s"),
        (Fault("latency", at_s=-1.0, track="api"), "a recording of 592 s"),
        (Fault("latency", at_s=100.0, for_s=0.0, track="api"), "--for is 0 s"),
        (Fault("latency", at_s=101.0, for_s=2.0, track="api"), "no request of api begins then"),
        (Fault("errors", at_s=100.0, track="api", factor=2.0), "it is a share"),
        (Fault("throttled", at_s=100.0, host="x"), "no host x in this recording; it has box"),
        (Fault("stuck", at_s=100.0, gauge="x"), "box has no gauge x; it has running"),
        (Fault("configuration", at_s=100.0, track="api", config=OptimizationConfig(tracks=(Track(name="other"),))), "track api is not in the configuration"),
        (Fault("tokens", at_s=100.0, clients=0), "--clients above 0"),
    ],
)
def test_what_cannot_be_injected_is_said(fault: Fault, said: str) -> None:
    with pytest.raises(InjectError, match=said):
        inject(recording(), fault)


def test_quality_needs_scores() -> None:
    events = [event.model_copy(update={"quality_score": None}) if isinstance(event, RequestCompleted) else event for event in recording()]
    with pytest.raises(InjectError, match="no request of api has a quality score"):
        inject(events, Fault("quality", at_s=100.0, track="api"))


def test_the_command_says_what_it_did_and_takes_times_of_all_kinds(tmp_path: Path) -> None:
    write_events(recording(), tmp_path / "in.jsonl.gz")
    starts = []
    for at in ("5m", "300", "2024-01-01T00:05:00Z", str(BEGIN + 300.0)):
        words = [
            "inject",
            str(tmp_path / "in.jsonl.gz"),
            "--fault",
            "latency",
            "--track",
            "api",
            "--at",
            at,
            "--for",
            "1m",
            "--output",
            str(tmp_path / "o.jsonl"),
        ]
        result = CliRunner().invoke(main, words)
        starts.append(json.loads(result.stdout)["start"])
    assert starts == [BEGIN + 300.0] * 4
    assert len(read_events(tmp_path / "o.jsonl")) == 180


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"type": "request.started/9"}\n')
    result = CliRunner().invoke(main, ["inject", str(tmp_path / "in.jsonl"), "--fault", "none", "--output", str(tmp_path / "o.jsonl")])
    assert result.exit_code == 2 and "in.jsonl:1" in result.stderr


def test_a_recording_without_requests_is_refused(tmp_path: Path) -> None:
    write_events([Tick(event_id="t", scope="chat", occurred_at=BEGIN)], tmp_path / "in.jsonl")
    result = CliRunner().invoke(main, ["inject", str(tmp_path / "in.jsonl"), "--fault", "none", "--output", str(tmp_path / "o.jsonl")])
    assert result.exit_code == 2 and "no requests in it" in result.stderr
