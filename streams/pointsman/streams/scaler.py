"""`pointsman scaler`: the advice of a database, a broker or an outputs file, for KEDA over gRPC and for Prometheus."""

import asyncio
import re
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any, Protocol

from pointsman.schemas import Event, ForecastIssued, ModelsReported, ScalingRecommended, ScalingScored
from pointsman.schemas.settings import KafkaSettings

from .places import Lines, chosen, source

KINDS = (ScalingRecommended, ScalingScored, ForecastIssued, ModelsReported)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


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


def relevant(line: bytes) -> Event | None:
    """The event of a line, where it is of a kind that scaling needs."""
    return chosen(line, KINDS)


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
    lines, is_live = source(place, KINDS, settings, away="Answering with what is known until it is stale, trying again")
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

        await until_stopped(_pump(lines, sinks, ready))


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


async def until_stopped(work: Any) -> None:
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


__all__ = ["ScalerError", "seconds", "serve", "until_stopped"]
