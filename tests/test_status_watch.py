"""`pointsman status --watch` on a real pseudo-terminal."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from events import stream

from pointsman.schemas import OptimizationConfig, Track
from pointsman.streams import Optimizer

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")), learners="light")
LONGEST_S = 60.0


class Terminal:
    """A program on a terminal of its own, and everything it wrote."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.main, self.terminal = pty.openpty()
        self.resize(80, 24)
        self.before = termios.tcgetattr(self.terminal)
        streams = {"stdin": self.terminal, "stdout": self.terminal, "stderr": self.terminal}
        self.process = subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True, **streams)  # type: ignore[call-overload]
        self.written = b""

    def resize(self, width: int, height: int) -> None:
        """Another size."""
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def until(self, text: bytes, start: int = 0) -> int:
        """Read until a text was written after `start`; where it ends."""
        while text not in self.written[start:]:
            assert select.select([self.main], [], [], LONGEST_S)[0], self.written
            self.written += os.read(self.main, 65536)
        return self.written.index(text, start) + len(text)


@contextmanager
def watching(database: Path, **environment: str) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "pointsman.streams.cli", "status", str(database), "--watch"]
    terminal = Terminal(command, {"TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(sys.path), **environment})
    try:
        yield terminal
    finally:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait()
        os.close(terminal.main)
        os.close(terminal.terminal)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("watch") / "a.db"
    with Optimizer.open(str(path), CONFIG) as optimizer:
        optimizer.record_many(stream(64, 100))
    return path


def test_q_ends_with_0_and_restores_the_terminal(database: Path) -> None:
    with watching(database) as terminal:
        terminal.until(b"local", terminal.until(b"\x1b[?1049h"))
        os.write(terminal.main, b"q")
        terminal.until(b"\x1b[?1049l")
        assert terminal.process.wait(LONGEST_S) == 0
        assert termios.tcgetattr(terminal.terminal) == terminal.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_restores_the_terminal_too(database: Path, number: signal.Signals) -> None:
    with watching(database) as terminal:
        terminal.until(b"q ends")
        terminal.process.send_signal(number)
        terminal.until(b"\x1b[?1049l")
        assert terminal.process.wait(LONGEST_S) == 0
        assert termios.tcgetattr(terminal.terminal) == terminal.before and b"Traceback" not in terminal.written


def test_another_size_is_drawn_at_once(database: Path) -> None:
    with watching(database) as terminal:
        place = terminal.until(b"q ends")
        assert b"rate, windows" not in terminal.written
        terminal.resize(160, 40)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.until(b"rate, windows", place)


def test_no_color_means_none(database: Path) -> None:
    with watching(database, NO_COLOR="1") as terminal:
        terminal.until(b"q ends")
        os.write(terminal.main, b"q")
        terminal.until(b"\x1b[?1049l")
        assert not any(code in terminal.written for code in (b"\x1b[32m", b"\x1b[36m", b"\x1b[1;31m", b"\x1b[1;32m"))
