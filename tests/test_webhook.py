"""Incidents and alerts told to webhooks: signed, in order, at least once, and to each target by itself."""

import json
import signal
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alertmanaging import until
from documents import blocks
from hooking import SECRET, Hook, hook, start, telling, whole
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from serving import TOKEN, serving
from troubles import SUSPECTS, alert, anomaly, course, opened, resolved, updated

from pointsman.schemas import AlertRaised, AlertResolved, Event, encode
from pointsman.schemas.settings import WebhookSettings
from pointsman.sinks.webhook_choice import Choice
from pointsman.sinks.webhook_message import identity, message_of
from pointsman.sinks.webhook_progress import Reached
from pointsman.sinks.webhook_slack import slack
from pointsman.streams.journal import Journal


class Database:
    """A database of outputs that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = Journal.open(str(path))

    def write(self, *events: Event) -> None:
        """Outputs, in this order."""
        self._journal.emitted.add([(1, event.event_id, encode(event)) for event in events], [])


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "p.db")


def recorded(path: Path, *events: Event) -> Path:
    """The outputs of a replay."""
    path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    return path


def longer(found: list[Any], than: int) -> bool:
    """Whether there is more."""
    return len(found) > than


def has_taken(hooked: Hook, count: int) -> bool:
    """Whether so many different ones have come."""
    return len(hooked.taken) >= count


def types(hooked: Hook) -> list[str]:
    """The types of what was taken."""
    return [said["type"] for said in hooked.taken]


def test_a_recording_is_told_whole_in_order_and_an_incident_stands_for_its_alerts(tmp_path: Path) -> None:
    place = recorded(tmp_path / "out.jsonl", *course(), alert(AlertRaised, 6))
    with hook() as there:
        found = whole(place, [{"url": there.url}])
    assert (found.returncode, found.stderr) == (0, "")
    assert types(there) == ["incident.opened/1", "incident.updated/1", "incident.resolved/1", "alert.raised/1"]
    assert there.taken[0]["data"]["suspects"][0]["name"] == "local" and there.taken[0]["timestamp"].endswith("Z")
    assert not list(tmp_path.glob("*webhooks*"))


def test_what_is_told_carries_a_signature_that_only_the_secret_makes(tmp_path: Path) -> None:
    import base64
    import hashlib
    import hmac

    with hook() as there:
        whole(recorded(tmp_path / "out.jsonl", opened(1)), [{"url": there.url, "secret": SECRET}])
    (call,) = there.calls
    signed = b".".join((call.id.encode(), call.headers["webhook-timestamp"].encode(), call.body))
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    assert call.headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert call.headers["content-type"] == "application/json"


def test_at_first_only_what_stands_is_told_and_then_all_that_comes(database: Database) -> None:
    database.write(opened(1), resolved(2, at=60.0), opened(3, "incident-2", 70.0), updated(4, "incident-2", 80.0))
    with hook() as there, telling(database.path, [{"url": there.url}]):
        until(lambda: len(there.taken) == 1)
        database.write(resolved(5, "incident-2", 90.0), opened(6, "incident-3", 95.0))
        until(lambda: len(there.taken) == 3)
    assert [(said["type"], said["data"]["incident"]) for said in there.taken] == [
        ("incident.updated/1", "incident-2"),
        ("incident.resolved/1", "incident-2"),
        ("incident.opened/1", "incident-3"),
    ]


def test_killed_at_any_moment_nothing_is_lost_and_repeats_have_the_same_id(database: Database) -> None:
    names = [f"incident-{number}" for number in range(4)]
    with hook() as there:
        for turn, name in enumerate(names):
            database.write(opened(turn + 1, name, float(turn)))
            there.held.clear()
            told = len(there.calls)
            process = start(database.path, [{"url": there.url}])
            until(partial(longer, there.calls, told))  # in the middle of a post: it is not known whether it was taken
            if turn % 2:
                there.held.set()
                until(partial(has_taken, there, turn + 1))
            process.kill()
            process.communicate()
            there.held.set()
        with telling(database.path, [{"url": there.url}]):
            database.write(resolved(13, names[0], 20.0))
            until(lambda: "incident.resolved/1" in types(there))
    assert [said["data"]["incident"] for said in there.taken] == [*names, names[0]]
    assert len(there.calls) > len(there.taken) and len({(call.id, call.body) for call in there.calls}) == len(names) + 1


def test_after_an_orderly_end_nothing_is_repeated(database: Database) -> None:
    database.write(*course()[:3])
    with hook() as there:
        for turn in range(3):
            with telling(database.path, [{"url": there.url}]):
                database.write(opened(turn + 6, f"incident-{turn + 2}", 1000.0 + turn))
                until(partial(has_taken, there, turn + 2))
        assert len(there.calls) == 4


def test_a_target_that_is_away_holds_up_no_other_and_has_everything_in_order_when_it_is_back(database: Database) -> None:
    away = Hook()
    port = int(away.url.split(":")[2].split("/")[0])
    away.close()
    with hook() as there, telling(database.path, [{"url": away.url}, {"url": there.url}], "--from-start") as said:
        database.write(*course())
        until(lambda: len(there.taken) == 3)
        back = Hook(port=port)
        until(lambda: len(back.taken) == 3)
        back.close()
    assert types(back) == types(there) == ["incident.opened/1", "incident.updated/1", "incident.resolved/1"]
    assert [call.id for call in back.calls] == [call.id for call in there.calls]
    assert "ConnectError. Trying again" in said() and "secret-path" not in said()


def test_failures_that_pass_are_tried_again_with_the_same_id_and_order(tmp_path: Path) -> None:
    with hook(answers=[500, 429, 503, 408]) as there:
        found = whole(recorded(tmp_path / "out.jsonl", opened(1), resolved(2, at=60.0)), [{"url": there.url}])
    assert [call.status for call in there.calls] == [500, 429, 503, 408, 200, 200]
    assert len({call.id for call in there.calls[:5]}) == 1 and types(there) == ["incident.opened/1", "incident.resolved/1"]
    assert "2 told, 0 put aside" in found.stdout


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    with hook(answers=[429], headers={"retry-after": "2"}) as there:
        whole(recorded(tmp_path / "out.jsonl", opened(1)), [{"url": there.url}])
    first, second = there.calls
    assert second.at - first.at >= 2.0


def test_what_a_target_refuses_is_put_aside_and_the_next_is_told(tmp_path: Path) -> None:
    events = recorded(tmp_path / "out.jsonl", opened(1), opened(2, "incident-2"))
    with ExitStack() as stack:
        targets = {f"it answers {status}": stack.enter_context(hook(answers=[status])) for status in (301, 400, 401, 404, 410)}
        found = whole(events, [{"url": there.url} for there in targets.values()])
    letters = [json.loads(line) for line in (tmp_path / "out.jsonl.webhooks.rejected.jsonl").read_text().splitlines()]
    assert {letter["reason"]: (letter["event"]["incident"], letter["id"]) for letter in letters} == {
        reason: ("incident-1", there.calls[0].id) for reason, there in targets.items()
    }
    assert all([said["data"]["incident"] for said in there.taken] == ["incident-2"] for there in targets.values())
    assert found.stdout.count("1 told, 1 put aside") == 5 and "put aside in" in found.stderr and "secret-path" not in found.stderr + json.dumps(letters)


def test_what_is_never_taken_is_given_up_in_the_end(tmp_path: Path) -> None:
    with hook(answers=[503] * 9) as there:
        found = whole(recorded(tmp_path / "out.jsonl", opened(1)), [{"url": there.url, "give_up_s": 0.2}])
    assert not there.taken and "0 told, 1 put aside" in found.stdout


def test_a_server_is_followed_and_what_a_real_core_raises_is_told(tmp_path: Path) -> None:
    def sample(number: int, percent: float) -> dict[str, Any]:
        return {"type": "resource.sampled/1", "event_id": f"s{number}", "scope": "live", "occurred_at": 1.7e9 + number, "host": "gpu-1", "cpu_percent": percent}

    state = ("--state", tmp_path / "state.json")
    with serving(tmp_path / "p.db") as client, hook() as there, telling(client.base_url, [{"url": there.url}], *state, POINTSMAN_TOKEN=TOKEN):
        client.post("/v1/events", json=[sample(1, 99.0), sample(2, 99.0)])
        until(lambda: there.taken)
        client.post("/v1/events", json=[sample(3, 10.0), sample(4, 10.0)])
        until(lambda: len(there.taken) == 2)
    assert types(there) == ["alert.raised/1", "alert.resolved/1"]
    assert "secret-path" not in (tmp_path / "state.json").read_text() and (tmp_path / "state.json").stat().st_mode & 0o077 == 0


def test_headers_go_along_and_slack_has_text_and_blocks(tmp_path: Path) -> None:
    with hook() as there:
        whole(recorded(tmp_path / "out.jsonl", opened(1)), [{"url": there.url, "form": "slack", "headers": {"Authorization": "Bearer abc"}}])
    (call,) = there.calls
    assert call.headers["authorization"] == "Bearer abc" and set(call.said) == {"text", "blocks"}


def test_a_state_of_another_program_is_said_and_left(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"targets": []}')
    Database(tmp_path / "p.db")
    found = whole(tmp_path / "p.db", [{"url": "http://127.0.0.1:9"}], "--state", tmp_path / "state.json")
    assert found.returncode == 2 and "state.json: this is no state of" in found.stderr and "Traceback" not in found.stderr


def test_sigterm_while_a_target_is_away_ends_at_once(database: Database) -> None:
    database.write(opened(1))
    process = start(database.path, [{"url": "http://127.0.0.1:9/secret-path"}])
    assert process.stderr is not None
    assert "Trying again" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


# which events, and as what


def chosen(told: list[Any], **settings: Any) -> list[str]:
    """The ids of those that are told."""
    choice = Choice(WebhookSettings.model_validate({"url": "https://example.org", **settings}))
    return [one.event_id for event in told for one in choice.add(event)]


def test_events_severity_and_scopes_are_the_users_choice() -> None:
    both = [*course(), alert(AlertRaised, 6), opened(1, scope="other")]
    assert chosen(both, events=["alerts"]) == ["chat/6/0"]
    assert chosen(both, events=["members"]) == ["chat/1/0", "chat/4/0"]
    assert chosen(both, scopes=["oth*"]) == ["other/1/0"]
    assert chosen(course(), min_severity="critical") == ["chat/3/0", "chat/5/0"]


def test_muted_is_not_told_but_the_end_of_what_was_told_is() -> None:
    assert chosen([opened(1, muted="silenced"), updated(2, muted="silenced"), resolved(3)]) == []
    assert chosen([opened(1), updated(2, muted="maintenance"), resolved(3, muted="maintenance")]) == ["chat/1/0", "chat/3/0"]
    assert chosen([alert(AlertResolved, 1), alert(AlertResolved, 2, muted="silenced")]) == ["chat/1/0"]


def test_an_update_is_told_where_it_changes_what_a_person_does() -> None:
    first = [opened(1), updated(2), updated(3, severity="critical"), updated(4, severity="critical", requests=900)]
    rest = [updated(5, severity="critical", suspects=SUSPECTS[1:]), updated(6, severity="critical", suspects=SUSPECTS[1:], acknowledged_by="Kim"), resolved(7)]
    assert [name.split("/")[1] for name in chosen([*first, *rest])] == ["1", "3", "5", "6", "7"]
    assert len(chosen([*first, *rest], updates="all")) == 7


def test_the_same_said_again_has_the_same_id_and_news_have_another() -> None:
    again = opened(99)  # the same, of a journal that was folded anew
    ids = [identity(event) for event in (opened(1), updated(2), updated(3, severity="critical"), updated(4, at=1.0), resolved(5))]
    assert identity(again) == ids[0] and len(set(ids)) == 5
    assert identity(anomaly(AlertRaised, 1)) != identity(anomaly(AlertRaised, 1, fingerprint="api/latency_ms/anomaly"))


def test_a_place_that_was_made_anew_counts_from_there() -> None:
    reached = Reached()
    reached.advance(opened(50, at=100.0))
    assert reached.has(opened(3, at=50.0)) and not reached.has(opened(3, at=101.0)) and not reached.has(opened(51, at=1.0))
    assert not Reached(json.loads(json.dumps(reached.plain()))).has(alert(AlertRaised, 3))


@given(st.text(max_size=4000), st.lists(st.text(max_size=4000), max_size=20))
def test_slack_takes_whatever_is_in_an_incident(title: str, evidence: list[str]) -> None:
    suspects = [{"kind": "track", "name": "a", "score": 0.5, "evidence": said} for said in evidence]
    found = slack(opened(1, title=title, suspects=suspects, tracks=["<!channel>"] * 60))
    for block in found["blocks"]:
        texts = [block["text"]["text"]] if "text" in block else [one["text"] for one in (*block.get("fields", ()), *block.get("elements", ()))]
        most = {"header": 150, "section": 2000 if "fields" in block else 3000, "context": 2000}[block["type"]]
        assert all(0 < len(text) <= most for text in texts) and not any("<!" in text.replace("<!date^", "") for text in texts if block["type"] != "header")
    assert len(found["text"]) <= 3000 and len(found["blocks"]) <= 50 and "<!" not in found["text"]


def test_slack_says_what_where_and_why() -> None:
    found = slack(opened(1, title="latency & <b>"))
    assert found["text"] == ":large_yellow_circle: incident-1 in chat: latency &amp; &lt;b&gt;"
    assert found["blocks"][0]["text"]["text"] == ":large_yellow_circle: incident-1 in chat: latency & <b>"
    assert (
        "1. *track local* (81%): latency 2.1 times its usual" in found["blocks"][2]["text"]["text"]
        and "v2 &lt;canary&gt;" in found["blocks"][2]["text"]["text"]
    )
    assert slack(resolved(2))["text"].startswith(":white_check_mark: Resolved: incident-1")
    assert slack(alert(AlertRaised, 1))["blocks"][1]["text"]["text"] == "gpu-1/cpu_percent in scope chat is 95, beyond its bound of 80."


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "http://hooks.example.org/T0/secret-path"}, "without https"),
        ({"url": "ftp://example.org"}, "give https://host/path"),
        ({"url": "https://"}, "give https://host/path"),
        ({"url": "https://example.org:x/secret-path"}, "give https://host/path"),
        ({"url": "https://example.org", "secret": "whsec_short"}, "openssl rand -base64 32"),
        ({"url": "https://example.org", "headers": {"Webhook-Id": "1"}}, "is our own"),
        ({"url": "https://example.org", "headers": {"Authorization": "a\nb"}}, "no header may have"),
        ({"url": "https://example.org", "events": []}, "at least 1"),
    ],
)
def test_a_target_that_cannot_be_is_said_without_its_secrets(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as error:
        WebhookSettings.model_validate(settings)
    assert said in str(error.value) and "secret-path" not in str(error.value)


def test_a_shown_target_is_its_host_and_never_what_is_secret() -> None:
    target = WebhookSettings.model_validate({"url": "https://user:password@[::1]:8443/services/T0/B0/xyz", "secret": SECRET})
    assert target.shown() == "https://[::1]:8443" and "xyz" not in repr(target) and "xyz" not in target.model_dump_json()
    assert WebhookSettings.model_validate({"url": "http://receiver/x", "allow_http": True}).shown() == "http://receiver"


def test_a_message_is_compact_json_in_utf_8() -> None:
    assert "größer".encode() in message_of(opened(1, title="größer"), "json").body


def test_the_page_verifies_what_is_posted_and_nothing_else(tmp_path: Path) -> None:
    (code,) = (block.text for block in blocks("python") if block.page.name == "webhooks.md")
    names: dict[str, Any] = {}
    exec(code, names)
    is_ours = names["is_ours"]
    with hook() as there:
        whole(recorded(tmp_path / "out.jsonl", opened(1)), [{"url": there.url, "secret": SECRET}])
    (call,) = there.calls
    assert is_ours(SECRET, call.headers, call.body)
    assert not is_ours(SECRET, call.headers, call.body + b" ") and not is_ours("whsec_" + "A" * 32, call.headers, call.body)
    assert not is_ours(SECRET, call.headers | {"webhook-timestamp": "1"}, call.body)
