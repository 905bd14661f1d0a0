"""What docs/history.md shows runs."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from events import stream

from pointsman.schemas import encode
from pointsman.sinks.history import open_queried
from pointsman.streams.core import Core
from pointsman.streams.history import keep_history
from pointsman.streams.history_sources import FileSource

PAGE = (Path(__file__).parent.parent / "docs" / "history.md").read_text()


def block(language: str) -> str:
    """The first block of code in a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with redirect_stdout(StringIO()) as said:
        exec(block("python"), {})
    assert "[{'track': 'local', 'latency_ms': 812.0, 'propensity': 0.7}]" in said.getvalue()


def test_the_queries_run(tmp_path: Path) -> None:
    core, lines = Core(), []
    for event in stream(7, 200):
        lines += [encode(event), *(encode(output) for output in core.step(event))]
    (tmp_path / "all.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    keep_history([FileSource(tmp_path / "all.jsonl")], str(tmp_path / "history.db"), print)
    history = open_queried(str(tmp_path / "history.db"))
    days, held, alerts = (list(history.select(query)) for query in block("sql").split(";")[:3])
    history.close()
    assert {row["track"] for row in days} == {"local", "api"} and all(0.0 <= row["held"] <= 1.0 for row in held) and alerts
