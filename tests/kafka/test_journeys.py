"""A journal on Kafka, replayed from the command line."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from deployment import Deployment
from events import stream

from pointsman.schemas import OptimizationConfig, encode
from pointsman.streams.cli import main
from pointsman.streams.core import Core

pytestmark = pytest.mark.kafka


def test_a_range_of_a_journal_partition_replays(bootstrap: str, tmp_path: Path) -> None:
    events = [event for event in stream(61, 60) if event.scope == "chat"]
    deployment = Deployment(bootstrap, "range", tmp_path, OptimizationConfig())
    deployment.publish_raw("journal", [(b"chat", encode(event), []) for event in events])
    core = Core()
    expected = b"".join(encode(output) + b"\n" for event in events[:40] for output in core.step(event) if output.TYPE != "event.rejected/1")
    outputs = set()
    for partition in (0, 1):
        address = f"kafka://{bootstrap}/{deployment.settings.topic_prefix}journal?partition={partition}&from=0&to=40"
        result = CliRunner().invoke(main, ["replay", address, "--output", str(tmp_path / f"{partition}.jsonl")])
        assert result.exit_code == 0, result.output
        outputs.add((tmp_path / f"{partition}.jsonl").read_bytes())
    assert outputs == {b"", expected}
