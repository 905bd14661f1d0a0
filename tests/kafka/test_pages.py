"""The pages about Kafka, followed on a real broker."""

import os
import shlex
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from deployment import stop
from documents import ROOT, blocks, lines

pytestmark = pytest.mark.kafka
BIN = Path(sys.executable).parent
ADDRESS = "127.0.0.1:9092"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Topics of this test's own, and the commands of this environment."""
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    return os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "POINTSMAN_KAFKA__TOPIC_PREFIX": f"docs-{uuid.uuid4().hex[:8]}.",
        "POINTSMAN_KAFKA__STATUS_PORT": "0",
        "POINTSMAN_KAFKA__PARTITIONS": "2",
    }


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What a program says, which must succeed."""
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert found.returncode == 0, f"{command}\n{found.stdout}{found.stderr}"
    return found.stdout


def prefixed(text: str, prefix: str) -> str:
    """A program of a page on the topics of this test."""
    return text.replace('KafkaSettings(bootstrap_servers="', f'KafkaSettings(topic_prefix="{prefix}", bootstrap_servers="')


def test_a_newcomer_can_follow_the_page_on_kafka(bootstrap: str, tmp_path: Path, environment: dict[str, str]) -> None:
    page = ROOT / "docs" / "get-started-kafka.md"
    first, played = ([line.replace(ADDRESS, bootstrap) for line in lines(block)] for block in blocks("sh", page)[1:])
    run(["sh", "-c", first[0]], tmp_path, environment)
    worker = subprocess.Popen(shlex.split(first[1]), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said = [
            run([sys.executable, "-c", prefixed(block.text.replace(ADDRESS, bootstrap), environment["POINTSMAN_KAFKA__TOPIC_PREFIX"])], tmp_path, environment)
            for block in blocks("python", page)
        ]
        for line in played:
            run(["sh", "-c", line], tmp_path, environment)
        assert stop(worker) == 0
    finally:
        worker.kill()
    assert said[1].startswith("local ") and (tmp_path / "outputs.jsonl").stat().st_size > 0


def test_the_programs_of_the_page_on_clients_run(bootstrap: str, tmp_path: Path, environment: dict[str, str]) -> None:
    run(["pointsman", "topics", "--kafka", bootstrap], tmp_path, environment)
    for block in blocks("python", ROOT / "docs" / "clients.md"):
        run([sys.executable, "-c", prefixed(block.text.replace(ADDRESS, bootstrap), environment["POINTSMAN_KAFKA__TOPIC_PREFIX"])], tmp_path, environment)
