"""The demo's recording with a fault in it."""

import pytest

from pointsman.schemas import RequestCompleted
from pointsman.streams.demo_fault import AT_S, DEMO_FAULTS, FOR_S, faulty_demo
from pointsman.streams.demo_incident import run_incident
from pointsman.streams.inject_faults import FAULTS
from pointsman.streams.serve_demo import recorded


def test_every_fault_that_the_recording_can_have_is_there() -> None:
    assert set(DEMO_FAULTS) == set(FAULTS) - {"none", "quality"}  # its answers were not judged


@pytest.mark.parametrize("kind", ["latency", "stuck", "configuration"])
def test_the_fault_is_towards_the_end(kind: str) -> None:
    events, said = faulty_demo(kind)
    assert said["start"] == events[0].occurred_at + AT_S and said["end"] == said["start"] + FOR_S < events[-1].occurred_at


def test_the_play_has_the_fault() -> None:
    plain, faulty = ({fields["event_id"]: fields for _, fields in recorded(0.0, fault).events} for fault in (None, "latency"))
    slower = {name for name in plain if plain[name] != faulty[name]}
    assert plain.keys() == faulty.keys() and slower
    assert {(faulty[name]["type"], faulty[name]["track"]) for name in slower} == {(RequestCompleted.TYPE, "api")}


def test_the_demo_ends_with_one_incident_and_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    run_incident()
    said = capsys.readouterr().out
    assert "incident-1" in said and "incident-2" not in said and "1. track api" in said
