"""The embedded optimizer on a real SQLite file."""

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from events import START, stream

from pointsman.schemas import OptimizationConfig, Track, decode, encode
from pointsman.streams import DualTrackOptimizer, Optimizer
from pointsman.streams.core import Core
from pointsman.streams.journal import FORMAT, Journal, JournalError

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)))


def outputs(path: Path) -> list[bytes]:
    journal = Journal.open(str(path))
    rows = [line for _, line in journal.outputs()]
    journal.close()
    return rows


def test_outputs_on_disk_equal_a_plain_fold_byte_for_byte(tmp_path: Path) -> None:
    events = stream(1, 300)
    with Optimizer.open(str(tmp_path / "p.db"), CONFIG) as optimizer:
        optimizer.record_many(events)
    core = Core(CONFIG)
    assert outputs(tmp_path / "p.db") == [encode(output) for event in events for output in core.step(event)]


@pytest.mark.parametrize("cut", [1, 150, 400])
def test_a_restart_resumes_as_if_nothing_had_happened(tmp_path: Path, cut: int) -> None:
    events = stream(2, 300)
    for part in (events[:cut], events[cut:]):
        with Optimizer.open(str(tmp_path / "p.db"), CONFIG) as optimizer:
            optimizer.record_many(part)
    core = Core(CONFIG)
    assert outputs(tmp_path / "p.db") == [encode(output) for event in events for output in core.step(event)]


def test_a_process_that_died_without_a_snapshot_is_rebuilt_from_the_journal(tmp_path: Path) -> None:
    events = stream(3, 200)
    dead = Optimizer.open(str(tmp_path / "p.db"), CONFIG)
    dead.record_many(events[:250])
    with sqlite3.connect(tmp_path / "p.db") as source, sqlite3.connect(tmp_path / "copy.db") as target:
        source.backup(target)
        target.execute("DELETE FROM snapshots")
        target.execute("DELETE FROM saved WHERE name = 'position'")
    with Optimizer.open(str(tmp_path / "copy.db"), CONFIG) as optimizer:
        optimizer.record_many(events[250:])
    core = Core(CONFIG)
    assert outputs(tmp_path / "copy.db") == [encode(output) for event in events for output in core.step(event)]
    dead.close()


def test_a_young_process_killed_with_minus_nine_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "100%20 young.db"
    program = (
        "import os, sys; from pointsman.streams import Optimizer; o = Optimizer.open(sys.argv[1])\n"
        "for n in range(20): o.record_request_start(f'r{n}', scope='chat', track='local', occurred_at=1.7e9 + n)\n"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    with Optimizer.open(str(path)) as optimizer:
        assert optimizer.status()["chat"]["events"] == 20


def test_eight_threads_recording_at_once_lose_nothing(tmp_path: Path) -> None:
    with Optimizer.open(str(tmp_path / "p.db"), CONFIG) as optimizer:

        def work(thread: int) -> None:
            for number in range(50):
                name = f"{thread}-{number}"
                optimizer.record_request_start(name, scope="chat", decision=optimizer.recommend("chat", "Hello there", name))
                optimizer.record_request_completion(name, scope="chat", track="local", success=True, latency_ms=10.0)

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert optimizer.status()["chat"]["events"] == 800
    journal = Journal.open(str(tmp_path / "p.db"))
    lines = [line for _, line in journal.read()]
    journal.close()
    assert len({decode(line).event_id for line in lines}) == 800


def test_the_prompt_is_not_in_the_file(tmp_path: Path) -> None:
    with Optimizer.open(str(tmp_path / "p.db"), CONFIG) as optimizer:
        optimizer.record_request_start("r1", scope="chat", track="local", query="my secret plan", occurred_at=START)
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.iterdir())


def test_asking_twice_at_the_same_state_gives_the_same_answer() -> None:
    with Optimizer.open(":memory:", CONFIG, clock=lambda: START) as optimizer:
        optimizer.record_request_start("r0", scope="chat", track="local")
        assert optimizer.recommend("chat", "Hello", "r1") == optimizer.recommend("chat", "Hello", "r1")


def test_a_wrong_value_is_a_value_error_and_nothing_is_recorded() -> None:
    with Optimizer.open(":memory:", CONFIG, clock=lambda: START) as optimizer:
        with pytest.raises(ValueError, match="latency_ms is required"):
            optimizer.record_request_completion("r1", scope="chat", track="local", success=True)
        with pytest.raises(ValueError, match="is not configured"):
            optimizer.record_request_start("r1", scope="chat", track="unheard-of")
        assert optimizer.status() == {}


def test_another_configuration_given_later_is_journaled(tmp_path: Path) -> None:
    with Optimizer.open(str(tmp_path / "p.db"), CONFIG, clock=lambda: START) as optimizer:
        optimizer.record_request_start("r1", scope="chat", track="local")
    changed = CONFIG.model_copy(update={"strategy": "cost"})
    for _ in range(2):
        with Optimizer.open(str(tmp_path / "p.db"), changed, clock=lambda: START) as optimizer:
            assert optimizer.status()["chat"]["strategy"] == "cost"
            assert optimizer.status()["chat"]["events"] == 2


@pytest.mark.parametrize(
    ("damage", "message"), [("foreign", "another program"), ("newer", "newer Pointsman"), ("text", "not an SQLite file"), ("corrupt", "damaged")]
)
def test_a_file_it_cannot_use_is_named_and_left_alone(tmp_path: Path, damage: str, message: str) -> None:
    path = tmp_path / "p.db"
    if damage == "text":
        path.write_text("hello")
    else:
        with Optimizer.open(str(path), CONFIG) as optimizer:
            optimizer.record_many(stream(4, 100))
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if damage == "foreign":
            connection.execute("PRAGMA application_id=7")
        if damage == "newer":
            connection.execute(f"PRAGMA user_version={FORMAT + 1}")
        connection.close()
        if damage == "corrupt":
            whole = bytearray(path.read_bytes())
            whole[4096:12288] = b"\xff" * 8192
            path.write_bytes(whole)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=message):
        Optimizer.open(str(path), CONFIG)
    assert path.read_bytes() == before


def test_the_dual_track_facade_does_the_same_under_its_own_names() -> None:
    now = [START]
    optimizer = DualTrackOptimizer(CONFIG, clock=lambda: now[0])
    optimizer.start()
    advice = optimizer.get_optimization_recommendations("Summarise this mail", {"request_id": "r1"})
    optimizer.record_request_start("r1", "Summarise this mail", {"processing_path": advice["processing_path"]})
    now[0] += 0.5
    optimizer.record_request_completion("r1", advice["processing_path"], {"output_tokens": 12}, success=True)
    status = optimizer.get_optimization_status()
    optimizer.stop()
    assert status["tracks"][advice["processing_path"]]["completed"] == 1
    with pytest.raises(RuntimeError, match="call start"):
        optimizer.get_optimization_status()


def test_the_configuration_is_the_latest_that_was_given_not_the_one_that_the_file_was_made_with(tmp_path: Path) -> None:
    first = OptimizationConfig(strategy="balanced")
    with Optimizer.open(str(tmp_path / "a.db"), first) as optimizer:
        optimizer.record_many(stream(5, 3))
    with Optimizer.open(str(tmp_path / "a.db"), first.model_copy(update={"strategy": "cost"})) as optimizer:
        assert optimizer.config.strategy == "cost"
    with Optimizer.open(str(tmp_path / "a.db")) as optimizer:
        assert optimizer.config.strategy == "cost"
