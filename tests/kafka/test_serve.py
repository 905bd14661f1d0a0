"""`pointsman serve --kafka` on a real broker with a real worker: the whole way of an event, restarts, and a broker that goes away."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from deployment import Deployment
from events import stream
from fuzzing import CASES, document_of, fuzz
from serving import CONFIG, TOKEN, caught_up, events_of, node
from spans import CHAT, both, export, span

from pointsman.schemas import AnyInput, encode
from pointsman.schemas.settings import KafkaSettings

pytestmark = pytest.mark.kafka
DOCS = Path(__file__).parent.parent.parent / "docs"
NDJSON = {"content-type": "application/x-ndjson"}
SERVE = [sys.executable, "-m", "pointsman.streams.cli", "serve", "--kafka"]


@contextmanager
def server(settings: KafkaSettings) -> Iterator[httpx.Client]:
    """The server's process on a free port, as a client; it ends in order."""
    tracks = f"[{','.join(track.model_dump_json() for track in CONFIG.tracks)}]"
    env = os.environ | {"POINTSMAN_TOKEN": TOKEN, "POINTSMAN_TRACKS": tracks, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*SERVE, settings.bootstrap_servers, "--prefix", settings.topic_prefix, "--port", "0"]
    running = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        place = running.stdout.readline().split()[-1]
        with httpx.Client(base_url=place, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30) as client:
            yield client
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    finally:
        running.kill()
        running.wait()


def until(holds: Callable[[], Any], deadline_s: float = 60.0) -> Any:
    """What comes out once it is true."""
    end, pause = time.monotonic() + deadline_s, threading.Event()
    while not (found := holds()):
        assert time.monotonic() < end, "it never came about"
        pause.wait(0.05)
    return found


def is_ready(client: httpx.Client) -> bool:
    """Whether the server says that it takes events."""
    return client.get("/ready").status_code == 200


def post(client: httpx.Client, events: list[AnyInput]) -> None:
    """Record events."""
    answer = client.post("/v1/events", content=b"\n".join(map(encode, events)), headers=NDJSON)
    assert answer.json() == {"accepted": len(events), "rejected": 0, "rejections": []}


def ids(rows: list[tuple[str, str, dict[str, Any]]]) -> set[str]:
    """The ids of outputs."""
    return {data["event_id"] for _, _, data in rows}


def in_order(rows: list[tuple[str, str, dict[str, Any]]]) -> list[tuple[str, str]]:
    """Type and id of outputs in an order that the topics have: by scope and type as they came."""
    return sorted(((data["scope"] + data["type"]), data["event_id"]) for _, _, data in rows)


@pytest.fixture
def deployment(bootstrap: str, tmp_path: Path) -> Iterator[Deployment]:
    with Deployment(bootstrap, "serve", tmp_path, CONFIG) as found:
        yield found


def test_events_go_to_a_worker_and_what_it_says_comes_back(deployment: Deployment) -> None:
    events = stream(1, 80)
    with server(deployment.settings) as client:
        until(lambda: is_ready(client))
        before = client.post("/v1/recommendations", json={"scope": "chat", "request_id": "r0", "query": "Summarise this mail"}).json()
        assert before["policy_version"] == 0 and before["sketch"]["minhash"]
        deployment.start("w1")
        post(client, events)
        expected = {json.loads(line)["event_id"] for lines in deployment.expected(events).values() for line in lines}
        rows = until(lambda: rows if len(rows := caught_up(client, "0")) >= len(expected) else None)
        assert ids(rows) == expected and len(rows) == len(expected)
        policy = client.get("/v1/policy", params={"scope": "chat"}).json()
        decision = client.post("/v1/recommendations", json={"scope": "chat", "request_id": "r1", "input_tokens": 10}).json()
        assert decision["policy_version"] == policy["version"] > 0 and decision["track"] in ("local", "api") and decision["timeout_ms"] > 0
        board = client.get("/v1/status").json()["chat"]["board"]
        assert board["recommended"]["policy_version"] == policy["version"] and {row["track"] for row in board["tracks"]} == {"local", "api"}
        assert client.get("/v1/series", params={"scope": "chat"}).json()["recommended"]["track"]
        asked = next(event for event in reversed(events) if event.scope == "chat" and event.type == "request.started/1")
        explained = client.get(f"/v1/requests/{asked.request_id}", params={"scope": "chat"}).json()
        assert (explained["request_id"], explained["track"]) == (asked.request_id, asked.track) and explained["explained"]["tracks"]
        missing = client.get("/v1/requests/nothing", params={"scope": "chat"})
        assert missing.status_code == 404 and "journal/" in missing.json()["message"] and "from offset 0" in missing.json()["message"]
        policies = sum(data["type"] == "policy.published/1" for *_, data in rows)
        assert f'pointsman_outputs_total{{type="policy.published/1"}} {policies}' in client.get("/metrics").text


def test_the_stream_goes_on_at_any_id_after_a_restart_of_the_server(deployment: Deployment) -> None:
    deployment.start("w1")
    events = stream(2, 60)
    with server(deployment.settings) as client:
        until(lambda: is_ready(client))
        with client.stream("GET", "/v1/stream") as answer:
            arriving = events_of(answer.iter_lines())
            post(client, events[:80])
            live = [next(arriving) for _ in range(40)]
    post_later = events[80:]
    expected = {json.loads(line)["event_id"] for lines in deployment.expected(events).values() for line in lines}
    with server(deployment.settings) as client:
        until(lambda: is_ready(client))
        post(client, post_later)
        until(lambda: len(caught_up(client, "0")) >= len(expected))
        everything = caught_up(client, "0")
        assert ids(everything) == expected
        for place in (0, 17, 39):
            rest = caught_up(client, live[place][0])
            seen = live[: place + 1] + rest
            assert in_order(seen) == in_order(everything)
        again = caught_up(client, everything[30][0])
        assert in_order(everything[:31] + again) == in_order(everything) and caught_up(client, everything[-1][0]) == []
        assert caught_up(client, "chat/12/0")[0][1] == "lost" and caught_up(client, "alerts:999999.0")[0][1] == "lost"


def test_what_is_invalid_is_422_and_on_the_dead_letter_topic(deployment: Deployment) -> None:
    with server(deployment.settings) as client:
        until(lambda: is_ready(client))
        answer = client.post("/v1/events", json=[{"type": "nonsense/1", "query": "my secret plan"}])
        assert answer.status_code == 422 and answer.json()["rejections"][0]["code"] == "unknown_type"
        (letter,) = until(lambda: caught_up(client, "0"))
        assert letter[2]["reason"] == {"code": "unknown_type", "message": answer.json()["rejections"][0]["message"]} and letter[2]["payload"] == ""
        assert caught_up(client, letter[0]) == []


def test_what_a_crashed_worker_published_twice_is_told_and_counted_once(deployment: Deployment) -> None:
    outputs = [json.loads(line) for lines in deployment.expected(stream(5, 40)).values() for line in lines]
    windows = [output for output in outputs if output["type"] == "window.closed/1" and output["scope"] == "chat"]
    rows = [(b"chat", json.dumps(window).encode(), [("ce_type", b"window.closed/1")]) for window in windows]
    with server(deployment.settings) as client:
        until(lambda: is_ready(client))
        deployment.publish_raw("windows", rows)
        live = until(lambda: found if len(found := caught_up(client, "0")) >= len(rows) > 0 else None)
        completed = until(lambda: client.get("/v1/status").json()["chat"]["board"]["completed"])
        deployment.publish_raw("windows", rows)
        deployment.publish_raw("windows", [(b"chat", json.dumps(windows[-1] | {"event_id": "chat/99999/0"}).encode(), [("ce_type", b"window.closed/1")])])
        newest = until(lambda: found if "chat/99999/0" in ids(found := caught_up(client, "0")) else None)
        assert len(newest) == len(rows) + 1 == len(live) + 1 and completed > 0
        assert f'pointsman_outputs_total{{type="window.closed/1"}} {len(rows) + 1}.0' in client.get("/metrics").text


def test_no_input_makes_the_server_fail(deployment: Deployment) -> None:
    deployment.start("w1")
    with server(deployment.settings) as client:
        until(lambda: is_ready(client))
        post(client, stream(6, 20))
        until(lambda: client.get("/v1/policy", params={"scope": "chat"}).status_code == 200)
        document = document_of(client.base_url)
        for method, path, is_valid in CASES:
            fuzz(document, method, path, is_valid=is_valid, examples=4)
        assert is_ready(client) and deployment.workers[0].poll() is None


def test_spans_posted_to_the_server_reach_the_worker(deployment: Deployment) -> None:
    model = {"gen_ai.request.model": "local", "gen_ai.response.model": "local"}
    protobuf, _ = both(export(span({**CHAT, **model})))
    deployment.start("w1")
    with server(deployment.settings) as client:
        until(lambda: is_ready(client))
        client.post("/v1/traces", content=protobuf, headers={"content-type": "application/x-protobuf"}).raise_for_status()
        until(lambda: any(data["type"] == "prediction.issued/1" for *_, data in caught_up(client, "0")))


def test_the_examples_run_in_front_of_kafka(deployment: Deployment) -> None:
    deployment.start("w1")
    with server(deployment.settings) as client:
        until(lambda: is_ready(client))
        env = os.environ | {"POINTSMAN_URL": str(client.base_url).rstrip("/"), "POINTSMAN_TOKEN": TOKEN}
        post(client, stream(3, 20))
        until(lambda: client.get("/v1/policy", params={"scope": "chat"}).status_code == 200)
        shell, typescript = ["sh", str(DOCS / "examples" / "serve.sh")], [node(), str(DOCS / "examples" / "router.ts")]
        until(lambda: subprocess.run(shell, capture_output=True, env=env, check=False, timeout=60).returncode == 0)
        said = subprocess.run(typescript, capture_output=True, text=True, env=env, check=False, timeout=60)
        assert said.stdout.count("routed to") == 10 and "outputs {" in said.stdout, said.stderr
        until(lambda: any(data["type"] == "prediction.issued/1" and data["request_id"] == "ts-9" for *_, data in caught_up(client, "0")))


def test_a_broker_that_is_away_is_503_and_it_comes_back_by_itself(own_broker: Any, tmp_path: Path) -> None:
    with Deployment(own_broker.bootstrap, "serve", tmp_path, CONFIG) as deployment, server(deployment.settings) as client:
        until(lambda: is_ready(client))
        events = stream(4, 10)
        post(client, events)
        own_broker.pause()
        until(lambda: not is_ready(client))
        answer = client.post("/v1/events", content=encode(events[0]), headers={"content-type": "application/json"})
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "2", "not_ready")
        assert client.get("/health").status_code == 200 and client.post("/v1/recommendations", json={"scope": "chat"}).status_code == 200
        own_broker.resume()
        until(lambda: is_ready(client))
        until(lambda: client.post("/v1/events", content=encode(events[0]), headers={"content-type": "application/json"}).status_code == 200)
