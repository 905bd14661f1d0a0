"""Alerts and incidents of a place as a command prints them: what is there, then what comes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar

from pointsman.schemas import Event
from pointsman.schemas.settings import Settings

from .places import Kinds, PlaceError, chosen, source
from .scaler import until_stopped

PATIENCE_S = 30.0
Heard = TypeVar("Heard")


async def listen(place: str, kinds: Kinds, settings: Settings, hear: Callable[[Event, bool], object], caught_up: Callable[[], object], *, follow: bool) -> None:
    """Hand over every event of these kinds, and whether it came since; `caught_up` once, when what stood there is through. Without `follow` that is the end."""

    async def work() -> None:
        token = settings.token.get_secret_value().strip() if settings.token is not None else None
        lines, is_live = source(place, kinds, settings.kafka, away="What comes is shown once it answers", token=token)
        is_news = False
        async with aclosing(lines):
            async for line in _answered(lines, place, is_patient=follow):
                if line is not None and (event := chosen(line, kinds)) is not None:
                    hear(event, is_news)
                elif line is None and not is_news:
                    is_news = True
                    caught_up()
                    if not (follow and is_live):
                        return

    await until_stopped(work())


async def _answered(lines: AsyncIterator[Heard], place: str, *, is_patient: bool) -> AsyncIterator[Heard]:
    """The same; who does not follow is told where nothing answers, and does not wait for ever."""
    try:
        async with asyncio.timeout(None if is_patient else PATIENCE_S):
            first = await anext(lines)
    except TimeoutError:
        raise PlaceError(f"{place}: no answer within {PATIENCE_S:.0f} s: is it running there?") from None
    yield first
    async for line in lines:
        yield line


__all__ = ["listen"]
