"""The HTTP API on a real socket: what every endpoint answers, and what it refuses."""

import base64
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from events import START, completed, started, stream
from serving import CONFIG, TOKEN, serving

from pointsman.schemas import OptimizationConfig, encode
from pointsman.streams import Optimizer
from pointsman.streams.cli import main

EVENT = json.loads(encode(started("r1", 0.0)))


@pytest.fixture(scope="module")
def client() -> Any:
    with serving(max_body_bytes=100_000, max_batch=50) as found:
        yield found


def test_one_event_and_a_batch_are_recorded(client: httpx.Client) -> None:
    one = client.post("/v1/events", json=EVENT | {"scope": "batch"})
    assert (one.status_code, one.json()) == (200, {"accepted": 1, "rejected": 0, "rejections": []})
    many = client.post("/v1/events", json=[EVENT | {"scope": "batch", "event_id": f"e{number}", "request_id": f"q{number}"} for number in range(20)])
    assert many.json()["accepted"] == 20
    assert client.get("/v1/status", params={"scope": "batch"}).json()["batch"]["events"] == 21


def test_json_lines_are_recorded_and_blank_lines_skipped(client: httpx.Client) -> None:
    body = b"\n\n".join(encode(event.model_copy(update={"scope": "lines"})) for event in (started("r1", 0.0), completed("r1", 1.0)))
    answer = client.post("/v1/events", content=body, headers={"content-type": "application/x-ndjson"})
    assert answer.json()["accepted"] == 2


def test_the_three_modes_of_cloudevents_are_the_same_event(client: httpx.Client) -> None:
    around = {"specversion": "1.0", "type": "request.started/1", "source": "gateway", "time": "2023-11-14T22:13:20Z", "partitionkey": "clouds"}
    data = {"request_id": "r1", "track": "local"}
    structured = client.post("/v1/events", content=json.dumps(around | {"id": "c1", "data": data}), headers={"content-type": "application/cloudevents+json"})
    encoded = {"data_base64": base64.b64encode(json.dumps(data | {"request_id": "r2"}).encode()).decode()}
    batch = [around | {"id": "c1", "data": data}, around | {"id": "c2"} | encoded]
    batched = client.post("/v1/events", content=json.dumps(batch), headers={"content-type": "application/cloudevents-batch+json"})
    binary = client.post("/v1/events", json=data, headers={f"ce-{name}": value.replace("/", "%2F") for name, value in (around | {"id": "c1"}).items()})
    assert [answer.json()["accepted"] for answer in (structured, batched, binary)] == [1, 2, 1]
    state = client.get("/v1/status", params={"scope": "clouds"}).json()["clouds"]
    assert (state["events"], state["duplicates"], state["clock"]) == (2, 2, START)


def test_of_a_mixed_batch_the_bad_ones_are_named_by_place(client: httpx.Client) -> None:
    bad = EVENT | {"event_id": "x", "track": "unheard-of"}
    answer = client.post("/v1/events", json=[EVENT | {"scope": "mixed"}, {"type": "nonsense/1"}, bad | {"scope": "mixed"}])
    said = answer.json()
    assert answer.status_code == 200 and (said["accepted"], said["rejected"]) == (1, 2)
    assert [(row["index"], row["code"]) for row in said["rejections"]] == [(1, "unknown_type"), (2, "unknown_track")]


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"{", "application/json", "malformed_json"),
        (b"", "application/json", "malformed_json"),
        (b"[" * 100_00, "application/json", "malformed_json"),
        (b"[1, 2", "application/json", "malformed_json"),
        (b"[1] 2", "application/json", "malformed_json"),
        (b"\xff\xfe", "application/json", "malformed_json"),
        (b"[7]", "application/json", "not_an_object"),
        (b'{"type":"request.started/1"}', "application/json", "missing_field"),
        (b"{}", "application/cloudevents+json", "missing_field"),
        (b'{"specversion":"1.0","data_base64":7}', "application/cloudevents+json", "malformed_json"),
        (b'{"specversion":"1.0","data":NaN}', "application/cloudevents+json", "not_an_object"),
        (b"nonsense", "application/x-ndjson", "malformed_json"),
    ],
)
def test_a_body_of_which_nothing_is_valid_is_422_with_the_dead_letters_reason(client: httpx.Client, body: bytes, kind: str, code: str) -> None:
    answer = client.post("/v1/events", content=body, headers={"content-type": kind})
    assert answer.status_code == 422 and answer.json()["rejections"][0]["code"] == code


def test_an_empty_batch_is_nothing_and_fine(client: httpx.Client) -> None:
    assert client.post("/v1/events", json=[]).json() == {"accepted": 0, "rejected": 0, "rejections": []}


def test_what_was_refused_is_kept_as_a_dead_letter_with_its_bytes(tmp_path: Path) -> None:
    with serving(tmp_path / "p.db") as client:
        client.post("/v1/events", content=b'[ {"type": "nonsense/1"} ]', headers={"content-type": "application/json"})
    with Optimizer.open(str(tmp_path / "p.db")) as optimizer:
        (letter,) = optimizer.dead_letters()
    assert (letter.reason.code, base64.b64decode(letter.payload)) == ("unknown_type", b'{"type": "nonsense/1"}')


def test_a_prompt_is_nowhere_in_the_file(tmp_path: Path) -> None:
    with serving(tmp_path / "p.db") as client:
        client.post("/v1/events", json=[EVENT | {"query": "my secret plan"}, {"type": "nonsense/1", "query": "my secret plan"}])
        client.post("/v1/recommendations", json={"scope": "chat", "query": "my secret plan"})
        assert not any(b"secret plan" in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("size", "events", "kind"),
    [(200_000, 0, "application/json"), (20_000_000, 0, "application/json"), (0, 51, "application/json"), (0, 51, "application/x-ndjson")],
)
def test_too_large_is_413_and_nothing_is_recorded(client: httpx.Client, size: int, events: int, kind: str) -> None:
    body = b" " * size if size else b"[" + b",".join([b"{}"] * events) + b"]" if kind.endswith("/json") else b"{}\n" * events
    answer = client.post("/v1/events", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_long_body_of_unknown_length_is_413(client: httpx.Client) -> None:
    answer = client.post("/v1/events", content=(b" " * 50_000 for _ in range(100)), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_an_unknown_media_type_is_415_and_lists_the_known_ones(client: httpx.Client) -> None:
    answer = client.post("/v1/events", content=b"{}", headers={"content-type": "text/csv"})
    assert answer.status_code == 415 and "application/x-ndjson" in answer.json()["message"]


def test_too_fast_is_429_with_the_seconds_to_wait() -> None:
    with serving(events_per_s=1.0, burst=3.0) as client:
        assert client.post("/v1/events", json=[EVENT, EVENT, EVENT]).status_code == 200
        answer = client.post("/v1/events", json=[EVENT, EVENT])
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (429, "2", "too_fast")
        assert client.post("/v1/recommendations", json={"scope": "chat"}).status_code == 429
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {TOKEN}", "Bearer", TOKEN, "Bearer \xfc"])
def test_without_the_token_everything_but_health_is_401(client: httpx.Client, given: str | None) -> None:
    headers = {b"authorization": given.encode("latin-1")} if given is not None else {}
    with httpx.Client(base_url=client.base_url) as stranger:
        for path in ("/v1/status", "/v1/stream", "/metrics", "/openapi.json", "/page", "/nothing"):
            answer = stranger.get(path, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert stranger.post("/v1/events", json=EVENT, headers=headers).status_code == 401
        assert [stranger.get(path).status_code for path in ("/health", "/ready")] == [200, 200]


def test_a_recommendation_is_what_the_optimizer_says(client: httpx.Client) -> None:
    client.post("/v1/events", json=EVENT | {"scope": "asked"})
    ask: dict[str, Any] = {"scope": "asked", "query": "Summarise this mail", "request_id": "r2", "attributes": {"tier": "gold"}, "max_output_tokens": 100}
    answer = client.post("/v1/recommendations", json=ask).json()
    with Optimizer.open(":memory:", CONFIG, clock=lambda: START) as optimizer:
        optimizer.record_lines([encode(started("r1", 0.0).model_copy(update={"scope": "asked"}))])
        expected = optimizer.recommend(**ask)
    assert (answer["track"], answer["propensity"], answer["timeout_ms"]) == (expected.track, expected.propensity, expected.timeout_ms)
    assert answer["recommendation_id"] == expected.recommendation_id and answer["reasons"] == list(expected.reasons) and answer["plan"] == expected.plan
    assert "Summarise" not in json.dumps(answer)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"scope":""}', b'{"scope":"s","input_tokens":-1}', b'{"scope":"s","embedding":[]}', b'{"scope":"s","embedding":[1e999]}'],
)
def test_a_question_with_a_wrong_field_is_422(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v1/recommendations", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


def test_a_question_before_any_track_is_known_is_409() -> None:
    with serving(config=OptimizationConfig()) as client:
        answer = client.post("/v1/recommendations", json={"scope": "chat"})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_track_known")


def test_status_policy_and_explanation_are_the_optimizers_own(tmp_path: Path) -> None:
    events = stream(1, 60)
    with Optimizer.open(str(tmp_path / "other.db"), CONFIG, clock=lambda: START) as optimizer:
        optimizer.record_many(events)
        status, policy = optimizer.status(), optimizer.policy("chat")
    assert policy is not None
    with serving(tmp_path / "p.db") as client:
        for place in range(0, len(events), 50):
            body = b"\n".join(encode(event) for event in events[place : place + 50])
            assert client.post("/v1/events", content=body, headers={"content-type": "application/x-ndjson"}).status_code == 200
        said = {scope: {name: value for name, value in of.items() if name != "board"} for scope, of in client.get("/v1/status").json().items()}
        assert said == json.loads(json.dumps(status))
        assert client.get("/v1/policy", params={"scope": "chat"}).content == encode(policy)
        told = next(event for event in reversed(events) if event.scope == "chat" and event.type == "request.started/1")
        explained = client.get(f"/v1/requests/{told.request_id}", params={"scope": "chat"}).json()
    assert (explained["request_id"], explained["track"]) == (told.request_id, told.track) and explained["explained"]["tracks"]


@pytest.mark.parametrize(
    "path", ["/v1/status?scope=none", "/v1/policy?scope=none", "/v1/requests/r1?scope=none", "/v1/requests/a%2Fb%20c?scope=none", "/nothing"]
)
def test_what_is_not_known_is_404_with_a_reason(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/v1/policy", "/v1/requests/r1", "/v1/policy?scope=", "/v1/stream?type=nonsense/1", "/v1/stream?follow=perhaps"])
def test_a_wrong_query_is_422_with_a_reason(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


def test_a_wrong_method_is_405(client: httpx.Client) -> None:
    assert (client.get("/v1/events").status_code, client.delete("/v1/status").json()["code"]) == (405, "wrong_method")


@pytest.mark.parametrize("path", ["/v1/status", "/v1/stream?follow=false", "/metrics", "/health", "/openapi.json", "/nothing", "/v1/policy"])
def test_no_cache_keeps_an_answer_and_no_browser_guesses_what_it_is(client: httpx.Client, path: str) -> None:
    for answer in (client.get(path), httpx.get(client.base_url.join(path)), client.post("/v1/events", content=b"{")):
        assert answer.headers.get_list("cache-control") == ["no-store"] and answer.headers["x-content-type-options"] == "nosniff"


def test_the_pages_files_answer_to_head(client: httpx.Client) -> None:
    answer = client.head("/")
    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-cache") and int(answer.headers["content-length"]) > 0


def test_metrics_count_events_rejections_and_answers() -> None:
    with serving() as client:
        client.post("/v1/events", json=[EVENT, {"type": "nonsense/1"}])
        client.get("/v1/status")
        said = client.get("/metrics").text
    assert "pointsman_events_accepted_total 1.0" in said
    assert 'pointsman_events_rejected_total{code="unknown_type"} 1.0' in said
    assert 'pointsman_http_requests_total{code="200",method="POST",route="/v1/events"} 1.0' in said
    assert 'pointsman_outputs_total{type="policy.published/1"} 1.0' in said
    assert 'pointsman_http_request_duration_seconds_count{route="/v1/status"} 1.0' in said


def test_many_clients_at_once_lose_nothing() -> None:
    with serving() as client:

        def work(thread: int) -> None:
            with httpx.Client(base_url=client.base_url, headers=client.headers) as own:
                for number in range(20):
                    name = f"{thread}-{number}"
                    assert own.post("/v1/recommendations", json={"scope": "chat", "request_id": name}).status_code == 200
                    own.post("/v1/events", json=EVENT | {"event_id": name, "request_id": name}).raise_for_status()

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.get("/v1/status").json()["chat"]["events"] == 160


def test_a_recording_is_simulated_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = stream(1, 30)
    (tmp_path / "in.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in events))
    with serving() as client:
        command = ["simulate", str(tmp_path / "in.jsonl"), "--http", str(client.base_url), "--speed", "0"]
        refused = CliRunner().invoke(main, command)
        assert refused.exit_code == 2 and "set POINTSMAN_TOKEN" in refused.output
        monkeypatch.setenv("POINTSMAN_TOKEN", TOKEN)
        assert f"{len(events)} events published" in CliRunner().invoke(main, command).output
        assert sum(state["events"] + state["duplicates"] for state in client.get("/v1/status").json().values()) == len(events)
