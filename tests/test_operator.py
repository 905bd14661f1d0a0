"""The operator's scope: what several scopes see is one incident there, and no scope reads another's."""

import json
from typing import Any

from events import START
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.incident_reports import IncidentReports, merged
from pointsman.schemas import (
    AnyInput,
    Event,
    IncidentOpened,
    IncidentReported,
    IncidentResolved,
    IncidentUpdated,
    OptimizationConfig,
    Suspect,
    Track,
)
from pointsman.streams.core import Core
from pointsman.streams.operator import Reporter

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api", provider="p"), Track(name="large", provider="p")))


def report(reporter: str, at: float, track: str = "api", state: Any = "opened", **fields: Any) -> IncidentReported:
    """What a scope reports of its first incident."""
    suspects = (Suspect(kind="track", name=track, score=0.8, evidence="slow"), Suspect(kind="attribute", name=f"client={reporter}", score=0.9, evidence="many"))
    given: dict[str, Any] = {"severity": "warning", "since": START, "tracks": (track,), "suspects": suspects, "requests": 10, "cost_usd": 0.5} | fields
    identity = f"{reporter}/{at}/{state}"
    return IncidentReported(event_id=identity, scope="operator", occurred_at=START + at, reporter=reporter, incident="incident-1", state=state, **given)


def step(core: Core, *events: AnyInput) -> list[Event]:
    return [output for event in events for output in core.step(event) if isinstance(output, IncidentOpened | IncidentUpdated | IncidentResolved)]


def test_the_second_scope_that_sees_a_track_in_trouble_opens_an_incident() -> None:
    core = Core(CONFIG)
    assert step(core, report("chat", 10.0), report("mail", 15.0, track="local")) == []
    (opened,) = step(core, report("mail", 20.0))
    assert isinstance(opened, IncidentOpened) and opened.scope == "operator" and opened.scopes == ("chat", "mail") and opened.tracks == ("api",)
    assert (opened.requests, opened.cost_usd, opened.incident) == (20, 1.0, "incident-1")
    assert [one.name for one in opened.suspects] == ["api", "client=chat", "client=mail"]


def test_one_scope_alone_and_scopes_far_apart_in_time_open_none() -> None:
    core = Core(CONFIG)
    assert step(core, report("chat", 10.0), report("chat", 20.0, state="updated"), report("mail", 900.0, since=START + 890.0)) == []


def test_two_tracks_of_one_provider_are_one_incident_of_it() -> None:
    (opened,) = step(Core(CONFIG), report("chat", 10.0), report("mail", 20.0, track="large"))
    assert isinstance(opened, IncidentOpened) and "provider p" in opened.title and opened.tracks == ("api", "large")


def test_a_third_scope_joins_and_it_is_over_when_it_is_in_all() -> None:
    core = Core(CONFIG)
    step(core, report("chat", 10.0), report("mail", 20.0))
    (joined,) = step(core, report("code", 30.0))
    over = [step(core, report(name, 400.0 + number, state="resolved", ended_at=START + 390.0)) for number, name in enumerate(("chat", "mail", "code"))]
    assert isinstance(joined, IncidentUpdated) and joined.scopes == ("chat", "code", "mail")
    assert [[type(one) for one in said] for said in over] == [[IncidentUpdated], [IncidentUpdated], [IncidentResolved]]
    assert isinstance(over[2][0], IncidentResolved) and over[2][0].ended_at == START + 390.0


def test_what_all_suspect_goes_before_what_one_does() -> None:
    common, own = Suspect(kind="host", name="gpu", score=0.6, evidence="hot"), Suspect(kind="attribute", name="client=a", score=0.9, evidence="many")
    assert [(one.name, one.score) for one in merged([[own, common], [common]])] == [("gpu", 0.6), ("client=a", 0.45)]


def test_the_operators_own_incidents_and_silenced_ones_are_told_to_nobody() -> None:
    (opened,) = step(Core(CONFIG), report("chat", 10.0), report("mail", 20.0))
    assert Reporter("operator").observe(opened) == [] and len(Reporter("other").observe(opened)) == 1
    assert Reporter("other").observe(opened.model_copy(update={"muted": "silenced"})) == []


REPORTS = st.lists(
    st.builds(
        report,
        st.sampled_from(["a", "b", "c"]),
        st.floats(0.0, 2000.0),
        st.sampled_from(["local", "api", "large"]),
        st.sampled_from(["opened", "updated", "resolved"]),
        since=st.sampled_from([START, START + 200.0, START + 900.0]),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(REPORTS, st.integers(0, 20))
def test_restored_anywhere_the_rest_is_told_the_same(reports: list[IncidentReported], cut: int) -> None:
    def room() -> IncidentReports:
        numbers = iter(range(100))
        return IncidentReports(CONFIG, lambda: f"incident-{next(numbers)}")

    whole, other = room(), room()
    for number, one in enumerate(reports):
        if number == cut:
            state, names = json.loads(json.dumps(other.snapshot())), other._name
            other = IncidentReports(CONFIG, names)
            other.restore(state)
        assert whole.told(one) == other.told(one)
    for common in whole.open.values():
        assert len(common.scopes) >= 2
