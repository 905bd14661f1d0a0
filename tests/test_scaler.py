"""`pointsman scaler` as a process: from an outputs file, from a database that is being written, and what it says when it cannot."""

import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import grpc
import pytest
from advice import forecast, recommended, scored
from click.testing import CliRunner
from events import START, completed
from scaler_process import replicas, scaler

from pointsman.schemas import Event, encode
from pointsman.streams.cli import main
from pointsman.streams.journal import Journal
from pointsman.streams.scaler import ScalerError, relevant, seconds


def test_the_outputs_of_a_replay_are_served(tmp_path: Path) -> None:
    events: list[Event] = [recommended(0.0, 3), completed("r1", 1.0), recommended(60.0, 7), forecast(70.0, 2.0), scored(80.0), recommended(90.0, 1, "large")]
    (tmp_path / "out.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in events) + b"not JSON\n")
    with scaler(tmp_path / "out.jsonl") as (address, metrics, said):
        assert said.readline() == "known: chat/large, chat/local\n"
        assert (replicas(address), replicas(address, "large")) == (7.0, 1.0)
        with urllib.request.urlopen(metrics, timeout=10) as answer:
            assert b'pointsman_scaling_desired_replicas{scope="chat",track="local"} 7.0' in answer.read()


def test_advice_is_followed_as_an_optimizer_writes_it(tmp_path: Path) -> None:
    now = time.time() - START
    journal = Journal.open(str(tmp_path / "p.db"))

    def write(at: float, desired: int) -> None:
        event = recommended(at, desired)
        journal.emitted.add([(1, event.event_id, encode(event))], [])

    write(now, 3)
    with scaler(tmp_path / "p.db") as (address, _, said):
        assert said.readline() == "known: chat/local\n"
        assert replicas(address) == 3.0
        write(now + 1.0, 5)
        end = time.monotonic() + 20.0
        while replicas(address) == 3.0 and time.monotonic() < end:
            pass
        assert replicas(address) == 5.0
    journal.close()


def test_old_advice_of_a_live_place_is_no_number(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path / "p.db"))
    journal.emitted.add([(1, "e1", encode(recommended(0.0, 3)))], [])
    journal.close()
    with scaler(tmp_path / "p.db", "--stale", "1h") as (address, _, said):
        said.readline()
        with pytest.raises(grpc.RpcError, match="stopped standing"):
            replicas(address)


def test_only_what_scaling_needs_is_decoded() -> None:
    assert relevant(encode(recommended(0.0, 3))) == recommended(0.0, 3)
    assert relevant(encode(completed("r1", 0.0))) is None
    assert relevant(b'{"type":"scaling.recommended/1"}') is None


@pytest.mark.parametrize(("text", "expected"), [("90s", 90.0), ("1.5m", 90.0), ("2h", 7200.0), ("1d", 86_400.0)])
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["15", "m", "0s", "-1m", "1w"])
def test_what_is_no_duration_is_said(text: str) -> None:
    with pytest.raises(ScalerError, match="write a duration"):
        seconds(text)


@pytest.mark.parametrize(("module", "extra"), [("grpc", "keda"), ("google", "keda"), ("prometheus_client", "prometheus")])
def test_a_missing_extra_is_named(tmp_path: Path, module: str, extra: str) -> None:
    (tmp_path / "out.jsonl").touch()
    program = f"import sys; sys.modules[{module!r}] = None; from pointsman.streams.cli import main; main()"
    command = [sys.executable, "-c", program, "scaler", str(tmp_path / "out.jsonl"), "--port", "0", "--metrics-port", "0"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert found.returncode == 2 and f"pip install 'pointsman[{extra}]'" in found.stderr and "Traceback" not in found.stderr


def test_a_place_that_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    for place, said in (("no.db", "no such file"), ("other.db", "an SQLite file of another program")):
        result = CliRunner().invoke(main, ["scaler", str(tmp_path / place), "--port", "0"])
        assert result.exit_code == 2 and said in result.output and result.output.strip().splitlines()[-1].startswith("Error")
