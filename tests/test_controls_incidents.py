"""Through the public door: incidents under silences and maintenance, acknowledged and annotated, and what the next one says of them."""

import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from events import START

from pointsman.schemas import (
    AlertAcknowledged,
    AlertSilenced,
    AnyInput,
    IncidentAnnotated,
    IncidentOpened,
    IncidentResolved,
    IncidentUpdated,
    MaintenanceScheduled,
    OptimizationConfig,
    RequestCompleted,
    RequestStarted,
    Signals,
    Track,
    encode,
)
from pointsman.streams import Optimizer
from pointsman.streams.cli import main

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")), learners="light", signals=Signals(resolve_s=30.0, group_s=60.0))
TOML = 'learners = "light"\n[[tracks]]\nname = "local"\n[[tracks]]\nname = "api"\n[signals]\nresolve_s = 30.0\ngroup_s = 60.0\n'
INCIDENTS = (IncidentOpened, IncidentUpdated, IncidentResolved)
FIRST, SECOND = (400, 460), (700, 760)


def traffic() -> list[AnyInput]:
    """A request a second for a quarter of an hour; in two spells of a minute `local` fails."""
    draw = random.Random(4)
    events: list[AnyInput] = []
    for number in range(900):
        track = ("local", "api")[number % 2]
        fails = track == "local" and any(begin <= number < end for begin, end in (FIRST, SECOND))
        latency = draw.lognormvariate(6.0, 0.2)
        common: dict[str, Any] = {"scope": "chat", "request_id": f"r{number}", "track": track}
        done: dict[str, Any] = {"latency_ms": latency, "output_tokens": draw.randrange(30, 80), "cost_usd": draw.uniform(0.001, 0.002), "success": not fails}
        done["failure_class"] = "provider" if fails else None
        events.append(RequestStarted(event_id=f"{number}s", occurred_at=START + number, input_tokens=100, **common))
        events.append(RequestCompleted(event_id=f"{number}c", occurred_at=START + number + latency / 1000.0, **common, **done))
    return events


def with_controls(events: list[AnyInput], *controls: AnyInput) -> list[AnyInput]:
    return sorted([*events, *controls], key=lambda event: event.occurred_at)


def said(model: type[Any], at: float, **fields: Any) -> Any:
    return model(event_id=f"{model.TYPE}-{at}", scope="chat", occurred_at=START + at, **fields)


def told(events: list[AnyInput]) -> list[Any]:
    with Optimizer.open(":memory:", CONFIG, clock=lambda: START) as optimizer:
        return [output for output in optimizer.record_many(events) if isinstance(output, INCIDENTS)]


TWICE = traffic()


@pytest.fixture(scope="module")
def plain() -> list[Any]:
    """What is told of the two spells without any control."""
    return told(TWICE)


def opened(found: list[Any]) -> list[tuple[str, bool]]:
    """The incidents that were opened, and whether in the second spell."""
    return [(one.incident, one.occurred_at >= START + SECOND[0]) for one in found if isinstance(one, IncidentOpened)]


def test_the_second_incident_names_the_first_with_what_ended_it(plain: list[Any]) -> None:
    assert opened(plain) == [("incident-1", False), ("incident-2", True)]
    annotation = said(IncidentAnnotated, 600, incident="incident-1", resolution="restarted the model server", cause="out of memory", by="ana")
    second = next(one for one in told(with_controls(TWICE, annotation)) if one.incident == "incident-2")
    (similar,) = second.similar
    assert (similar.incident, similar.resolution, similar.cause) == ("incident-1", "restarted the model server", "out of memory") and similar.similarity > 0.5


def test_a_silenced_incident_is_the_same_but_that_nobody_is_told(plain: list[Any]) -> None:
    found = told(with_controls(TWICE, said(AlertSilenced, 300.0, fingerprint="*", until=START + 3600)))
    assert {one.muted for one in found} == {"silenced"} and {one.muted for one in plain} == {None}
    ignored = {"event_id", "muted"}
    assert [one.model_dump(exclude=ignored) for one in found] == [one.model_dump(exclude=ignored) for one in plain]


def test_an_incident_that_is_silenced_for_a_while_says_so_when_that_begins_and_ends(plain: list[Any]) -> None:
    at = plain[0].occurred_at - START
    found = told(with_controls(TWICE, said(AlertSilenced, at + 10.5, fingerprint="*", until=START + at + 30.5)))
    marks = [(one.muted, round(one.occurred_at - START - at, 1)) for one in found if getattr(one, "reason", "") == "who is told of it has changed"]
    assert marks[0] == ("silenced", 10.5) and marks[1][0] is None and 30.5 <= marks[1][1] <= 32 and len(marks) == 2
    assert [one.muted for one in found if isinstance(one, IncidentResolved)] == [None, None]


def test_what_happens_in_maintenance_opens_no_incident_and_is_not_learned_as_normal() -> None:
    window = said(MaintenanceScheduled, 390, start=START + 395, end=START + 470, tracks=("local",))
    assert opened(told(with_controls(TWICE, window))) == [("incident-1", True)]


def test_an_acknowledged_incident_says_by_whom_to_its_end(plain: list[Any]) -> None:
    at = plain[0].occurred_at - START
    found = [one for one in told(with_controls(TWICE, said(AlertAcknowledged, at + 1.5, incident="incident-1", by="ana"))) if one.incident == "incident-1"]
    assert found[0].acknowledged_by is None and {one.acknowledged_by for one in found[1:]} == {"ana"} and isinstance(found[-1], IncidentResolved)


def test_a_recording_with_controls_gives_the_same_bytes_in_two_halves(tmp_path: Path) -> None:
    silence = said(AlertSilenced, 420.5, fingerprint="local/*", until=START + 440.5)
    lines = [encode(event) + b"\n" for event in with_controls(TWICE, silence)]
    cut = next(number for number, line in enumerate(lines) if b"alert.silenced" in line) + 5
    (tmp_path / "c.toml").write_text(TOML)
    for name, part in (("all", lines), ("first", lines[:cut]), ("second", lines[cut:])):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(part))
        state = [] if name == "all" else ["--state", str(tmp_path / "state")]
        words = ["replay", str(tmp_path / f"{name}.jsonl"), "--output", str(tmp_path / f"{name}.out"), "--config", str(tmp_path / "c.toml"), *state]
        assert CliRunner().invoke(main, words).exit_code == 0
    whole = (tmp_path / "all.out").read_bytes()
    assert (tmp_path / "first.out").read_bytes() + (tmp_path / "second.out").read_bytes() == whole and b'"muted":"silenced"' in whole


def test_annotations_and_acknowledgements_of_unknown_incidents_are_refused() -> None:
    with Optimizer.open(":memory:", CONFIG, clock=lambda: START) as optimizer:
        optimizer.record_many(TWICE)
        optimizer.record(said(IncidentAnnotated, 901, incident="incident-1", note="known"))
        for event in (said(IncidentAnnotated, 902, incident="incident-9", note="x"), said(AlertAcknowledged, 902, incident="incident-1")):
            with pytest.raises(ValueError, match=r"is no incident of this scope, or none that is open"):
                optimizer.record(event)
