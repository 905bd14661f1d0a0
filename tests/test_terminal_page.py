"""What docs/terminal.md shows is so."""

import os
import subprocess
import sys
from pathlib import Path

import outage
import pytest
from click.testing import CliRunner
from documents import ROOT, blocks, lines

from pointsman.streams import Optimizer
from pointsman.streams.cli import main

PAGE = ROOT / "docs" / "terminal.md"
STATUS = [line for block in blocks("sh", PAGE) for line in lines(block) if line.startswith(("pointsman status", "pointsman alerts", "pointsman incidents"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as the page names it, and a `pointsman` to call."""
    folder = tmp_path_factory.mktemp("page")
    with Optimizer.open(str(folder / "pointsman.db"), outage.CONFIG) as optimizer:
        optimizer.record_many([*outage.before(), *outage.during()])
    for name, code in (("pointsman", "-c \"from pointsman.streams.cli import main; main(prog_name='pointsman')\""), ("python", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {code} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("line", STATUS)
def test_the_lines_of_the_page_run(line: str, folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert "local" in said.stdout and not said.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["config", "--config", "pointsman.toml"], "Error: pointsman.toml: budget.usd_per_houre: unknown key; did you mean usd_per_hour?"),
        (["statsu"], "Error: No such command 'statsu'; did you mean status? (see pointsman --help)"),
    ],
)
def test_the_errors_are_as_the_page_shows_them(words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pointsman.toml").write_text("[budget]\nusd_per_houre = 2\n")
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, words, prog_name="pointsman").output.strip() == said
    assert said in PAGE.read_text()


def test_the_picture_is_of_this_view() -> None:
    drawn = (ROOT / "docs" / "images" / "watch.svg").read_text().replace("&#160;", " ")
    assert all(word in drawn for word in ("Pointsman", "predicted 90 %", "alerts", "resources", "forecasts", "last events"))
