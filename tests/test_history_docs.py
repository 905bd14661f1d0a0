"""What docs/history.md shows runs."""

import shlex
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from documents import ROOT, blocks, lines
from events import stream

from pointsman.schemas import encode
from pointsman.sinks.history import open_queried
from pointsman.streams import Optimizer
from pointsman.streams.cli import main
from pointsman.streams.core import Core
from pointsman.streams.history import keep_history
from pointsman.streams.history_sources import FileSource

PAGE = ROOT / "docs" / "history.md"


def block(language: str) -> str:
    """The first block of code in a language."""
    return blocks(language, PAGE)[0].text


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with redirect_stdout(StringIO()) as said:
        exec(block("python"), {})
    assert "[{'track': 'local', 'latency_ms': 812.0, 'propensity': 0.7}]" in said.getvalue()


def test_the_queries_run(tmp_path: Path) -> None:
    core, rows = Core(), []
    for event in stream(7, 200):
        rows += [encode(event), *(encode(output) for output in core.step(event))]
    (tmp_path / "all.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    keep_history([FileSource(tmp_path / "all.jsonl")], str(tmp_path / "history.db"), print)
    history = open_queried(str(tmp_path / "history.db"))
    days, held, alerts = (list(history.select(query)) for query in block("sql").split(";")[:3])
    history.close()
    assert {row["track"] for row in days} == {"local", "api"} and all(0.0 <= row["held"] <= 1.0 for row in held) and alerts


def test_the_first_commands_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Optimizer.open("pointsman.db") as optimizer:
        optimizer.record_many(stream(7, 60))
    for line in lines(blocks("sh", PAGE)[0]):
        result = CliRunner().invoke(main, [word for word in shlex.split(line)[1:] if word != "--follow"])  # it would stay
        assert result.exit_code == 0, result.output
    assert "<h1>" in (tmp_path / "report.html").read_text()
