"""A room of the signals that throws: it is begun anew and told of once, and everything else that the event caused is there (law 9)."""

from collections.abc import Callable
from typing import Any

import pytest
from signalling import CONFIG
from test_signal_laws import course, fold, open_at, restored

from pointsman.models.burn import Objectives
from pointsman.models.controls import Controls
from pointsman.models.deployments import Deployments
from pointsman.models.guard import CALM_S
from pointsman.models.incidents import Incidents
from pointsman.models.paths import Paths
from pointsman.models.precursors import Precursors
from pointsman.models.recurrence import Recurrence
from pointsman.models.watch import Watch
from pointsman.schemas import AlertRaised, AlertResolved, AnyInput, Event, IncidentOpened, IncidentResolved, PredictionIssued, Tick
from pointsman.streams.core import Core

LENGTH = 300
ROOMS = [
    ("watch", Watch, "completed"),
    ("watch", Watch, "advance"),
    ("watch", Watch, "deviations"),
    ("objectives", Objectives, "completed"),
    ("paths", Paths, "completed"),
    ("paths", Paths, "edges"),
    ("incidents", Incidents, "judged"),
    ("incidents", Incidents, "hear"),
    ("controls", Controls, "heard"),
    ("controls", Controls, "marks"),
    ("precursors", Precursors, "advance"),
    ("recurrence", Recurrence, "look"),
    ("deployments", Deployments, "observe"),
]


def broken(monkeypatch: pytest.MonkeyPatch, room: type, method: str, times: int = 1) -> None:
    """From here on a method of a room does its work, and then throws, so many times."""
    before: Callable[..., Any] = getattr(room, method)
    left = [times]

    def throw(*given: Any, **named: Any) -> Any:
        found = before(*given, **named)
        if left[0]:
            left[0] -= 1
            raise OverflowError("too large")
        return found

    monkeypatch.setattr(room, method, throw)


def amid() -> int:
    """A place in the stream at which an incident is open and alerts are silenced."""
    said = course().said
    return next(place for place in course().states if open_at([one for found in said[:place] for one in found]))


def folded(core: Core, events: list[AnyInput]) -> list[Event]:
    """All outputs."""
    return [output for event in events for output in core.step(event)]


def failed(outputs: list[Event]) -> list[tuple[str, str]]:
    """What is told of rooms that threw."""
    return [(one.TYPE, one.fingerprint) for one in outputs if isinstance(one, AlertRaised | AlertResolved) and one.fingerprint.endswith("/failed")]


@pytest.mark.parametrize(("name", "room", "method"), ROOMS, ids=[f"{name}-{method}" for name, _, method in ROOMS])
def test_a_room_that_throws_costs_its_own_state_only(name: str, room: type, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, first = course(), amid()
    core = restored(whole.states[first])
    broken(monkeypatch, room, method)
    outputs = folded(core, whole.events[first : first + LENGTH])
    assert failed(outputs) == [("alert.raised/1", f"signals/{name}/failed")]
    assert core.status("chat")["signals"]["failures"] == {name: 1}
    usual = [one for said in whole.said[first : first + LENGTH] for one in said]
    asked = [[(one.request_id, one.latency_ms) for one in said if isinstance(one, PredictionIssued)] for said in (outputs, usual)]
    assert asked[0] == asked[1]
    assert core.restore("chat", core.snapshot("chat"))


@pytest.mark.parametrize(("name", "room", "method"), ROOMS, ids=[f"{name}-{method}" for name, _, method in ROOMS])
def test_a_room_that_always_throws_is_told_of_once(name: str, room: type, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, first = course(), amid()
    core = restored(whole.states[first])
    broken(monkeypatch, room, method, times=10**9)
    assert failed(folded(core, whole.events[first : first + LENGTH])) == [("alert.raised/1", f"signals/{name}/failed")]


def test_what_a_room_had_told_of_is_over_when_it_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, first = course(), amid()
    before = [one for said in whole.said[:first] for one in said]
    stood = {one.fingerprint for one in before if isinstance(one, AlertRaised) and one.kind == "anomaly"}
    stood -= {one.fingerprint for one in before if isinstance(one, AlertResolved)}
    core = restored(whole.states[first])
    broken(monkeypatch, Watch, "completed")
    outputs = folded(core, whole.events[first : first + 20])
    assert stood and stood <= {one.fingerprint for one in outputs if isinstance(one, AlertResolved)}
    assert not [one for one in outputs if isinstance(one, IncidentOpened)]


def test_incidents_end_when_their_room_is_begun_anew_and_the_next_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, first = course(), amid()
    core = restored(whole.states[first])
    broken(monkeypatch, Incidents, "judged")
    outputs = folded(core, whole.events[first:])
    ended = [one.incident for one in outputs if isinstance(one, IncidentResolved)]
    opened = [one.incident for one in outputs if isinstance(one, IncidentOpened)]
    assert ended[0] == "incident-1" and opened[0] == "incident-2"


def test_the_failure_is_over_after_an_hour_and_the_same_from_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, first = course(), amid()
    core = restored(whole.states[first])
    broken(monkeypatch, Watch, "completed")
    folded(core, whole.events[first : first + 20])
    again = Core(CONFIG)
    assert again.restore("chat", core.snapshot("chat"))
    later = Tick(event_id="later", scope="chat", occurred_at=core.scope("chat").clock + CALM_S)
    said = fold(core, [later])
    assert said == fold(again, [later]) and b"signals/watch/failed" in said
    assert core.status("chat")["signals"]["failures"] == {"watch": 1}
