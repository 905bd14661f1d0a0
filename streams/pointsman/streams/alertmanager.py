"""`pointsman alertmanager`: the alerts of a database, a broker or a server, told to one or more Alertmanagers."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from pointsman.schemas import AlertRaised, AlertResolved, IncidentOpened, IncidentResolved, IncidentUpdated
from pointsman.schemas.settings import Settings

from .places import Lines, chosen, source
from .scaler import until_stopped

if TYPE_CHECKING:
    from pointsman.sinks.alertmanager import AlertmanagerSink

KINDS = (AlertRaised, AlertResolved, IncidentOpened, IncidentUpdated, IncidentResolved)


class AlertmanagerError(ValueError):
    """Alerts cannot be told as asked; the message says what to change."""


async def tell(place: str, settings: Settings, *, say: Callable[[str], object]) -> None:
    """Tell until SIGTERM or SIGINT; `say` is told how many alerts stand once what is there is read."""
    if not settings.alertmanager.urls:
        raise AlertmanagerError("no Alertmanager is named: give --url http://host:9093, or alertmanager.urls in the settings")
    try:
        from pointsman.sinks.alertmanager import AlertmanagerSink
    except ModuleNotFoundError as error:
        raise AlertmanagerError(f"{error.name} is not installed: pip install 'pointsman[alertmanager]'") from None
    token = settings.token.get_secret_value() if settings.token is not None else None
    lines, _ = source(place, KINDS, settings.kafka, away="Alerts that stand are told on, trying again", token=token)
    sink = AlertmanagerSink(settings.alertmanager)

    async def work() -> None:
        async with aclosing(lines):
            tasks = {asyncio.create_task(_pump(lines, sink, say)), asyncio.create_task(sink.run())}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    await until_stopped(work())


async def _pump(lines: Lines, sink: "AlertmanagerSink", say: Callable[[str], object]) -> None:
    is_ready = False
    async for line in lines:
        if line is not None:
            if (event := chosen(line, KINDS)) is not None:
                sink.add(event)
        elif not is_ready:
            is_ready = True
            say(f"{len(sink)} alerts stand; told to {', '.join(target.url for target in sink.targets)}")
            sink.ready()


__all__ = ["AlertmanagerError", "tell"]
