"""Incidents in a history and in the weekly report, and what can be done about one from the terminal."""

import json
import shlex
from pathlib import Path
from typing import Any

import outage
import pytest
from click.testing import CliRunner
from serving import serving

from pointsman.schemas import AnyInput, encode
from pointsman.sinks.history import open_queried
from pointsman.streams.cli import main
from pointsman.streams.embedded import Optimizer


def said(*words: object) -> str:
    """What a command prints; it must work."""
    found = CliRunner().invoke(main, [*map(str, words)], env={"COLUMNS": "80"})
    assert found.exit_code == 0, found.output
    return found.output


def database(path: Path, *parts: list[AnyInput]) -> Path:
    """The database of an optimizer that has lived through these parts of the outage."""
    with Optimizer.open(str(path), outage.CONFIG) as optimizer:
        for part in parts:
            for event in part:
                optimizer.record(event)
    return path


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """The recording of an outage from its beginning to its end."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"".join(encode(event) + b"\n" for event in (*outage.before(), *outage.during(), *outage.after())))
    return path


def report(source: Path, folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    """A report's figures and its page."""
    config = folder / "config.toml"
    config.write_text('learners = "light"\n[[tracks]]\nname = "local"\n[[tracks]]\nname = "api"\n')
    said("report", source, "--output", folder / "r.html", "--json", folder / "r.json", "--config", config, *options)
    return json.loads((folder / "r.json").read_text()), (folder / "r.html").read_text()


def test_an_incident_is_one_row_of_a_history_with_its_newest_state(tmp_path: Path) -> None:
    said("history", database(tmp_path / "p.db", outage.before(), outage.during(), outage.after()), tmp_path / "history.db")
    history = open_queried(str(tmp_path / "history.db"))
    (found,) = history.select("SELECT * FROM incidents")
    events = list(history.select("SELECT type FROM incident_events ORDER BY occurred_at"))
    history.close()
    assert (found["type"], found["incident"], found["suspect_kind"], found["suspect_name"]) == ("incident.resolved/1", "incident-1", "track", "local")
    assert found["tracks"] == "local" and found["duration_s"] == pytest.approx((found["ended_at"] - found["since"]).total_seconds(), abs=0.002)
    assert events[0]["type"] == "incident.opened/1" and len(events) >= 2


def test_the_weekly_report_counts_incidents_and_the_time_in_them(whole: Path, tmp_path: Path) -> None:
    figures, page = report(whole, tmp_path)
    (found,) = figures["incidents"]
    assert figures["incident_s"] == pytest.approx(found["duration_s"], abs=0.002)
    assert "<h2>Incidents, the newest first</h2><p>1 critical; " in page and "Most suspected: track local (1)." in page


def test_a_report_without_incidents_says_so(whole: Path, tmp_path: Path) -> None:
    _, page = report(whole, tmp_path, "--until", "2023-11-14T22:30:00Z")
    assert "<h2>Incidents</h2><p>None was open.</p>" in page


def test_an_open_incident_ends_with_commands_that_work_as_they_are_printed(tmp_path: Path) -> None:
    place = database(tmp_path / "my p.db", outage.before(), outage.during())
    lines = said("incidents", place, "incident-1").splitlines()
    assert lines[0].startswith("incident-1  critical  error of local")
    commands = [shlex.split(line) for line in lines[lines.index("next") + 1 :]]
    assert [words[:2] for words in commands] == [["pointsman", name] for name in ("acknowledge", "silence", "annotate")]
    for words in commands:
        said(*words[1:])
    after = said("incidents", place, "incident-1")
    assert "looked after by YOU" in after and "pointsman acknowledge" not in after


def test_one_of_a_replay_has_no_commands_for_nobody_could_take_them(whole: Path, tmp_path: Path) -> None:
    said("replay", whole, "--output", tmp_path / "out.jsonl")
    assert "pointsman" not in said("incidents", tmp_path / "out.jsonl", "incident-1")


def test_a_server_tells_its_incidents_and_one_of_them_with_its_course() -> None:
    with serving(config=outage.CONFIG) as client:
        client.post("/v1/events", json=[json.loads(encode(event)) for event in (*outage.before(), *outage.during())]).raise_for_status()
        (found,) = client.get("/v1/incidents").json()["chat"]
        assert client.get("/v1/incidents", params={"scope": "chat"}).json() == {"chat": [found]}
        one = client.get("/v1/incidents/incident-1", params={"scope": "chat"}).json()
        assert one == found and one["is_open"] and one["course"][0]["said"] == "opened"
        missing = client.get("/v1/incidents/incident-9", params={"scope": "chat"})
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        assert client.get("/v1/incidents", params={"scope": "other"}).status_code == 404
