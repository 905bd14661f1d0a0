"""`pointsman status --watch` on a real pseudo-terminal."""

import os
import signal
import termios
from pathlib import Path

import pytest
from events import stream
from terminal import LONGEST_S, watching

from pointsman.schemas import OptimizationConfig, Track
from pointsman.streams import Optimizer

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")), learners="light")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("watch") / "a.db"
    with Optimizer.open(str(path), CONFIG) as optimizer:
        optimizer.record_many(stream(64, 100))
    return path


def test_q_ends_with_0_and_restores_the_terminal(database: Path) -> None:
    with watching(str(database)) as terminal:
        terminal.until(b"local", terminal.until(b"\x1b[?1049h"))
        os.write(terminal.main, b"q")
        terminal.until(b"\x1b[?1049l")
        assert terminal.process.wait(LONGEST_S) == 0
        assert termios.tcgetattr(terminal.terminal) == terminal.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_restores_the_terminal_too(database: Path, number: signal.Signals) -> None:
    with watching(str(database)) as terminal:
        terminal.until(b"q ends")
        terminal.process.send_signal(number)
        terminal.until(b"\x1b[?1049l")
        assert terminal.process.wait(LONGEST_S) == 0
        assert termios.tcgetattr(terminal.terminal) == terminal.before and b"Traceback" not in terminal.written


@pytest.mark.parametrize("environment", [{}, {"COLUMNS": "80", "LINES": "24"}], ids=["plain", "exported"])
def test_another_size_is_drawn_at_once(database: Path, environment: dict[str, str]) -> None:
    with watching(str(database), **environment) as terminal:
        place = terminal.until(b"q ends")
        assert b"rate, windows" not in terminal.written
        terminal.resize(160, 40)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.until(b"rate, windows", place)


def test_no_color_means_none(database: Path) -> None:
    with watching(str(database), NO_COLOR="1") as terminal:
        terminal.until(b"q ends")
        os.write(terminal.main, b"q")
        terminal.until(b"\x1b[?1049l")
        assert not any(code in terminal.written for code in (b"\x1b[32m", b"\x1b[36m", b"\x1b[1;31m", b"\x1b[1;32m"))
