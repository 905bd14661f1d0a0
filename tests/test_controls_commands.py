"""People's controls as a person types them: on a database, through a server, through Kafka, and that all of it replays."""

import json
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from documents import ROOT, blocks, lines
from events import sampled
from serving import TOKEN, serving

from pointsman.schemas import AlertRaised, AnyInput, Constraints, OptimizationConfig, Track, decode_output
from pointsman.streams import Optimizer
from pointsman.streams.cli import main

CONFIG = OptimizationConfig(tracks=(Track(name="local"),), constraints=Constraints(max_cpu_percent=80.0), learners="light")
CPU = "laptop/cpu_percent"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def hot(ago: float) -> list[AnyInput]:
    """Two samples beyond the bound, so many seconds ago."""
    now = time.time() - ago
    return [sampled(ago + number, cpu_percent=95.0).model_copy(update={"occurred_at": now + number / 10.0}) for number in (0, 1)]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database in which an alert stands."""
    path = tmp_path / "pointsman.db"
    with Optimizer.open(str(path), CONFIG) as optimizer:
        optimizer.record_many(hot(5.0))
    return path


def raised(lines: list[bytes]) -> list[AlertRaised]:
    return [event for line in lines if isinstance(event := decode_output(line), AlertRaised)]


def stored(database: Path) -> list[AlertRaised]:
    with Optimizer.open(str(database)) as optimizer:
        return raised([line for _, line in optimizer.outputs()])


def test_each_command_writes_its_event_to_a_database_and_says_what_followed(database: Path, tmp_path: Path) -> None:
    said = run("acknowledge", database, "--scope", "chat", "--alert", CPU, "--by", "ana", "--note", "mail ana@example.org")
    assert said == f"{CPU}: ana looks after it\nana looks after {CPU} in chat\n"
    said = run("silence", database, "--scope", "chat", "--subject", "lap*", "--kind", "constraint", "--for", "2h")
    assert f"{CPU}: it was silenced" in said and "subject lap*, kind constraint in chat: silenced until 20" in said
    assert f"{CPU}: its silence has ended" in run("silence", database, "--scope", "chat", "--subject", "lap*", "--kind", "constraint", "--lift")
    said = run("maintenance", database, "--scope", "chat", "--host", "laptop", "--for", "30m")
    assert f"{CPU}: maintenance has begun" in said and "laptop in chat: maintenance from 20" in said
    assert [(one.muted, one.acknowledged_by) for one in stored(database)] == [
        (None, None),
        (None, "ana"),
        ("silenced", "ana"),
        (None, "ana"),
        ("maintenance", "ana"),
    ]
    run("record", "--database", database, "--output", tmp_path / "journal.jsonl")
    journal = (tmp_path / "journal.jsonl").read_text()
    assert "[email]" in journal and "ana@example.org" not in journal


def test_what_was_said_replays_byte_for_byte(database: Path, tmp_path: Path) -> None:
    run("silence", database, "--scope", "chat", "--alert", "laptop/*", "--for", "2h", "--by", "ana")
    with Optimizer.open(str(database)) as optimizer:
        lines = b"".join(line + b"\n" for _, line in optimizer.outputs())
    run("replay", database, "--from-database", "--output", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == lines and b'"muted":"silenced"' in lines


def test_the_lines_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "controls.md"
    exec(compile(blocks("python", page)[0].text, str(page), "exec"), {})
    said = [run(*shlex.split(line)[1:]) for line in lines(blocks("sh", page)[0])]
    assert [text.splitlines()[0].partition(": ")[2] for text in said] == [
        "ana looks after it",
        "it was silenced",
        "its silence has ended, and it still stands",
        "maintenance has begun",
    ]


def test_a_server_takes_them_while_it_runs_and_says_why_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_TOKEN", TOKEN)
    with serving(config=CONFIG) as client:
        lines = [json.loads(event.model_dump_json(exclude_none=True)) for event in hot(5.0)]
        assert client.post("/v1/events", json=lines).json()["accepted"] == 2
        place = str(client.base_url)
        assert "silenced until" in run("silence", place, "--scope", "chat", "--alert", "laptop/*", "--for", "2h")
        assert "looks after" in run("acknowledge", place, "--scope", "chat", "--alert", CPU, "--by", "ana")
        controls: dict[str, Any] = client.get("/v1/status", params={"scope": "chat"}).json()["chat"]["signals"]["controls"]
        assert controls["muted"] == {CPU: "silenced"} and controls["acknowledged"] == {CPU: "ana"}
        refused = CliRunner().invoke(main, ["acknowledge", place, "--scope", "chat", "--alert", "gone"])
        assert refused.exit_code == 2 and "no alert 'gone' stands in this scope" in refused.stderr
