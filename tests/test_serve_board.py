"""The board over HTTP, and a server that plays the demo's recording."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from events import START, sampled, started, stream
from serving import caught_up, serving

from pointsman.schemas import encode
from pointsman.streams.cli import main
from pointsman.streams.play import Play

LINES = {"content-type": "application/x-ndjson"}


def test_the_status_has_a_board_and_its_series_and_both_outlive_a_restart(tmp_path: Path) -> None:
    body = b"\n".join(encode(event) for event in (*stream(1, 200), sampled(5_000.0, cpu_percent=12.0)))
    with serving(tmp_path / "p.db") as client:
        client.post("/v1/events", content=body, headers=LINES).raise_for_status()
        before = client.get("/v1/status").json(), client.get("/v1/series", params={"scope": "chat"}).json()
    with serving(tmp_path / "p.db") as client:
        after = client.get("/v1/status").json(), client.get("/v1/series", params={"scope": "chat"}).json()
    assert {scope: said["board"] for scope, said in before[0].items()} == {scope: said["board"] for scope, said in after[0].items()}
    assert before[1] == after[1]
    board = before[0]["chat"]["board"]
    assert sum(track["in_flight"] for track in board["tracks"]) <= before[0]["chat"]["in_flight"]
    assert next(row["value"] for row in board["resources"] if row["host"] == "laptop" and row["gauge"] == "cpu_percent") == 12.0
    assert before[1]["tracks"]["local"]["count"]


def test_the_status_of_all_scopes_is_of_the_64_heard_of_last() -> None:
    events = [started("r1", float(number)).model_copy(update={"scope": f"s{number}", "event_id": f"e{number}"}) for number in range(100)]
    with serving() as client:
        client.post("/v1/events", content=b"\n".join(encode(event) for event in events), headers=LINES).raise_for_status()
        answer = client.get("/v1/status")
        assert (set(answer.json()), answer.headers["pointsman-scopes-left-out"]) == ({f"s{number}" for number in range(36, 100)}, "36")
        gone = client.get("/v1/status", params={"scope": "s0"})
        assert (gone.json()["s0"]["board"], gone.headers["pointsman-scopes-left-out"]) == (None, "0")
        assert client.get("/v1/series", params={"scope": "s0"}).status_code == 404
        assert client.get("/v1/incidents", params={"scope": "s0"}).json() == {"s0": []}
        assert client.get("/v1/series").status_code == 422


def test_a_play_ends_at_now_and_is_never_ahead_of_the_wall_clock() -> None:
    now = [1000.0]
    play = Play([(START, {}), (START + 600.0, {})], 10.0, 1000.0, lambda: now[0])
    assert (play.shift_s + START, play.clock()) == (460.0, 460.0)
    now[0] = 1030.0
    assert play.clock() == 760.0
    now[0] = 1060.0
    assert (play.shift_s + START + 600.0, play.clock()) == (1060.0, 1060.0)
    now[0] = 2000.0
    assert play.clock() == 2000.0


@contextmanager
def demo(*arguments: str) -> Iterator[tuple[httpx.Client, list[str]]]:
    """A running demo, as a client of it and what it says at its start; asked to stop, it ends with 0."""
    command = [sys.executable, "-m", "pointsman.streams.cli", "serve", "--demo", "--port", "0", *arguments]
    env = {name: value for name, value in os.environ.items() if name != "POINTSMAN_TOKEN"} | {"PYTHONPATH": os.pathsep.join(sys.path)}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        assert running.stdout is not None and running.stderr is not None
        said = [running.stdout.readline() for _ in range(4)]
        found = re.fullmatch(r"the page: (http://\S+)/#token=(\S+)\n", said[3])
        assert found is not None, running.stderr.read()
        with httpx.Client(base_url=found[1], headers={"authorization": f"Bearer {found[2]}"}, timeout=60) as client:
            yield client, said
        running.send_signal(signal.SIGTERM)
        assert (running.wait(30), running.stderr.read()) == (0, "")
    finally:
        running.kill()
        running.wait()


def seen(client: httpx.Client, kind: str) -> dict[str, Any]:
    """The first output of a type, waited for on the stream."""
    with client.stream("GET", "/v1/stream", params={"type": kind}, headers={"last-event-id": "0"}) as answer:
        line = next(line for line in answer.iter_lines() if line.startswith("data: "))
    found: dict[str, Any] = httpx.Response(200, content=line.removeprefix("data: ")).json()
    return found


def test_the_demo_fills_the_board_explains_a_request_and_ends_in_order(tmp_path: Path) -> None:
    database = tmp_path / "demo.db"
    with demo("--speed", "0", "--database", str(database)) as (client, said):
        assert said[0].startswith("Pointsman on ") and "38 minutes of recorded traffic" in said[1]
        request = seen(client, "prediction.issued/1")["request_id"]
        seen(client, "window.closed/1")
        board = client.get("/v1/status").json()["demo"]["board"]
        assert {track["track"] for track in board["tracks"]} == {"local", "api"} and board["rate_per_s"] > 0.0
        assert client.get(f"/v1/requests/{request}", params={"scope": "demo"}).json()["request_id"] == request
        assert client.get("/v1/series", params={"scope": "demo"}).json()["tracks"]["api"]["start"]
        assert caught_up(client, "0", type="event.rejected/1") == []
    again = CliRunner().invoke(main, ["serve", "--demo", "--database", str(database), "--port", "0"])
    assert again.exit_code == 2 and "a demo needs a database of its own" in again.output


FAULTY = [(["--database", "x.db", "--fault", "latency"], "--demo as well"), (["--demo", "--fault", "hunger"], "give one of latency, errors")]


@pytest.mark.parametrize(("arguments", "said"), [([], "--demo"), (["--database", "x.db", "--speed", "3"], "--demo as well"), *FAULTY])
def test_what_makes_no_sense_is_said(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 2 and said in result.output
