"""The operator's scope: what several scopes see is one incident there, and no scope reads another's."""

import json
import random
from pathlib import Path
from typing import Any

from click.testing import CliRunner
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
    RequestCompleted,
    RequestStarted,
    Suspect,
    Tick,
    Track,
    decode,
    encode,
)
from pointsman.streams import Optimizer
from pointsman.streams.cli import main
from pointsman.streams.core import Core
from pointsman.streams.journal import Journal
from pointsman.streams.operator import Reporter

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api", provider="p"), Track(name="large", provider="p")), learners="light")


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


def test_reports_of_two_scopes_come_in_any_order() -> None:
    core = Core(CONFIG)
    assert step(core, report("chat", 10.0), report("chat", 400.0, state="resolved", ended_at=START + 390.0)) == []
    (opened,) = step(core, report("mail", 20.0))
    (over,) = step(core, report("mail", 410.0, state="resolved", ended_at=START + 380.0))
    assert isinstance(opened, IncidentOpened) and isinstance(over, IncidentResolved) and over.ended_at == START + 390.0


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


def failing(scopes: tuple[str, ...]) -> list[AnyInput]:
    """A request a second in each scope; from the 250th on every third on `api` fails, and each scope's requests say whose they are."""
    draw = random.Random(3)
    events: list[AnyInput] = []
    for number in range(400):
        for place, scope in enumerate(scopes):
            at, track = START + number + 0.1 * place, draw.choice(("api", "local"))
            name = f"{scope}-{number}"
            fields: dict[str, Any] = {"scope": scope, "request_id": name, "track": track}
            success = number < 250 or track == "local" or draw.random() > 0.4
            outcome: dict[str, Any] = {"success": success} if success else {"success": False, "failure_class": "provider"}
            events.append(
                RequestStarted(
                    event_id=f"{name}/s", occurred_at=at, attributes={"client": f"client-of-{scope}"}, input_tokens=draw.randrange(50, 500), **fields
                )
            )
            used = {"latency_ms": draw.lognormvariate(6.0, 0.3), "output_tokens": draw.randrange(20, 200)}
            events.append(RequestCompleted(event_id=f"{name}/c", occurred_at=at + 0.85, **used, **fields, **outcome))
    end = START + 401.0
    return [*events, *(Tick(event_id=f"t{scope}{step}", scope=scope, occurred_at=end + 60.0 * step) for step in range(12) for scope in scopes)]


def incidents(lines: list[bytes]) -> list[dict[str, Any]]:
    return [fields for fields in map(json.loads, lines) if fields["type"].startswith("incident.")]


def test_embedded_the_operator_sees_what_two_scopes_see_and_a_replay_of_the_journal_gives_the_same(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    with Optimizer.open(path, CONFIG, clock=lambda: START, operator="operator") as optimizer:
        optimizer.record_many(failing(("chat", "mail")))
        written = [line for _, line in optimizer.outputs()]
    found = incidents(written)
    opened = [one for one in found if one["scope"] == "operator" and one["type"] == "incident.opened/1"]
    assert [(one["scopes"], one["tracks"]) for one in opened] == [(["chat", "mail"], ["api"])]
    assert opened[0]["suspects"][0]["name"] == "api"
    journal = Journal.open(path)
    events = [decode(line) for _, line in journal.read(0)]
    journal.close()
    assert sum(isinstance(event, IncidentReported) for event in events) >= 2
    core = Core(CONFIG)
    assert [encode(output) for event in events for output in core.step(event)] == written


def test_no_scope_reads_of_another(tmp_path: Path) -> None:
    with Optimizer.open(str(tmp_path / "a.db"), CONFIG, clock=lambda: START, operator="operator") as optimizer:
        outputs = optimizer.record_many(failing(("chat", "mail")))
    for scope, other in (("chat", "mail"), ("mail", "chat")):
        said = b"".join(encode(output) for output in outputs if output.scope == scope)
        assert scope.encode() in said and other.encode() not in said and b"operator" not in said


def test_a_recording_is_reported_too_where_an_operator_is_configured_and_an_exported_journal_is_not_reported_twice(tmp_path: Path) -> None:
    recording, journal, settings_file = tmp_path / "in.jsonl", tmp_path / "journal.jsonl", tmp_path / "p.toml"
    recording.write_bytes(b"".join(encode(event) + b"\n" for event in failing(("chat", "mail"))))
    settings_file.write_text('learners = "light"\n[operator]\nscope = "ops"\n[[tracks]]\nname = "local"\n[[tracks]]\nname = "api"\n')
    run = CliRunner()

    def replayed(source: Path, *words: str) -> list[bytes]:
        output = tmp_path / "out.jsonl"
        done = run.invoke(main, ["replay", str(source), "--output", str(output), *words])
        assert done.exit_code == 0, done.output
        return output.read_bytes().splitlines()

    told = replayed(recording, "--config", str(settings_file))
    assert {one["scope"] for one in incidents(told)} == {"chat", "mail", "ops"}
    database = str(tmp_path / "a.db")
    config = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")), learners="light")
    with Optimizer.open(database, config, clock=lambda: START, operator="ops") as optimizer:
        optimizer.record_many(failing(("chat", "mail")))
    assert run.invoke(main, ["record", "--database", database, "--output", str(journal)]).exit_code == 0
    again = replayed(journal, "--config", str(settings_file))
    assert again == told == replayed(Path(database), "--config", str(settings_file))
    alone = replayed(recording, "--set", 'tracks=[{name="local"},{name="api"}]', "--set", "learners=light")
    assert {one["scope"] for one in incidents(alone)} == {"chat", "mail"}
