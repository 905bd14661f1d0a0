"""`pointsman scaler`: the advice of a database, a broker or an outputs file, for KEDA over gRPC and for Prometheus."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from pointsman.schemas import Event, ForecastIssued, ModelsReported, Refused, ScalingRecommended, ScalingScored, decode_output
from pointsman.schemas.settings import KafkaSettings

from .journal import reading
from .recording import read_lines
from .replay import is_database
from .topics import OUTPUT_TOPICS

KINDS = (ScalingRecommended, ScalingScored, ForecastIssued, ModelsReported)
POLL_S = 1.0
BATCH = 5_000
_QUOTED = tuple(f'"{kind.TYPE}"'.encode() for kind in KINDS)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

Lines = AsyncGenerator[bytes | None, None]


class ScalerError(ValueError):
    """The scaler cannot run as asked; the message says what to change."""


class Sink(Protocol):
    """What takes events in."""

    def add(self, event: Event) -> None:
        """Take in one output event."""


def seconds(text: str) -> float:
    """A duration as `90s`, `15m`, `2h` or `1d`.

    >>> seconds("15m")
    900.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if found is None or float(found[1]) == 0.0:
        raise ScalerError(f"{text}: write a duration as 90s, 15m, 2h or 1d")
    return float(found[1]) * _SECONDS[found[2]]


def source(place: str, settings: KafkaSettings) -> tuple[Lines, bool]:
    """Output lines from a place, with None once what stood there is through, and whether the place is live."""
    if place.startswith("kafka://"):
        from pointsman.sinks.follow import follow

        address = urlsplit(place).netloc
        reached = settings.model_copy(update={"bootstrap_servers": address}) if address else settings
        topics = tuple(dict.fromkeys(OUTPUT_TOPICS[kind.TYPE] for kind in KINDS))
        return follow(reached, topics, "Answering with what is known until it is stale, trying again"), True
    path = Path(place)
    if not path.is_file():
        raise ScalerError(f"{place}: no such file; give the database of an embedded optimizer, the outputs of a replay, or kafka://host:port")
    return (_database(path), True) if is_database(path) else (_file(path), False)


async def _database(path: Path) -> Lines:
    """The outputs of an embedded optimizer as they come; the database is only read, and may be written meanwhile."""
    after = 0
    while True:
        rows = await asyncio.to_thread(_rows, path, after)
        for _, line in rows:
            yield line
        after = rows[-1][0] if rows else after
        if len(rows) < BATCH:
            yield None
            await asyncio.sleep(POLL_S)


def _rows(path: Path, after: int) -> list[tuple[int, bytes]]:
    with reading(path) as connection:
        return list(connection.execute("SELECT number, line FROM outputs WHERE number > ? ORDER BY number LIMIT ?", (after, BATCH)))


async def _file(path: Path) -> Lines:
    """The lines of an outputs file, then nothing more for ever."""
    for number, line in read_lines(path):
        yield line
        if number % 1000 == 0:
            await asyncio.sleep(0)
    yield None
    await asyncio.Event().wait()


def relevant(line: bytes) -> Event | None:
    """The event of a line, where it is of a kind that scaling needs."""
    if not any(kind in line for kind in _QUOTED):
        return None
    try:
        event = decode_output(line)
    except Refused:
        return None
    return event if isinstance(event, KINDS) else None


async def serve(
    place: str,
    settings: KafkaSettings,
    *,
    say: Callable[[str], object],
    host: str = "127.0.0.1",
    port: int = 6000,
    metrics_port: int | None = None,
    stale_s: float = 900.0,
) -> None:
    """Serve until SIGTERM or SIGINT; `say` is told the addresses, and what is served once it is read."""
    lines, is_live = source(place, settings)
    ScalerServer, Standing = _keda()
    standing = Standing(stale_s, time.time if is_live else None)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(aclosing(lines))
        server = await stack.enter_async_context(ScalerServer(standing, host=host, port=port))
        sinks: list[Sink] = [standing]
        said = f"KEDA scaler on {host}:{server.port}"
        if metrics_port is not None:
            Gauges, MetricsServer = _prometheus()
            sinks.append(gauges := Gauges())
            metrics = stack.enter_context(MetricsServer(gauges.registry, host=host, port=metrics_port))
            said += f", metrics on http://{host}:{metrics.port}/metrics"
        say(said)

        async def ready() -> None:
            await server.ready()
            say(standing.listed())

        await _until_stopped(_pump(lines, sinks, ready))


async def _pump(lines: Lines, sinks: list[Sink], ready: Callable[[], Any]) -> None:
    is_ready = False
    async for line in lines:
        if line is not None:
            if (event := relevant(line)) is not None:
                for sink in sinks:
                    sink.add(event)
        elif not is_ready:
            is_ready = True
            await ready()


async def _until_stopped(work: Any) -> None:
    """Run until a signal asks to stop; raises what the work dies of."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def _keda() -> tuple[Any, Any]:
    try:
        from pointsman.sinks.keda import ScalerServer
        from pointsman.sinks.standing import Standing
    except ModuleNotFoundError as error:
        raise ScalerError(f"{error.name} is not installed: pip install 'pointsman[keda]'") from None
    return ScalerServer, Standing


def _prometheus() -> tuple[Any, Any]:
    try:
        from pointsman.sinks.prometheus import Gauges, MetricsServer
    except ModuleNotFoundError as error:
        raise ScalerError(f"{error.name} is not installed: pip install 'pointsman[prometheus]'") from None
    return Gauges, MetricsServer


__all__ = ["ScalerError", "seconds", "serve"]
