"""Events a second and answer times through `pointsman serve`, beside an empty endpoint of the same server and the embedded optimizer.

Server and client are two processes on one machine. `PYTHONPATH=tests python -m benchmarks.serve [--json FILE] [--quick]` prints the table.
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from events import stream
from serving import CONFIG, TOKEN

from pointsman.schemas import encode
from pointsman.schemas.settings import ServeSettings
from pointsman.streams import Optimizer
from pointsman.streams.serve import listen

CONNECTIONS = 8
BATCH = 100
SUBSCRIBERS = 100
STALLED = 2
Row = dict[str, Any]


def lines_of(requests: int, seed: int = 1) -> list[bytes]:
    """A stream of everything that is normal, as JSON."""
    return [encode(event) for event in stream(seed, requests)]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them do not exceed.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5)
    2.0
    """
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, int(share * len(ordered) + 0.5) - 1))]


def serve_here(database: str, port: Connection) -> None:
    """The server's process: `pointsman serve` with one more route, which reads a body and answers `{}`."""
    import uvloop
    from fastapi import Request
    from starlette.responses import Response

    from pointsman.streams import http_api
    from pointsman.streams.http_guard import read_body
    from pointsman.streams.serve import serve

    plain = http_api.create_app

    def create_app(api: http_api.Api) -> Any:
        app = plain(api)

        async def empty(request: Request) -> Response:
            await read_body(request.scope, request.receive, 1_000_000, 30.0)
            return Response(b"{}", media_type="application/json")

        app.add_api_route("/empty", empty, methods=["POST"], response_model=None)
        return app

    http_api.create_app = create_app
    listening = listen("127.0.0.1", 0)
    with Optimizer.open(database, CONFIG) as optimizer, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        port.send(listening.getsockname()[1])
        runner.run(serve(optimizer, ServeSettings(events_per_s=1e7, burst=1e7), TOKEN, listening))


class Client:
    """One connection that is kept; as little as HTTP/1.1 needs, so that the client's own time does not count for much."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def post(self, path: str, body: bytes, kind: str = "application/x-ndjson") -> float:
        """Post and read the answer; the seconds that it took. Raises `RuntimeError` for anything but 200."""
        head = f"POST {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        began = time.perf_counter()
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0])
        said = await self._reader.readexactly(length)
        if b" 200 " not in answer[:16]:
            raise RuntimeError(said.decode())
        return time.perf_counter() - began


async def connect(port: int) -> Client:
    """A new connection."""
    return Client(*await asyncio.open_connection("127.0.0.1", port))


async def pressed(port: int, path: str, bodies: Sequence[bytes]) -> tuple[float, list[float]]:
    """Post bodies on 8 connections as fast as they are answered: how long that took, and each one."""
    waiting, took = iter(bodies), list[float]()

    async def work() -> None:
        client = await connect(port)
        for body in waiting:
            took.append(await client.post(path, body))

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return time.perf_counter() - began, took


async def paced(port: int, bodies: Sequence[bytes], per_s: float) -> list[float]:
    """Post bodies at a steady rate, whatever the answers do: how long each took from when it was due."""
    free: asyncio.Queue[Client] = asyncio.Queue()
    for _ in range(32):
        free.put_nowait(await connect(port))
    took: list[float] = []

    async def one(body: bytes, due: float) -> None:
        client = await free.get()
        await client.post("/v1/events", body)
        free.put_nowait(client)
        took.append(time.perf_counter() - due)

    began, tasks = time.perf_counter(), []
    for number, body in enumerate(bodies):
        due = began + number / per_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(body, due)))
    await asyncio.gather(*tasks)
    return took


def subscribe(port: int) -> socket.socket:
    """A subscriber's connection, with the request sent."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"GET /v1/stream HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode())
    return connection


def read_on(ports: Connection, count: int, stalled: int) -> None:
    """The subscribers' process: all read, but for the stalled ones, which never do."""
    port = ports.recv()
    connections = [subscribe(port) for _ in range(count)]
    ports.send("subscribed")

    async def drain(connection: socket.socket) -> None:
        reader, _ = await asyncio.open_connection(sock=connection)
        while await reader.read(1 << 20):
            pass

    async def all_of_them() -> None:
        await asyncio.gather(*(drain(connection) for connection in connections[stalled:]), return_exceptions=True)

    asyncio.run(all_of_them())


class Served:
    """A server's process with a fresh database."""

    def __init__(self, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=serve_here, args=(str(folder / f"{time.monotonic_ns()}.db"), theirs), daemon=True)
        self._process.start()
        self.port: int = ours.recv()

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join(30)


def embedded(folder: Path, lines: Sequence[bytes], size: int) -> float:
    """Events a second that `Optimizer.record_lines` takes in this process, so many at a time."""
    with Optimizer.open(str(folder / f"embedded-{size}.db"), CONFIG) as optimizer:
        began = time.perf_counter()
        for place in range(0, len(lines), size):
            optimizer.record_lines(lines[place : place + size])
        return len(lines) / (time.perf_counter() - began)


def throughput(folder: Path, requests: int, rounds: int) -> list[Row]:
    """Rates and answer times: the best of some rounds, which take turns."""
    lines = lines_of(requests)
    batches = [b"\n".join(lines[place : place + BATCH]) for place in range(0, len(lines), BATCH)]
    cases: list[tuple[str, str, list[bytes], int]] = [
        ("empty endpoint, single events", "/empty", lines, len(lines)),
        ("POST /v1/events, single events", "/v1/events", lines, len(lines)),
        ("empty endpoint, batches of 100", "/empty", batches, len(lines)),
        ("POST /v1/events, batches of 100", "/v1/events", batches, len(lines)),
    ]
    best: dict[str, Row] = {}
    for turn in range(rounds):
        for name, path, bodies, count in cases:
            with Served(folder) as served:
                asyncio.run(pressed(served.port, "/empty", lines[:200]))
                elapsed, took = asyncio.run(pressed(served.port, path, bodies))
            row = {"case": name, "events_per_s": count / elapsed, "p50_ms": 1000.0 * percentile(took, 0.5), "p99_ms": 1000.0 * percentile(took, 0.99)}
            best[name] = max(row, best.get(name, row), key=lambda one: float(one["events_per_s"]))
        for size in (1, BATCH):
            name = f"embedded, {size} at a time"
            row = {"case": name, "events_per_s": embedded(folder / str(turn), lines, size)}
            best[name] = max(row, best.get(name, row), key=lambda one: float(one["events_per_s"]))
    return list(best.values())


async def under_watch(folder: Path, lines: Sequence[bytes], per_s: float, subscribers: int, stalled: int) -> Row:
    """Answer times at a steady rate while outputs are read."""
    context = multiprocessing.get_context("spawn")
    async with AsyncExitStack() as stack:
        served = stack.enter_context(Served(folder))
        ours, theirs = context.Pipe()
        readers = context.Process(target=read_on, args=(theirs, subscribers, stalled), daemon=True)
        readers.start()
        stack.callback(readers.join, 30)
        stack.callback(readers.terminate)
        ours.send(served.port)
        await asyncio.to_thread(ours.recv)
        await paced(served.port, lines[:200], per_s)
        took = await paced(served.port, lines[200:], per_s)
    name = f"{subscribers} subscribers, {stalled} stalled"
    return {"case": name, "per_s": per_s, "p50_ms": 1000.0 * percentile(took, 0.5), "p99_ms": 1000.0 * percentile(took, 0.99)}


def watched(folder: Path, requests: int, rounds: int, per_s: float) -> list[Row]:
    """Without subscribers, with 100, and with 100 of which two have stopped reading: the median p99 of some rounds, which take turns."""
    lines = lines_of(requests)
    found: dict[str, list[Row]] = {}
    for _ in range(rounds):
        for subscribers, stalled in ((0, 0), (SUBSCRIBERS, 0), (SUBSCRIBERS, STALLED)):
            row = asyncio.run(under_watch(folder, lines, per_s, subscribers, stalled))
            found.setdefault(row["case"], []).append(row)
    return [sorted(rows, key=lambda row: float(row["p99_ms"]))[len(rows) // 2] for rows in found.values()]


def table(rows: Sequence[Row]) -> str:
    """Rows as text, a column for each field."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([_shown(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]) for line in lines)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="A tenth of it: whether it runs, not how fast.")
    parser.add_argument("--rate", type=float, default=200.0, help="Events a second while outputs are read.")
    chosen = parser.parse_args(arguments)
    requests, rounds = (60, 1) if chosen.quick else (1_000, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for turn in range(rounds):
            (folder / str(turn)).mkdir()
        rows = throughput(folder, requests, rounds)
        watching = watched(folder, requests + 100, rounds, chosen.rate)
    print(table(rows), table(watching), sep="\n\n")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"throughput": rows, "subscribers": watching}, indent=2))


if __name__ == "__main__":
    main()
