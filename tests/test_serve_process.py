"""`pointsman serve` as a process: its token, where it listens, how it stops, and that it comes back with the same database."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from events import started
from serving import caught_up

from pointsman.schemas import encode
from pointsman.streams.cli import main

COMMAND = [sys.executable, "-m", "pointsman.streams.cli", "serve"]


@contextmanager
def process(database: Path, *arguments: str, token: str | None = "from the environment") -> Iterator[tuple[httpx.Client, list[str], subprocess.Popen[str]]]:
    """A running server, as a client of it, what it says at its start, and itself; asked to stop, it ends with 0."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | ({"POINTSMAN_TOKEN": token} if token is not None else {})
    given = [*COMMAND, "--database", str(database), "--port", "0", *arguments]
    running = subprocess.Popen(given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        assert running.stdout is not None and running.stderr is not None
        said = [running.stdout.readline()]
        found = re.fullmatch(r"Pointsman on (http://\S+)\n", said[0])
        assert found is not None, running.stderr.read()
        if token is None:
            said.append(running.stdout.readline())
        with httpx.Client(base_url=found[1], headers={"authorization": f"Bearer {token or said[-1].split()[-1]}"}, timeout=20) as client:
            yield client, said, running
        running.send_signal(signal.SIGTERM)
        assert (running.wait(20), running.stderr.read()) == (0, "")
    finally:
        running.kill()
        running.wait()


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "p.toml"
    path.write_text('[[tracks]]\nname = "local"\n[[tracks]]\nname = "api"\n')
    return str(path)


def test_it_stops_in_order_with_a_subscriber_and_comes_back_as_it_was(tmp_path: Path, config: str) -> None:
    with process(tmp_path / "p.db", "--config", config) as (client, _, _):
        for number in range(10):
            event = encode(started(f"r{number}", float(number)))
            assert client.post("/v1/events", content=event, headers={"content-type": "application/json"}).status_code == 200
        rows, status = caught_up(client, "0"), client.get("/v1/status").json()
        with client.stream("GET", "/v1/stream") as answer:
            assert answer.status_code == 200
    with process(tmp_path / "p.db") as (client, _, _):
        assert (client.get("/v1/status").json(), caught_up(client, "0")) == (status, rows)


def test_sigterm_ends_an_open_stream(tmp_path: Path, config: str) -> None:
    with process(tmp_path / "p.db", "--config", config) as (client, _, running), client.stream("GET", "/v1/stream") as answer:
        running.send_signal(signal.SIGTERM)
        assert [line for line in answer.iter_lines() if line.startswith("data")] == []


def test_sigterm_at_the_very_start_ends_in_order(tmp_path: Path) -> None:
    with process(tmp_path / "p.db"):
        pass
    with process(tmp_path / "p.db") as (client, *_):
        assert client.get("/ready").status_code == 200


def test_a_token_is_made_and_shown_once_where_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POINTSMAN_TOKEN", raising=False)
    with process(tmp_path / "p.db", token=None) as (client, said, _):
        assert client.get("/v1/status").status_code == 200
        token = said[1].split()[-1]
        assert len(token) >= 32
    assert not any(token.encode() in path.read_bytes() for path in tmp_path.iterdir())


def test_a_token_from_the_settings_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POINTSMAN_TOKEN", raising=False)
    (tmp_path / "p.toml").write_text('token = "from the file"\n')
    with process(tmp_path / "p.db", "--config", str(tmp_path / "p.toml"), token="from the file") as (client, said, _):
        assert client.get("/v1/status").status_code == 200 and len(said) == 1


def test_listening_elsewhere_than_on_loopback_needs_a_given_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POINTSMAN_TOKEN", raising=False)
    result = CliRunner().invoke(main, ["serve", "--database", str(tmp_path / "p.db"), "--host", "0.0.0.0", "--port", "0"])
    assert result.exit_code == 2 and "set POINTSMAN_TOKEN" in result.output and not (tmp_path / "p.db").exists()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with process(tmp_path / "p.db") as (client, _, _):
        result = CliRunner().invoke(main, ["serve", "--database", str(tmp_path / "other.db"), "--port", str(client.base_url.port)])
    assert result.exit_code == 2 and "cannot be listened on" in result.output


@pytest.mark.parametrize("module", ["fastapi", "uvicorn", "httptools", "prometheus_client"])
def test_a_missing_extra_is_named(tmp_path: Path, module: str) -> None:
    program = f"import sys; sys.modules[{module!r}] = None; from pointsman.streams.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", "--database", str(tmp_path / "p.db"), "--port", "0"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert found.returncode == 2 and "pip install 'pointsman[serve]'" in found.stderr and "Traceback" not in found.stderr
