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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from events import stream
from serving import CONFIG, TOKEN

from pointsman.schemas import encode
from pointsman.schemas.config import Learners
from pointsman.schemas.settings import ServeSettings
from pointsman.streams import Optimizer
from pointsman.streams.serve import listen

CONNECTIONS = 8
BATCH = 100
SLICE = 100  # events of a turn; batches take 16 slices, two bodies a connection
SLICES_OF_BATCHES = 16
PATIENCE_S = 60
EMPTY, EMPTY_BATCHES = "empty endpoint, single events", "empty endpoint, batches of 100"
SINGLE, BATCHES = "POST /v1/events, single events", "POST /v1/events, batches of 100"
EMBEDDED, EMBEDDED_BATCHES = "embedded, one at a time", "embedded, 100 at a time"
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


def serve_here(database: str, learners: Learners, port: Connection) -> None:
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
    config = CONFIG.model_copy(update={"learners": learners})
    with Optimizer.open(database, config) as optimizer, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
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
        async with asyncio.timeout(PATIENCE_S):
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

    def __init__(self, folder: Path, learners: Learners) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=serve_here, args=(str(folder / f"{time.monotonic_ns()}.db"), learners, theirs), daemon=True)
        self._process.start()
        self.port: int = told(ours)
        self._usage = psutil.Process(self._process.pid)

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        ended(self._process)

    def cpu_s(self) -> float:
        """CPU seconds that it has taken."""
        times = self._usage.cpu_times()
        return float(times.user + times.system)


def told(by: Connection) -> Any:
    """What a process of ours says; raises `TimeoutError` where it says nothing for a minute."""
    if not by.poll(PATIENCE_S):
        raise TimeoutError(f"a process of the benchmark said nothing for {PATIENCE_S} s")
    return by.recv()


def ended(process: BaseProcess) -> None:
    """End a process in order, or else at once."""
    process.terminate()
    process.join(10)
    if process.is_alive():
        process.kill()
        process.join()


@dataclass(slots=True)
class Case:
    """What one way of handing in events took: the rate of each slice, CPU time in all, and every answer's time."""

    name: str
    rates: list[float] = field(default_factory=list)
    events: int = 0
    cpu_s: float = 0.0
    took: list[float] = field(default_factory=list)

    def add(self, events: int, elapsed_s: float, cpu_s: float, took: Sequence[float] = ()) -> None:
        """Take in one slice."""
        self.rates.append(events / elapsed_s)
        self.events += events
        self.cpu_s += cpu_s  # a system counts it in ticks of 10 ms: one slice says little
        self.took += took

    def row(self) -> Row:
        """The median of the slices, CPU time per event, percentiles of all answers."""
        row: Row = {"case": self.name, "events_per_s": median(self.rates), "cpu_ms": 1000.0 * self.cpu_s / self.events}
        return row | ({"p50_ms": 1000.0 * percentile(self.took, 0.5), "p99_ms": 1000.0 * percentile(self.took, 0.99)} if self.took else {})


def throughput(folder: Path, learners: Learners, blocks: int, size: int) -> list[Row]:
    """Rates, CPU time and answer times. Each block has a fresh server and a fresh optimizer; within it baseline and ours take turns, slice by slice."""
    lines = lines_of(2 * size)[: 4 * size]
    cases = {name: Case(name) for name in (EMPTY, SINGLE, EMPTY_BATCHES, BATCHES, EMBEDDED, EMBEDDED_BATCHES)}
    for block in range(blocks):
        config = CONFIG.model_copy(update={"learners": learners})
        with Served(folder, learners) as served, Optimizer.open(str(folder / f"{learners}-{block}.db"), config) as optimizer:
            asyncio.run(pressed(served.port, "/empty", lines[:SLICE]))
            for place in range(0, 2 * size, SLICE):
                single = lines[place : place + SLICE]
                for name, path in ((EMPTY, "/empty"), (SINGLE, "/v1/events")):
                    _press(cases[name], served, path, single, len(single))
                _embed(cases[EMBEDDED], optimizer, single, 1)
            for place in range(2 * size, 4 * size, SLICES_OF_BATCHES * SLICE):
                many = lines[place : place + SLICES_OF_BATCHES * SLICE]
                bodies = [b"\n".join(many[start : start + BATCH]) for start in range(0, len(many), BATCH)]
                for name, path in ((EMPTY_BATCHES, "/empty"), (BATCHES, "/v1/events")):
                    _press(cases[name], served, path, bodies, len(many))
                _embed(cases[EMBEDDED_BATCHES], optimizer, many, BATCH)
    return [{"learners": learners} | case.row() for case in cases.values()]


def _press(case: Case, served: Served, path: str, bodies: Sequence[bytes], events: int) -> None:
    before = served.cpu_s()
    elapsed, took = asyncio.run(pressed(served.port, path, bodies))
    case.add(events, elapsed, served.cpu_s() - before, took)


def _embed(case: Case, optimizer: Optimizer, lines: Sequence[bytes], size: int) -> None:
    began, before = time.perf_counter(), time.process_time()
    for place in range(0, len(lines), size):
        optimizer.record_lines(lines[place : place + size])
    case.add(len(lines), time.perf_counter() - began, time.process_time() - before)


def shares(rows: Sequence[Row]) -> list[Row]:
    """The targets: single events beside the empty endpoint, batches beside the embedded optimizer; by rate, and by the server's CPU time."""
    by_name = {row["case"]: row for row in rows}
    pairs = ((SINGLE, EMPTY), (SINGLE, EMBEDDED), (BATCHES, EMBEDDED_BATCHES))
    return [
        {
            "learners": rows[0]["learners"],
            "case": f"{ours} / {theirs}",
            "rate": by_name[ours]["events_per_s"] / by_name[theirs]["events_per_s"],
            "cpu": by_name[theirs]["cpu_ms"] / by_name[ours]["cpu_ms"],
        }
        for ours, theirs in pairs
    ]


@contextmanager
def subscribed(port: int, subscribers: int, stalled: int) -> Iterator[None]:
    """Meanwhile a process of its own reads the stream so many times."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    readers = context.Process(target=read_on, args=(theirs, subscribers, stalled), daemon=True)
    readers.start()
    try:
        ours.send(port)
        told(ours)
        yield
    finally:
        ended(readers)


def watched(folder: Path, size: int, blocks: int, per_s: float) -> list[Row]:
    """Answer times and the server's CPU at a steady rate: without subscribers, with 100, with 100 of which two have stopped reading. They take turns.

    Each block has a fresh server; of each case the median of the blocks.
    """
    found: dict[tuple[int, int], list[Row]] = {}
    lines = lines_of(3 * size)
    cases = [(0, 0), (SUBSCRIBERS, 0), (SUBSCRIBERS, STALLED)]
    for block in range(blocks):
        with Served(folder, "auto") as served:
            for turn in range(len(cases)):
                subscribers, stalled = cases[(turn + block) % len(cases)]
                with subscribed(served.port, subscribers, stalled):
                    part = lines[turn * size : (turn + 1) * size]
                    before, began = served.cpu_s(), time.perf_counter()
                    took = asyncio.run(paced(served.port, part, per_s))
                    cpu = (served.cpu_s() - before) / (time.perf_counter() - began)
                row = {"p50_ms": 1000.0 * percentile(took, 0.5), "p99_ms": 1000.0 * percentile(took, 0.99), "cpu_share": cpu}
                found.setdefault((subscribers, stalled), []).append(row)
    return [
        {"case": f"{subscribers} subscribers, {stalled} stalled", "per_s": per_s} | {name: median([row[name] for row in rows]) for name in rows[0]}
        for (subscribers, stalled), rows in sorted(found.items())
    ]


def table(rows: Sequence[Row]) -> str:
    """Rows as text, a column for each field."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([_shown(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]) for line in lines)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.3f}" if value < 1 else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="One short block of each: whether it runs, not how fast.")
    parser.add_argument("--rate", type=float, default=200.0, help="Events a second while outputs are read.")
    parser.add_argument("--blocks", type=int, default=5)
    chosen = parser.parse_args(arguments)
    blocks, size, watched_size = (1, 800, 150) if chosen.quick else (chosen.blocks, 1_600, 1_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        by_learners = [throughput(folder, learners, blocks, size) for learners in ("auto", "light")]
        watching = watched(folder, watched_size, blocks, chosen.rate)
    rows, ratios = [row for rows in by_learners for row in rows], [row for rows in by_learners for row in shares(rows)]
    print(table(rows), table(ratios), table(watching), sep="\n\n")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"throughput": rows, "shares": ratios, "subscribers": watching}, indent=2))


if __name__ == "__main__":
    main()
