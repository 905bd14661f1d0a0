"""Shell completion, in the shells themselves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from programs import program

from pointsman.streams.cli import main

# The completion function is called as the shell would; `compopt` and the like exist only while a shell completes.
BASH = """compopt() { echo "compopt $2"; }; source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_pointsman_completion pointsman; printf "%s\\n" "${COMPREPLY[@]}\""""
ZSH = 'compdef() { }; _describe() { print -l -- ${(P)3} }; compadd() { print -l -- "$@" }; source $1; shift; words=("$@"); CURRENT=$#; _pointsman_completion'
FISH = "source $argv[1]; complete -C (string join ' ' -- $argv[2..])"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which there is a `pointsman`."""
    command = tmp_path / "bin" / "pointsman"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from pointsman.streams.cli import main; main(prog_name=\'pointsman\')" "$@"\n')
    command.chmod(0o755)
    return f"{command.parent}{os.pathsep}{os.environ['PATH']}"


def completed(shell: str, tmp_path: Path, path: str, *words: str) -> list[str]:
    """What a shell offers for the last word."""
    script = tmp_path / "script"
    script.write_text(CliRunner().invoke(main, ["completion", shell]).output)
    call = {
        "bash": ["bash", "--norc", "-c", BASH, "-"],
        "zsh": ["zsh", "-f", "-c", ZSH, "-"],
        "fish": ["fish", "--no-config", "-c", FISH],
    }[shell]
    environment = {**os.environ, "PATH": path, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [program(shell, [shell]), *call[1:], str(script), *words]
    return subprocess.run(arguments, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str, tmp_path: Path, path: str) -> None:
    offered = completed(shell, tmp_path, path, "pointsman", "s")
    for name in ("serve", "schema", "simulate", "status", "scaler", "shadow", "scale"):
        assert any(line.split(":")[0].split("\t")[0] == name for line in offered), offered
    assert not any(line.startswith("replay") for line in offered)


def test_options_choices_and_event_types_complete(tmp_path: Path, path: str) -> None:
    assert "--watch" in completed("bash", tmp_path, path, "pointsman", "status", "--w")
    assert completed("bash", tmp_path, path, "pointsman", "completion", "f") == ["fish"]
    assert completed("bash", tmp_path, path, "pointsman", "schema", "request.s") == ["request.started/1"]
    assert "check" in completed("bash", tmp_path, path, "pointsman", "config", "c")


@pytest.mark.parametrize("command", ["status", "replay", "models", "scaler", "evaluate", "dead-letters"])
def test_a_place_completes_to_files(command: str, tmp_path: Path, path: str) -> None:
    assert "compopt default" in completed("bash", tmp_path, path, "pointsman", command, "rec")
