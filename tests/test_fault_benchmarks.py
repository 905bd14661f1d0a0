"""The measures of signals measure what they say: the index of agreement, the baselines, and when a fault counts as found and its cause as named."""

import doctest
import random
from typing import Any

import pytest
from benchmarks import clusters, fault_baselines, fault_ground, faults, quiet
from benchmarks.fault_baselines import Alarm

from pointsman.schemas import AlertRaised, Event, IncidentAlert, IncidentOpened, IncidentUpdated, RequestCompleted
from pointsman.schemas.signals import Suspect
from pointsman.streams.demo import RECORDING
from pointsman.streams.inject import Fault, inject, read_events

BEGIN = 1_704_067_200.0
SAID = {"fault": "latency", "track": "api", "start": BEGIN + 100.0, "end": BEGIN + 400.0}
COMMON: dict[str, Any] = {"scope": "demo", "caused_by": "x"}


@pytest.mark.parametrize("module", [clusters, fault_baselines, fault_ground, faults, quiet], ids=lambda module: module.__name__)
def test_their_documentation_is_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("truth", "found", "index"),
    [([0, 0, 1, 1], [1, 1, 0, 0], 1.0), ([0, 0, 1, 2], [0, 0, 1, 1], 0.571429), ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2], 0.242424), ([0, 0], [0, 0], 1.0)],
)
def test_the_adjusted_rand_index_has_its_known_values(truth: list[int], found: list[int], index: float) -> None:
    assert clusters.adjusted_rand(truth, found) == pytest.approx(index, abs=1e-6)


def suspects(*named: tuple[str, str]) -> tuple[Suspect, ...]:
    return tuple(Suspect.model_validate({"kind": kind, "name": name, "score": 0.5, "evidence": "-"}) for kind, name in named)


def incident(at: float, first: bool, *named: tuple[str, str]) -> Event:
    """Incident 1, opened or updated, with these suspects."""
    alert = IncidentAlert(fingerprint="f", kind="anomaly", severity="warning", since=BEGIN, score=1.0, observed=1.0, expected=0.0)
    fields: dict[str, Any] = {"incident": "incident-1", "severity": "warning", "title": "t", "since": BEGIN + at, "alerts": (alert,), "fingerprint": "f"}
    fields |= {"event_id": f"i{at}", "occurred_at": BEGIN + at, "suspects": suspects(*named), **COMMON}
    return IncidentOpened(**fields) if first else IncidentUpdated(**fields, reason="-")


def alert(at: float, severity: str = "warning") -> Event:
    fields: dict[str, Any] = {"kind": "anomaly", "severity": severity, "subject": "api", "observed": 1.0, "expected": 0.0, "since": BEGIN + at}
    return AlertRaised(event_id=f"a{at}", occurred_at=BEGIN + at, fingerprint="f", metric="latency_ms", **fields, **COMMON)


def test_a_cause_is_read_in_the_newest_state_of_the_first_incident() -> None:
    outputs = [alert(150.0), incident(160.0, True, ("track", "local")), incident(300.0, False, ("traffic", "api"), ("track", "api"))]
    found = faults.judge([], outputs, SAID)
    assert (found["found"], found["seconds"], found["incidents"], found["rank"]) == (True, 50.0, 1, 2)


def test_what_was_before_the_fault_or_long_after_it_does_not_count() -> None:
    outputs = [alert(50.0), incident(60.0, True, ("track", "api")), alert(530.0), alert(200.0, "info")]
    found = faults.judge([], outputs, SAID)
    assert (found["found"], found["incidents"], found["rank"]) == (False, 0, 0)


def test_every_baseline_finds_a_plain_fault_and_names_its_track() -> None:
    events, said = inject(read_events(RECORDING), Fault("latency", at_s=1200.0, track="api", factor=4.0))
    series = fault_baselines.windows(events)
    since = events[0].occurred_at + 600.0
    for alarms in (fault_baselines.three_sigma(series, since), fault_baselines.thresholds(series, since)):
        near = [one for one in alarms if said["start"] <= one.at <= said["end"] and one.entity == "api"]
        assert near and near[0] == Alarm(near[0].at, "api", "latency p95")
    assert "api" in fault_baselines.largest_z(series, said["start"], said["end"])


def test_a_variant_is_the_same_recording_under_other_names_and_at_another_speed() -> None:
    events = read_events(RECORDING)[:400]
    played = fault_ground.variant(events, random.Random(1), is_scaled=True)
    before, after = ([event.latency_ms for event in some if isinstance(event, RequestCompleted)] for some in (events, played.events))
    assert after == pytest.approx([(latency or 0.0) * played.speed for latency in before])
    assert {event.track for event in played.events if isinstance(event, RequestCompleted)} == {played.local, played.hosted}
    assert (played.events[-1].occurred_at - played.events[0].occurred_at) == pytest.approx(played.speed * (events[-1].occurred_at - events[0].occurred_at))
