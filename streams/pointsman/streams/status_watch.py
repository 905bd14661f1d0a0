"""`pointsman status --watch`: the screen of a scope, drawn again every second, until q or Ctrl-C."""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .journal import JournalError
from .status_picture import Picture
from .status_screen import Screen
from .status_source import Source, StatusError

EVERY_S = 1.0
ENDS = (b"q", b"Q", b"\x03", b"\x04")
STEPS = {b"n": 1, b"\t": 1, b"\x1b[C": 1, b"p": -1, b"\x1b[D": -1}


@dataclass(slots=True)
class View:
    """What is shown: one of the scopes that there are, and what is wrong with the place."""

    source: Source
    scope: str | None
    names: list[str]
    picture: Picture | None = None
    note: str = ""

    def look(self) -> None:
        """Look again; what was seen last stays where the place cannot be read."""
        try:
            self.names = self.source.look()
            self.note = ""
            self._show()
        except (StatusError, JournalError) as error:
            self.note = str(error)

    def step(self, by: int) -> None:
        """The next scope, or the one before."""
        if self.names:
            at = self.names.index(self.scope) if self.scope in self.names else 0
            self.scope = self.names[(at + by) % len(self.names)]
            with suppress(StatusError):
                self._show()

    def _show(self) -> None:
        if self.scope is None and self.names:
            self.scope = self.names[0]
        if self.scope in self.names:
            self.picture = self.source.picture(self.scope)

    def screen(self, height: int | None) -> Screen | Text:
        """The scope at a height."""
        if self.picture is None:
            which = f"of scope {self.scope!r} " if self.scope else ""
            return Text(self.note or f"nothing was heard {which}yet: waiting for events   (q ends)")
        at = self.names.index(self.picture.scope) + 1 if self.picture.scope in self.names else 1
        return Screen(self.picture, position=(at, max(len(self.names), 1)), height=height, note=self.note)


def watch(view: View, console: Console) -> None:
    """Draw until a key, Ctrl-C or SIGTERM ends it; the terminal is then as it was."""
    with suppress(KeyboardInterrupt), keyboard() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(view.screen(console.height), refresh=True)
            key = keys.wait(EVERY_S)
            if key in ENDS:
                return
            if key in STEPS:
                view.step(STEPS[key])
            elif key is None:
                view.look()


class Keys:
    """Keys of a terminal, one at a time; a change of its size ends a wait, too."""

    def __init__(self, terminal: int, woken: int) -> None:
        self._terminal = terminal
        self._woken = woken

    def wait(self, seconds: float) -> bytes | None:
        """The key that was pressed; nothing where the size changed, None where the time was up."""
        ready, _, _ = select.select([self._terminal, self._woken], [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, 512)
            return b""
        if self._terminal in ready:
            return os.read(self._terminal, 16) or ENDS[0]
        return None


@contextmanager
def keyboard() -> Iterator[Keys]:
    """The keys of standard input without their echo; what was set is set again at the end."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signals: dict[int, Any] = {signal.SIGWINCH: lambda *_: None, signal.SIGTERM: signal.default_int_handler}
    previous = {number: signal.signal(number, handler) for number, handler in signals.items()}
    woke = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        tty.setcbreak(terminal)
        yield Keys(terminal, woken)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        signal.set_wakeup_fd(woke)
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(woken)
        os.close(wake)


__all__ = ["View", "watch"]
