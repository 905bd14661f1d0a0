"""What a person does with recordings, from the command line to the end."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from events import stream
from serving import TOKEN, serving

from pointsman.schemas import OptimizationConfig, Track, encode
from pointsman.streams import Optimizer
from pointsman.streams.cli import main

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))


def run(*arguments: object) -> str:
    """Run a command; what it printed."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_database_is_recorded_and_the_recording_replays_to_its_outputs(tmp_path: Path) -> None:
    with Optimizer.open(str(tmp_path / "a.db"), CONFIG) as optimizer:
        optimizer.record_many(stream(51, 60))
        emitted = [line for _, line in optimizer.outputs()]
    (tmp_path / "c.toml").write_text('[[tracks]]\nname = "local"\n[[tracks]]\nname = "api"\n')
    run("record", "--database", tmp_path / "a.db", "--output", tmp_path / "r.jsonl.zst")
    run("replay", tmp_path / "r.jsonl.zst", "--config", tmp_path / "c.toml", "--output", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes().splitlines() == emitted
    run("replay", tmp_path / "a.db", "--output", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_a_recording_is_posted_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_TOKEN", TOKEN)
    recording = [encode(event) for event in stream(52, 300)]
    (tmp_path / "r.jsonl").write_bytes(b"\n".join(recording))
    with serving(tmp_path / "a.db", CONFIG) as client:
        assert f"{len(recording)} events published" in run("simulate", tmp_path / "r.jsonl", "--http", client.base_url, "--speed", "0")
    run("record", "--database", tmp_path / "a.db", "--output", tmp_path / "again.jsonl")
    kept = [json.loads(line)["event_id"] for line in (tmp_path / "again.jsonl").read_bytes().splitlines()]
    posted = [json.loads(line)["event_id"] for line in recording]
    assert [name for name in kept if name in set(posted)] == posted


def test_speed_changes_nothing_but_the_time_it_takes(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b"\n".join(encode(event) for event in stream(53, 30)))
    run("replay", tmp_path / "r.jsonl", "--output", tmp_path / "fast.jsonl")
    run("replay", tmp_path / "r.jsonl", "--output", tmp_path / "paced.jsonl", "--speed", "1000")
    assert (tmp_path / "fast.jsonl").read_bytes() == (tmp_path / "paced.jsonl").read_bytes()


def test_rejected_lines_are_mended_and_replayed(tmp_path: Path) -> None:
    lines = [encode(event) for event in stream(54, 10)]
    (tmp_path / "r.jsonl").write_bytes(b"\n".join([lines[0].replace(b'"scope"', b'"spoce"', 1), *lines[1:]]))
    assert f"{len(lines) - 1} events" in run("replay", tmp_path / "r.jsonl", "--output", tmp_path / "out.jsonl")
    assert "missing_field" in run("dead-letters", tmp_path / "out.rejected.jsonl")
    run("dead-letters", tmp_path / "out.rejected.jsonl", "--replay", tmp_path / "mend.jsonl")
    (tmp_path / "mend.jsonl").write_bytes((tmp_path / "mend.jsonl").read_bytes().replace(b"spoce", b"scope"))
    assert "1 events" in run("replay", tmp_path / "mend.jsonl", "--output", tmp_path / "out2.jsonl")
