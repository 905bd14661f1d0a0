"""A real Alertmanager on loopback, what its API says, and what it notifies of."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

import httpx
from programs import program

from pointsman.schemas import AlertRaised, AlertResolved

PATIENCE_S = 30.0
NOW = time.time()


def alert(kind: type[AlertRaised] | type[AlertResolved], sequence: int, at: float = 0.0, **fields: Any) -> Any:
    """The CPU of `gpu-1` beyond its bound, or back within it, `at` seconds after this test began."""
    given = {"fingerprint": "gpu-1/cpu_percent", "kind": "constraint", "severity": "warning", "subject": "gpu-1", "observed": 95.0, "expected": 80.0}
    scope = fields.pop("scope", "chat")
    envelope = {"event_id": f"{scope}/{sequence}/0", "scope": scope, "occurred_at": NOW + at, "caused_by": "e", "since": NOW - 60.0}
    return kind.model_validate(envelope | given | fields)


def raised(sequence: int, at: float = 0.0, **fields: Any) -> AlertRaised:
    """It is raised."""
    found: AlertRaised = alert(AlertRaised, sequence, at, **fields)
    return found


def resolved(sequence: int, at: float = 0.0, **fields: Any) -> AlertResolved:
    """It is resolved."""
    found: AlertResolved = alert(AlertResolved, sequence, at, **fields)
    return found


def until(found: Callable[[], Any]) -> Any:
    """What is found, as soon as there is something; fails after half a minute."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if something := found():
            return something
        time.sleep(0.05)
    raise AssertionError(f"nothing came within {PATIENCE_S:.0f} s")


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Alertmanager:
    """One Alertmanager that may go away and come back at the same address."""

    def __init__(self, folder: Path, receiver: str, web: str | None = None) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        self._web = web
        folder.mkdir(parents=True, exist_ok=True)
        route = {"receiver": "tests", "group_by": ["..."], "group_wait": "0s", "group_interval": "100ms", "repeat_interval": "1h"}
        receivers = [{"name": "tests", "webhook_configs": [{"url": receiver, "send_resolved": True}]}]
        (folder / "alertmanager.yml").write_text(json.dumps({"route": route, "receivers": receivers}))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run, and wait until it answers."""
        command = [
            program("prometheus-alertmanager", ["prometheus-alertmanager"]),
            f"--config.file={self._folder / 'alertmanager.yml'}",
            f"--storage.path={self._folder}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--cluster.listen-address=",
            *([f"--web.config.file={self._web}"] if self._web else []),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.is_up)

    def stop(self) -> None:
        """Go away."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def is_up(self) -> bool:
        """Whether it answers at all."""
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5).status_code in (200, 401)
        except httpx.HTTPError:
            return False

    def alerts(self, **params: Any) -> list[dict[str, Any]]:
        """The alerts that stand, as its API has them."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/alerts", params=params, timeout=5).raise_for_status().json()
        return found

    def silence(self, scope: str) -> str:
        """Silence a scope for an hour."""
        now = time.time()
        moments = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (now - 60, now + 3600)]
        matchers = [{"name": "scope", "value": scope, "isRegex": False, "isEqual": True}]
        asked = {"matchers": matchers, "startsAt": moments[0], "endsAt": moments[1], "createdBy": "tests", "comment": "quiet"}
        return str(httpx.post(f"{self.url}/api/v2/silences", json=asked, timeout=5).raise_for_status().json()["silenceID"])


class Receiver:
    """Where notifications go: each alert of each one, in order."""

    def __init__(self) -> None:
        self.notified: list[dict[str, Any]] = []
        notified = self.notified

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                notified.extend(json.loads(self.rfile.read(int(self.headers["content-length"])))["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                del format, args
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def of(self, status: str) -> list[dict[str, Any]]:
        """The notifications that say `firing`, or `resolved`."""
        return [alert for alert in self.notified if alert["status"] == status]

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def alertmanager(folder: Path, web: str | None = None) -> Iterator[tuple[Alertmanager, Receiver]]:
    """A running Alertmanager, and what it notifies."""
    receiver = Receiver()
    manager = Alertmanager(folder, receiver.url, web)
    try:
        manager.start()
        yield manager, receiver
    finally:
        manager.stop()
        receiver.close()


@contextmanager
def telling(place: object, *arguments: object, token: str | None = None) -> Iterator[IO[str]]:
    """A `pointsman alertmanager` as a process, which has read what stands there; what it says from then on. It is asked to stop, and does."""
    command = [sys.executable, "-m", "pointsman.streams.cli", "alertmanager", str(place), *map(str, arguments), "--set", "alertmanager.resend_s=0.5"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | ({"POINTSMAN_TOKEN": token} if token else {})
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout is not None
        assert "alerts stand" in process.stdout.readline()
        yield process.stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


__all__ = ["NOW", "Alertmanager", "Receiver", "alertmanager", "free_port", "raised", "resolved", "telling", "until"]
