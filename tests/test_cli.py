"""The command line: help everywhere, one-line errors, exit code 2."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from events import stream

from pointsman.schemas import encode
from pointsman.streams.cli import main


@pytest.mark.parametrize("command", ["", *main.list_commands(click.Context(main))])
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(main, [*command.split(), "--help"])
    assert result.exit_code == 0 and "Usage:" in result.output


@pytest.mark.parametrize("group", ["config", "convert"])
def test_the_help_of_a_group_does_not_cut_a_sentence(group: str) -> None:
    assert "..." not in CliRunner().invoke(main, [group, "--help"]).output.partition("Commands:")[2]


def test_replay_says_what_it_did(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"".join(encode(event) + b"\n" for event in stream(2, 5)) + b"{}\n")
    result = CliRunner().invoke(main, ["replay", str(source), "--output", str(tmp_path / "out.jsonl"), "--summary", str(tmp_path / "s.json")])
    summary = json.loads((tmp_path / "s.json").read_text())
    assert result.output.strip() == f"{summary['events']} events, {summary['outputs']} outputs, 1 rejected"


def test_dead_letters_are_listed_and_written_out_again(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"type":"nothing/1"}\n')
    run = CliRunner()
    run.invoke(main, ["replay", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl")])
    letters = str(tmp_path / "out.rejected.jsonl")
    assert run.invoke(main, ["dead-letters", letters]).output.startswith("in.jsonl:1\tunknown_type\t")
    run.invoke(main, ["dead-letters", letters, "--replay", str(tmp_path / "again.jsonl")])
    assert (tmp_path / "again.jsonl").read_bytes() == b'{"type":"nothing/1"}\n'


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", "missing.jsonl", "--output", "out.jsonl"],
        ["config", "--config", "missing.toml"],
        ["schema", "nothing/1"],
        ["status", "--database", "missing.db"],
        ["dead-letters", "missing.jsonl"],
        ["record", "--output", "out.jsonl", "--database", "missing.db"],
    ],
)
def test_an_error_is_one_line_and_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    with CliRunner().isolated_filesystem(tmp_path):
        result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert len(result.output.strip().splitlines()) == 1 and "Traceback" not in result.output


def test_the_short_helps_are_the_commands_own() -> None:
    context = click.Context(main)
    for section in main.sections.values():
        for name, short in section.items():
            command = main.get_command(context, name)
            assert command is not None and command.help is not None
            assert command.help.startswith(short), name


def test_help_imports_no_command_and_no_event() -> None:
    shown = "import sys; from pointsman.streams.cli import main; main(['--help'], standalone_mode=False)"
    program = f"{shown}; print([name for name in sys.modules if 'command_' in name or name == 'pydantic'])"
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said.splitlines()[-1] == "[]"


def test_a_mistyped_command_names_the_nearest() -> None:
    result = CliRunner().invoke(main, ["replya", "x"])
    assert result.exit_code == 2 and "did you mean replay?" in result.output
    assert "did you mean check?" in CliRunner().invoke(main, ["config", "chek"]).output
