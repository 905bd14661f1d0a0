"""`pointsman alerts` and `pointsman incidents`: what stands, one incident in full, and what comes, from every kind of place."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from serving import TOKEN, serving
from test_webhook import Database, recorded
from troubles import alert, anomaly, course, opened, resolved, updated

from pointsman.schemas import AlertRaised, AlertResolved
from pointsman.sinks.incident_log import IncidentLog
from pointsman.streams.cli import main

WIDE = {"COLUMNS": "200", "TZ": "Asia/Kolkata"}


def said(*words: object) -> str:
    """What a command says that must succeed."""
    found = CliRunner().invoke(main, [*map(str, words)], env=WIDE)
    assert found.exit_code == 0, found.output
    return found.output


@contextmanager
def following(*words: object, **more: str) -> Iterator["subprocess.Popen[str]"]:
    """A command with --follow, which ends by Ctrl-C without a word."""
    command = [sys.executable, "-m", "pointsman.streams.cli", *map(str, words), "--follow"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"} | WIDE | more
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[1] == "" and process.returncode == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """One incident that ended, one that stands and one that is silenced, and two alerts that stand."""
    standing = opened(7, "incident-2", 40.0, severity="critical", title="errors of api")
    muted = opened(8, "incident-3", 50.0, muted="silenced", acknowledged_by="Kim")
    alerts = [alert(AlertRaised, 6), alert(AlertRaised, 9, fingerprint="gpu-2/cpu_percent", severity="critical", muted="maintenance")]
    return recorded(tmp_path / "out.jsonl", *course(), standing, muted, *alerts)


def test_alerts_that_stand_are_listed_the_worst_first_and_muted_ones_say_why(outputs: Path) -> None:
    first, second = said("alerts", outputs).splitlines()[1:]
    assert first.split()[:3] == ["critical", "chat", "gpu-2/cpu_percent"] and first.endswith("muted: maintenance")
    assert second.split() == ["warning", "chat", "gpu-1/cpu_percent", "constraint", "95", "80", "2023-11-14", "22:12:20", "UTC"]


def test_all_alerts_are_listed_in_their_order_with_their_bands_and_ends(outputs: Path) -> None:
    lines = said("alerts", outputs, "--all").splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["warning", "resolved", "warning", "critical"]
    assert "812 (400–1,300)" in lines[0] and lines[1].rstrip().endswith("6 min")


def test_alerts_of_another_scope_are_left_out_and_none_is_said(outputs: Path) -> None:
    assert said("alerts", outputs, "--scope", "other") == "no alert stands\n"
    assert said("alerts", outputs, "--scope", "other", "--all") == "no alert was raised\n"
    assert said("incidents", outputs, "--scope", "other") == "no incident yet\n"


def test_times_are_local_where_asked_for(outputs: Path) -> None:
    assert (
        "2023-11-15 03:42:20 IST"
        in subprocess.run(
            [sys.executable, "-m", "pointsman.streams.cli", "alerts", str(outputs), "--local"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | WIDE,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )


def test_json_is_the_events_one_a_line(outputs: Path) -> None:
    found = [json.loads(line) for line in said("alerts", outputs, "--json").splitlines()]
    assert [one["fingerprint"] for one in found] == ["gpu-1/cpu_percent", "gpu-2/cpu_percent"]
    assert [json.loads(line)["incident"] for line in said("incidents", outputs, "--json").splitlines()] == ["incident-2", "incident-3", "incident-1"]


def test_incidents_are_listed_open_ones_first_with_their_top_suspect(outputs: Path) -> None:
    lines = said("incidents", outputs).splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["incident-2", "incident-3", "incident-1"]
    assert "critical" in lines[0] and "errors of api" in lines[0] and "track local 81 %" in lines[0]
    assert lines[1].endswith("looked after by Kim, muted: silenced") and "15 min" in lines[2]


def test_an_incident_in_full_has_suspects_alerts_and_its_course(outputs: Path) -> None:
    found = said("incidents", outputs, "incident-1")
    for part in (
        "incident-1  resolved  latency of local",
        "120 requests (40 %); $0.25 extra; tracks local",
        "1. track local  81 %  latency 2.1 times its usual since 22:13",
        "warning  local/latency_ms/anomaly: 1,860 instead of 812",
        "2023-11-14 22:13:50 UTC  20 more requests",
        "2023-11-14 22:28:20 UTC  resolved",
    ):
        assert part in found


def test_what_ended_a_similar_one_is_said(tmp_path: Path) -> None:
    similar: list[dict[str, Any]] = [{"incident": "incident-1", "similarity": 0.9, "since": 1.7e9, "cause": "a full disk", "resolution": "emptied it"}]
    place = recorded(tmp_path / "out.jsonl", opened(1, "incident-4", similar=similar))
    assert "incident-1 of 2023-11-14 22:13:20 UTC, 90 % alike: a full disk; emptied it" in said("incidents", place, "incident-4")


def test_an_incident_that_is_not_there_is_an_error_that_names_those_that_are(outputs: Path) -> None:
    found = CliRunner().invoke(main, ["incidents", str(outputs), "incident-9"])
    assert (found.exit_code, found.output.strip()) == (2, "Error: there is no incident 'incident-9'; there are incident-2, incident-3, incident-1")


def test_control_characters_of_an_event_do_not_reach_the_terminal(tmp_path: Path) -> None:
    place = recorded(tmp_path / "out.jsonl", opened(1, title="a\x1b[31mb\n"), anomaly(AlertRaised, 2, fingerprint="a\x1b]0;b"))
    assert "\x1b" not in said("incidents", place) + said("incidents", place, "incident-1") + said("alerts", place)


def test_names_that_look_like_markup_are_names(tmp_path: Path) -> None:
    name = "[bold]x[/nope]"
    place = recorded(tmp_path / "out.jsonl", opened(1, title=f"errors of {name}"), alert(AlertRaised, 2, fingerprint=name))
    assert name in said("alerts", place)
    assert name in said("incidents", place) and name in said("incidents", place, "incident-1")


def test_a_narrow_terminal_has_lines_instead_of_tables(outputs: Path) -> None:
    found = CliRunner().invoke(main, ["alerts", str(outputs)], env=WIDE | {"COLUMNS": "80"}).output
    assert "warning" in found and "constraint gpu-1/cpu_percent: 95, expected 80" in found.replace("\n", "")
    found = CliRunner().invoke(main, ["incidents", str(outputs)], env=WIDE | {"COLUMNS": "80"}).output
    assert "  errors of api\n" in found and "incident-3" in found and "looked after by Kim" in found.replace("\n", "")


def test_a_database_is_followed(tmp_path: Path) -> None:
    database = Database(tmp_path / "p.db")
    database.write(opened(1))
    with following("incidents", database.path) as process:
        assert process.stdout is not None
        assert "incident" in process.stdout.readline() and "incident-1" in process.stdout.readline()
        database.write(updated(2, at=30.0, severity="critical"), resolved(3, at=90.0))
        assert "critical  chat  incident-1: latency of local, 20 more requests; suspected: track local" in process.stdout.readline()
        assert "resolved  chat  incident-1: latency of local; suspected" in process.stdout.readline()


def test_a_server_is_read_and_followed() -> None:
    def sample(number: int, percent: float) -> dict[str, Any]:
        return {"type": "resource.sampled/1", "event_id": f"s{number}", "scope": "live", "occurred_at": 1.7e9 + number, "host": "gpu-1", "cpu_percent": percent}

    with serving() as client:
        client.post("/v1/events", json=[sample(1, 99.0), sample(2, 99.0)])
        with following("alerts", client.base_url, "--json", POINTSMAN_TOKEN=TOKEN) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["type"] == "alert.raised/1"
            client.post("/v1/events", json=[sample(3, 10.0), sample(4, 10.0)])
            assert json.loads(process.stdout.readline())["type"] == "alert.resolved/1"


def test_a_log_of_incidents_is_bounded_and_what_was_heard_twice_changes_nothing() -> None:
    log = IncidentLog(most_open=3, most_over=2)
    for number in range(5):
        assert log.add(opened(number + 1, f"incident-{number}"))
    assert not log.add(opened(5, "incident-4")) and not log.add(alert(AlertResolved, 9)) and (len(log.stories()), log.evicted) == (3, 2)
    for number in range(2, 5):
        log.add(resolved(number + 10, f"incident-{number}", float(number)))
    assert [story.latest.incident for story in log.stories()] == ["incident-4", "incident-3"] and log.evicted == 2
