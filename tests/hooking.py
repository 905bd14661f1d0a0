"""Receivers of webhooks on loopback that answer as told, and `pointsman webhook` as a process."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from alertmanaging import PATIENCE_S

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Call(NamedTuple):
    """One post: its headers, its bytes, when it came (monotonic seconds), and what was answered."""

    headers: dict[str, str]
    body: bytes
    at: float
    status: int

    @property
    def id(self) -> str:
        """The idempotency key."""
        return self.headers["webhook-id"]

    @property
    def said(self) -> dict[str, Any]:
        """The body."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Hook:
    """A receiver: answers with the statuses given, one after the other, then 200; `held` holds every answer back until it is set."""

    def __init__(self, answers: Iterable[int] = (), headers: dict[str, str] | None = None, port: int = 0) -> None:
        self.calls: list[Call] = []
        self.held = threading.Event()
        self.held.set()
        waiting, hook = list(answers), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = waiting.pop(0) if waiting else 200
                hook.calls.append(Call({name.lower(): value for name, value in self.headers.items()}, body, time.monotonic(), status))
                hook.held.wait(PATIENCE_S)
                self.send_response(status)
                for name, value in (headers or {}).items() if status != 200 else ():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                del format, args
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks/T0/secret-path"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def taken(self) -> list[dict[str, Any]]:
        """What was answered with 200, each id once, in the order of its first coming."""
        return list({call.id: call.said for call in self.calls if call.status == 200}.values())

    def close(self) -> None:
        """Listen no longer."""
        self.held.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def hook(answers: Iterable[int] = (), headers: dict[str, str] | None = None) -> Iterator[Hook]:
    """A receiver that listens."""
    found = Hook(answers, headers)
    try:
        yield found
    finally:
        found.close()


def command(place: object, targets: list[dict[str, Any]], *arguments: object) -> tuple[list[str], dict[str, str]]:
    """The command line of `pointsman webhook`, and its environment with the targets."""
    words = [sys.executable, "-m", "pointsman.streams.cli", "webhook", str(place), *map(str, arguments)]
    path = os.pathsep.join(os.path.abspath(one) for one in sys.path)
    return words, os.environ | {"PYTHONPATH": path, "POINTSMAN_WEBHOOKS": json.dumps(targets)}


def start(place: object, targets: list[dict[str, Any]], *arguments: object, **more: str) -> "subprocess.Popen[str]":
    """A `pointsman webhook` that runs."""
    words, env = command(place, targets, *arguments)
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env | more)


@contextmanager
def telling(place: object, targets: list[dict[str, Any]], *arguments: object, **more: str) -> Iterator[Callable[[], str]]:
    """A `pointsman webhook` that runs meanwhile, is asked to stop and does; then what is given says all that it said."""
    process = start(place, targets, *arguments, **more)
    said: list[str] = []
    try:
        yield lambda: "".join(said)
        process.send_signal(signal.SIGTERM)
        said.extend(process.communicate(timeout=20))
        assert process.returncode == 0, said
    finally:
        process.kill()
        process.wait()


def whole(place: object, targets: list[dict[str, Any]], *arguments: object) -> "subprocess.CompletedProcess[str]":
    """A `pointsman webhook` that ends by itself."""
    words, env = command(place, targets, *arguments)
    return subprocess.run(words, capture_output=True, text=True, check=False, env=env, timeout=60)


__all__ = ["SECRET", "Call", "Hook", "command", "hook", "start", "telling", "whole"]
