"""What the pages say is so: commands exist, settings load, programs run, links lead somewhere, and the site builds without a warning."""

import doctest
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from documents import PAGES, ROOT, Block, blocks, commands, lines

from pointsman.schemas.settings import load
from pointsman.streams.cli import main

RUN_ELSEWHERE = {"clients.md", "get-started-kafka.md", "otel.md"}  # with a broker in tests/kafka, with a server in test_otel_serve.py
BIN = Path(sys.executable).parent
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def run(command: list[str], folder: Path, **more: str) -> str:
    """What a program says that must succeed, in a folder of its own and with the commands of this environment."""
    env = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)} | more
    found = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert found.returncode == 0, f"{command}\n{found.stdout}{found.stderr}"
    return found.stdout


def unknown(words: list[str]) -> str | None:
    """The first word of a command line that is not there: a command, or an option of it."""
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return words[0] if words[0].isidentifier() or "-" in words[0] else None
        command, words = found, words[1:]
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help", "-h", "--version"}
    return next((word for word in words if word.startswith("--") and word.partition("=")[0] not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_that_a_page_names_exists(page: Path) -> None:
    assert [(words, missing) for words in commands(page) if (missing := unknown(words))] == []


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_the_settings_of_a_page_load(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.toml").write_text(block.text)
    assert tomllib.loads(block.text)
    load(tmp_path / "page.toml").optimization()


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_the_json_of_a_page_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize(
    "page", sorted({block.page for block in blocks("python")} - {ROOT / "docs" / name for name in RUN_ELSEWHERE}), ids=lambda page: page.name
)
def test_the_programs_of_a_page_run_one_after_the_other(page: Path, tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text("\n".join(block.text for block in blocks("python", page)))
    run([sys.executable, "page.py"], tmp_path)


@pytest.mark.parametrize("block", blocks("pycon"), ids=str)
def test_a_session_in_a_page_is_as_it_says(block: Block) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, {}, str(block), str(block.page), block.line)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_a_newcomer_can_follow_the_first_page(tmp_path: Path) -> None:
    page = ROOT / "docs" / "get-started.md"
    (tmp_path / "program.py").write_text(blocks("python", page)[0].text)
    assert run([sys.executable, "program.py"], tmp_path).strip() in {"local", "api"}
    said = [run(["sh", "-c", line], tmp_path) for line in lines(blocks("sh", page)[1])]
    assert all(said) and "r199" in said[1] and (tmp_path / "outputs.jsonl").stat().st_size > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-b", "html", str(ROOT / "docs"), str(tmp_path / "site")], tmp_path)
    assert (tmp_path / "site" / "events.html").stat().st_size > 10_000
