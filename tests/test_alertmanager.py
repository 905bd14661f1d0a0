"""Alerts told to a real Alertmanager: raised, resolved under the same fingerprint, through absences and restarts."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import troubles
from alertmanaging import NOW, Alertmanager, Receiver, alertmanager, raised, resolved, telling, until
from events import START
from serving import TOKEN, serving

from pointsman.schemas import AlertRaised, Event, encode
from pointsman.schemas.settings import AlertmanagerSettings
from pointsman.sinks.alertmanager import AlertmanagerSink, labels, posted
from pointsman.sinks.standing_alerts import Change, StandingAlerts
from pointsman.streams.journal import Journal


class Database:
    """A database of outputs that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = Journal.open(str(path))

    def write(self, *events: Event) -> None:
        """Outputs, in this order."""
        self._journal.emitted.add([(1, event.event_id, encode(event)) for event in events], [])


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Alertmanager, Receiver]]:
    with alertmanager(tmp_path_factory.mktemp("alertmanager")) as found:
        yield found


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "p.db")


def one(manager: Alertmanager, scope: str) -> dict[str, Any]:
    """The only alert of a scope, as soon as it stands."""
    found: list[dict[str, Any]] = until(lambda: manager.alerts(filter=f'scope="{scope}"'))
    (only,) = found
    return only


def test_raised_stands_there_and_resolved_is_notified_under_the_same_fingerprint(manager: tuple[Alertmanager, Receiver], database: Database) -> None:
    there, receiver = manager
    with telling(database.path, "--url", there.url, "--set", 'alertmanager.labels={cluster="eu-1"}'):
        database.write(raised(1, scope="first"))
        stands = one(there, "first")
        database.write(resolved(2, 1.0, scope="first", severity="info"))
        until(lambda: not there.alerts(filter='scope="first"'))
        (ended,) = until(lambda: [found for found in receiver.of("resolved") if found["labels"]["scope"] == "first"])
    assert stands["status"]["state"] == "active" and stands["fingerprint"] == ended["fingerprint"]
    assert stands["labels"] == {
        "alertname": "PointsmanConstraint",
        "scope": "first",
        "subject": "gpu-1",
        "kind": "constraint",
        "severity": "warning",
        "fingerprint": "gpu-1/cpu_percent",
        "cluster": "eu-1",
    }
    assert stands["annotations"]["summary"] == "gpu-1/cpu_percent in scope first is 95, beyond its bound of 80."
    assert [found["fingerprint"] for found in receiver.of("firing") if found["labels"]["scope"] == "first"] == [stands["fingerprint"]]


def test_alerts_of_a_recording_of_years_ago_stand_and_end_as_the_recording_says(manager: tuple[Alertmanager, Receiver], database: Database) -> None:
    there, _ = manager
    long_ago = 1.71e9 - NOW
    database.write(raised(1, long_ago, scope="then", since=1.71e9), raised(2, long_ago, scope="gone"), resolved(3, long_ago + 60.0, scope="gone"))
    with telling(database.path, "--url", there.url):
        assert (one(there, "then")["startsAt"], one(there, "then")["status"]["state"]) == ("2024-03-09T16:00:00.000Z", "active")
        assert there.alerts(filter='scope="gone"') == []
        database.write(resolved(4, long_ago + 200.0, scope="then"))
        until(lambda: not there.alerts(filter='scope="then"'))


def test_after_a_restart_what_stands_is_told_and_what_ended_meanwhile_is_resolved(manager: tuple[Alertmanager, Receiver], database: Database) -> None:
    there, receiver = manager
    database.write(raised(1, scope="again"), raised(2, scope="again", fingerprint="gpu-1/temperature_c"))
    with telling(database.path, "--url", there.url):
        until(lambda: len(there.alerts(filter='scope="again"')) == 2)
    database.write(resolved(3, 1.0, scope="again"))
    with telling(database.path, "--url", there.url):
        until(lambda: len(there.alerts(filter='scope="again"')) == 1)
        assert one(there, "again")["labels"]["fingerprint"] == "gpu-1/temperature_c"
    assert until(lambda: [found for found in receiver.of("resolved") if found["labels"]["scope"] == "again"])


def test_a_silenced_alert_is_told_on_and_stays_silenced(manager: tuple[Alertmanager, Receiver], database: Database) -> None:
    there, receiver = manager
    silence = there.silence("quiet")
    with telling(database.path, "--url", there.url):
        database.write(raised(1, scope="quiet"))
        stands = one(there, "quiet")
        before = stands["updatedAt"]
        until(lambda: one(there, "quiet")["updatedAt"] > before)
    assert (one(there, "quiet")["status"]["state"], stands["status"]["silencedBy"]) == ("suppressed", [silence])
    assert not [found for found in receiver.notified if found["labels"]["scope"] == "quiet"]


def test_one_that_is_away_holds_up_no_other_and_has_everything_when_it_is_back(
    manager: tuple[Alertmanager, Receiver], database: Database, tmp_path: Path
) -> None:
    there, receiver = manager
    other = Alertmanager(tmp_path / "other", receiver.url)
    try:
        with telling(database.path, "--url", other.url, "--url", there.url):
            database.write(raised(1, scope="both"), raised(2, scope="both", fingerprint="gpu-1/temperature_c"))
            until(lambda: len(there.alerts(filter='scope="both"')) == 2)
            database.write(resolved(3, 1.0, scope="both"))
            until(lambda: len(there.alerts(filter='scope="both"')) == 1)
            other.start()
            assert one(other, "both")["labels"]["fingerprint"] == "gpu-1/temperature_c"
            other.stop()
            database.write(resolved(4, 2.0, scope="both", fingerprint="gpu-1/temperature_c"), raised(5, 3.0, scope="both", fingerprint="gpu-1/battery_percent"))
            other.start()
            until(lambda: [found["labels"]["fingerprint"] for found in other.alerts()] == ["gpu-1/battery_percent"])
    finally:
        other.stop()


def test_a_server_is_followed_through_its_restart(manager: tuple[Alertmanager, Receiver], tmp_path: Path) -> None:
    there, _ = manager
    at = time.time()

    def sample(number: int, percent: float) -> dict[str, Any]:
        return {"type": "resource.sampled/1", "event_id": f"s{number}", "scope": "live", "occurred_at": at + number, "host": "gpu-1", "cpu_percent": percent}

    with ExitStack() as server:
        client = server.enter_context(serving(tmp_path / "p.db"))
        client.post("/v1/events", json=[sample(1, 99.0), sample(2, 99.0)])
        with telling(client.base_url, "--url", there.url, token=TOKEN):
            assert one(there, "live")["labels"]["fingerprint"] == "gpu-1/cpu_percent"
            server.close()
            client = server.enter_context(serving(tmp_path / "p.db", port=client.base_url.port or 0))
            client.post("/v1/events", json=[sample(3, 10.0), sample(4, 10.0)])
            until(lambda: not there.alerts(filter='scope="live"'))


def test_a_password_is_asked_for_and_given(database: Database, tmp_path: Path) -> None:
    hashed = "$2b$05$2DOva.s3FfT1L51iCoukUuzfXjI3IN2kwQImn/RvARpYGRQzWE2RO"  # of: pointsman
    (tmp_path / "web.yml").write_text(json.dumps({"basic_auth_users": {"tests": hashed}}))
    database.write(raised(1))
    with alertmanager(tmp_path / "locked", str(tmp_path / "web.yml")) as (there, receiver):
        secrets = ("--set", "alertmanager.username=tests", "--set", "alertmanager.password=pointsman")
        with telling(database.path, "--url", there.url, *secrets):
            assert until(lambda: receiver.of("firing"))[0]["labels"]["scope"] == "chat"


def sent(events: Iterable[Event], **settings: Any) -> list[str]:
    """The names of the alerts that wait for a target once these events are read, and that have not ended."""
    sink = AlertmanagerSink(AlertmanagerSettings.model_validate({"urls": ["http://127.0.0.1:1"], **settings}))
    for event in events:
        sink.add(event)
    sink.ready()
    return [f"{alert['labels']['alertname']} {alert['labels']['severity']}" for alert in sink.targets[0].waiting() if "endsAt" not in alert]


def test_an_incident_is_an_alert_beside_or_instead_of_those_that_open_it() -> None:
    events = [troubles.anomaly(AlertRaised, 1), troubles.opened(2), troubles.alert(AlertRaised, 3)]
    assert sent(events) == ["PointsmanAnomaly warning", "PointsmanConstraint warning", "PointsmanIncident warning"]
    assert sent(events, incidents="instead") == ["PointsmanConstraint warning", "PointsmanIncident warning"]
    assert sent(events, incidents="off") == ["PointsmanAnomaly warning", "PointsmanConstraint warning"]


def test_an_incident_of_another_severity_is_another_alert_and_a_muted_one_none() -> None:
    assert sent([troubles.opened(1), troubles.updated(2, severity="critical")]) == ["PointsmanIncident critical"]
    assert sent([troubles.opened(1, muted="silenced"), raised(2, muted="maintenance")]) == []


def test_an_incident_stands_in_alertmanager_and_ends_there(manager: tuple[Alertmanager, Receiver], database: Database) -> None:
    there, receiver = manager
    at = NOW - START
    with telling(database.path, "--url", there.url):
        database.write(troubles.opened(1, at=at, scope="troubled", since=NOW - 60.0))
        stands = one(there, "troubled")
        database.write(troubles.resolved(2, at=at + 1.0, scope="troubled", since=NOW - 60.0))
        until(lambda: not there.alerts(filter='scope="troubled"'))
    assert stands["labels"] == {"alertname": "PointsmanIncident", "scope": "troubled", "incident": "incident-1", "severity": "warning"}
    assert stands["annotations"]["suspects"].startswith("track local (81%): latency 2.1 times") and stands["annotations"]["requests"] == "120"
    assert until(lambda: [found for found in receiver.of("resolved") if found["labels"]["scope"] == "troubled"])


def test_what_is_heard_twice_or_late_changes_nothing() -> None:
    standing = StandingAlerts()
    first = [raised(1), resolved(2), raised(3)]
    changes = [len(standing.add(event)) for event in [*first, *first]]
    assert changes == [1, 1, 1, 0, 0, 0] and [found.event_id for found in standing.alerts()] == ["chat/3/0"]


def test_another_severity_is_another_alert_and_ends_the_one_before() -> None:
    standing = StandingAlerts()
    standing.add(raised(1))
    ended, new = standing.add(raised(2, 5.0, severity="critical"))
    assert (ended.alert.severity, ended.ended_at, new.alert.severity, new.ended_at) == ("warning", NOW + 5.0, "critical", None)


def test_a_muted_alert_stands_for_nobody_until_it_is_told_again() -> None:
    standing = StandingAlerts()
    events = [raised(1, muted="silenced"), resolved(2, muted="silenced"), raised(3), raised(4, 9.0, muted="maintenance"), raised(5), resolved(6)]
    changes = [[change.ended_at for change in standing.add(event)] for event in events]
    assert changes == [[], [], [None], [NOW + 9.0], [None], [NOW]] and len(standing) == 0


def test_standing_alerts_are_bounded_and_what_goes_is_counted() -> None:
    standing = StandingAlerts(most=3)
    for number in range(5):
        standing.add(raised(number, fingerprint=f"gpu-{number}/cpu_percent"))
    assert (len(standing), standing.evicted) == (3, 2)


def test_an_end_is_neither_in_the_future_nor_before_the_beginning() -> None:
    settings = AlertmanagerSettings()
    ahead = posted(Change(raised(1), NOW + 900.0), settings, NOW)
    strange = posted(Change(raised(1, since=NOW + 5.0), NOW), settings, NOW)
    assert ahead["startsAt"] < ahead["endsAt"] and ahead["endsAt"] == strange["endsAt"] == strange["startsAt"]


def test_own_labels_win_over_configured_ones() -> None:
    assert labels(raised(1), {"scope": "other", "cluster": "eu"})["scope"] == "chat"


def test_the_queue_of_an_alertmanager_that_is_away_is_bounded() -> None:
    sink = AlertmanagerSink(AlertmanagerSettings(urls=("http://127.0.0.1:1",)))
    sink.ready()
    for number in range(10_100):
        sink.add(raised(number, fingerprint=f"gpu-{number}/cpu_percent"))
    assert (len(sink), sink.targets[0].dropped) == (10_000, 100)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("p.db",), "no Alertmanager is named"),
        (("no.db", "--url", "http://127.0.0.1:9093"), "no such file"),
        (("p.db", "--url", "127.0.0.1:9093"), "alertmanager.urls"),
        (("p.db", "--url", "http://127.0.0.1:9093", "--set", "alertmanager.ssl_cafile=missing.pem"), "readable PEM"),
    ],
)
def test_what_is_wrong_with_a_call_is_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    Database(tmp_path / "p.db")
    command = [sys.executable, "-m", "pointsman.streams.cli", "alertmanager", *arguments]
    found = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(os.path.abspath(p) for p in sys.path)},
    )
    assert found.returncode == 2 and said in found.stderr and "Traceback" not in found.stderr


def test_a_wrong_token_of_the_server_is_said(tmp_path: Path) -> None:
    with serving() as client:
        command = [sys.executable, "-m", "pointsman.streams.cli", "alertmanager", str(client.base_url), "--url", "http://127.0.0.1:9"]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "POINTSMAN_TOKEN": "wrong"}
        found = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert found.returncode == 2 and "POINTSMAN_TOKEN" in found.stderr and "Traceback" not in found.stderr
