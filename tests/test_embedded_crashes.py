"""The embedded database where a process dies between any two statements, and files that an earlier version wrote."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from events import START, started, stream

from pointsman.schemas import Event, OptimizationConfig, Track, encode
from pointsman.streams import Optimizer
from pointsman.streams.core import Core
from pointsman.streams.emitted import Emitted
from pointsman.streams.journal import Journal, JournalError

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")), learners="light")
DYING = """
import os, sys
from pathlib import Path
from pointsman.schemas import OptimizationConfig
from pointsman.streams import Optimizer

left = int(sys.argv[3])

def count(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)

optimizer = Optimizer.open(sys.argv[1], OptimizationConfig.model_validate_json(sys.argv[4]))
optimizer._journal._connection.set_trace_callback(count)
lines = Path(sys.argv[2]).read_bytes().splitlines()
for place in range(0, len(lines), 25):
    optimizer.record_lines(lines[place : place + 25])
"""


def test_killed_between_any_two_statements_the_outputs_are_those_of_one_run(tmp_path: Path) -> None:
    events = stream(31, 150)
    path, lines = tmp_path / "p.db", tmp_path / "in.jsonl"
    lines.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    for statements in (1, 2, 3, 60, 200, 350):  # in the first transaction, and further on
        command = [sys.executable, "-c", DYING, str(path), str(lines), str(statements), CONFIG.model_dump_json()]
        died = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=60)
        assert died.returncode == -signal.SIGKILL
    with Optimizer.open(str(path), CONFIG) as optimizer:
        optimizer.record_lines(lines.read_bytes().splitlines())
        found = [line for _, line in optimizer.outputs()]
    core = Core(CONFIG)
    assert found == [encode(output) for event in events for output in core.step(event)]


def test_a_database_of_the_version_before_keeps_its_dead_letters_and_places_the_next(tmp_path: Path) -> None:
    path = str(tmp_path / "p.db")
    with Optimizer.open(path, CONFIG, clock=lambda: START) as optimizer:
        optimizer.record_many([started("old", 0.0, "nowhere"), started("r1", 0.0)])
    with sqlite3.connect(path) as connection:
        connection.execute("DROP INDEX dead_letters_after")
        connection.execute("ALTER TABLE dead_letters DROP COLUMN after")
    with Optimizer.open(path, CONFIG, clock=lambda: START) as optimizer:
        before = optimizer.emitted(lambda log: log.end())
        optimizer.record_many([started("r2", 1.0), started("new", 1.0, "nowhere"), started("r3", 1.0)])
        rows = optimizer.emitted(lambda log: log.page(Emitted(0, 0), 1000))
        news = optimizer.emitted(lambda log: log.page(before, 1000))
    assert rows[0][1] and [is_letter for _, is_letter, _ in rows].count(True) == 2 and before.letters == 1
    assert rows[-len(news) :] == news and [is_letter for _, is_letter, _ in news].index(True) not in (0, len(news) - 1)


def test_a_database_that_another_program_has_locked_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    with Optimizer.open(str(path), CONFIG, clock=lambda: START):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("DROP INDEX dead_letters_after")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match=r"p\.db: locked by another program"):
        Journal.open(str(path))
    other.close()


def test_a_witness_that_fails_at_one_event_hears_the_next_of_the_same_batch() -> None:
    heard: list[str] = []

    def witness(event: Event) -> None:
        heard.append(event.event_id)
        if len(heard) == 1:
            raise ValueError

    with Optimizer.open(":memory:", CONFIG, clock=lambda: START) as optimizer:
        optimizer.witness(witness)
        optimizer.record_many([started(name, 0.0) for name in "abc"])
    assert len(heard) > 3
