"""A program on a real pseudo-terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

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
        end = time.monotonic() + LONGEST_S
        while text not in self.written[start:]:
            assert select.select([self.main], [], [], max(end - time.monotonic(), 0.0))[0], self.written[-5000:]
            self.written += os.read(self.main, 65536)
        return self.written.index(text, start) + len(text)


@contextmanager
def watching(place: str, *options: str, **environment: str) -> Iterator[Terminal]:
    """`pointsman status PLACE --watch`."""
    command = [sys.executable, "-m", "pointsman.streams.cli", "status", place, "--watch", *options]
    terminal = Terminal(command, {"TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(sys.path), **environment})
    try:
        yield terminal
    finally:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait()
        os.close(terminal.main)
        os.close(terminal.terminal)


__all__ = ["LONGEST_S", "Terminal", "watching"]
