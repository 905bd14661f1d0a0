"""A history of what is on Kafka."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deployment import Deployment
from events import stream

from pointsman.schemas import OptimizationConfig, encode
from pointsman.sinks.history import open_queried
from pointsman.sinks.history_tables import TABLES
from pointsman.streams.core import Core
from pointsman.streams.history import keep_history
from pointsman.streams.history_sources import FileSource, KafkaSource
from pointsman.streams.topics import OUTPUT_TOPICS

Record = tuple[bytes, bytes, list[tuple[str, bytes]]]
pytestmark = pytest.mark.kafka
KILLED = """
import os, signal, sys, threading, time
import pointsman.streams.history_sources as sources
from pointsman.schemas.settings import KafkaSettings
from pointsman.sinks.history_sqlite import SqliteHistory
from pointsman.streams.history import keep_history
SqliteHistory.batch_rows = 1
sources.PIECE = 20
add, count = SqliteHistory.add, iter(range(1, 1000))
def limited(self, *given):
    found = add(self, *given)
    if next(count) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return found
SqliteHistory.add = limited
keep_history([sources.KafkaSource(KafkaSettings(bootstrap_servers=sys.argv[1], topic_prefix=sys.argv[2]))], sys.argv[3], print)
"""


def rows(target: Path) -> dict[str, list[str]]:
    """Every row of every table."""
    history = open_queried(str(target))
    found = {name: sorted(repr(row) for row in history.select(f"SELECT * FROM {name}")) for name in TABLES}
    history.close()
    return found


def test_topics_give_the_rows_of_their_recording_once_also_after_a_kill(bootstrap: str, tmp_path: Path) -> None:
    core = Core()
    journal: list[Record] = []
    outputs: dict[str, list[Record]] = {}
    for event in stream(11, 150):
        journal.append((event.scope.encode(), encode(event), []))
        for output in core.step(event):
            if output.TYPE != "event.rejected/1":
                outputs.setdefault(OUTPUT_TOPICS[output.TYPE], []).append((output.scope.encode(), encode(output), []))
    deployment = Deployment(bootstrap, "history", tmp_path, OptimizationConfig())
    deployment.publish_raw("journal", [*journal, *journal[:50]])
    for topic, records in outputs.items():
        deployment.publish_raw(topic, records)

    settings = deployment.settings
    command = [sys.executable, "-c", KILLED, settings.bootstrap_servers, settings.topic_prefix, str(tmp_path / "kafka.db")]
    assert subprocess.run(command, check=False, env=os.environ, timeout=60).returncode == -signal.SIGKILL
    keep_history([KafkaSource(settings)], str(tmp_path / "kafka.db"), print)
    assert keep_history([KafkaSource(settings)], str(tmp_path / "kafka.db"), print).lines == 0

    lines = [line for _, line, _ in [*journal, *(record for records in outputs.values() for record in records)]]
    (tmp_path / "all.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    keep_history([FileSource(tmp_path / "all.jsonl")], str(tmp_path / "file.db"), print)
    assert rows(tmp_path / "kafka.db") == rows(tmp_path / "file.db") and rows(tmp_path / "kafka.db")["windows"]
