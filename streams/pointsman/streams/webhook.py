"""`pointsman webhook`: incidents and alerts of a database, a file of outputs, a broker or a server, told to webhooks."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.schemas.settings import Settings, WebhookSettings

from .places import source
from .scaler import until_stopped

if TYPE_CHECKING:
    from pointsman.sinks.webhook import Webhook

BESIDE = "pointsman"


class WebhookError(ValueError):
    """Nothing can be told as asked; the message says what to change."""


async def tell(place: str, settings: Settings, *, state: Path | None, from_start: bool, say: Callable[[str], object]) -> None:
    """Tell every target until SIGTERM or SIGINT; a file of outputs is told whole, and that is the end."""
    if not settings.webhooks:
        raise WebhookError("no target is named: give --url https://host/path, or [[webhooks]] in the settings")
    try:
        from pointsman.sinks.webhook import Webhook
        from pointsman.sinks.webhook_message import KINDS
        from pointsman.sinks.webhook_progress import DeadLetters, ProgressFile
    except ModuleNotFoundError as error:
        raise WebhookError(f"{error.name} is not installed: pip install 'pointsman[alertmanager]'") from None
    token = settings.token.get_secret_value() if settings.token is not None else None
    away = "What is to be told waits there; trying again"
    async with AsyncExitStack() as stack:
        sources = [source(place, KINDS, settings.kafka, away=away, token=token) for _ in settings.webhooks]
        is_live = sources[0][1]
        beside = state or _beside(place)
        progress = ProgressFile(beside if is_live or state is not None else None)
        letters = DeadLetters(beside.with_suffix(".rejected.jsonl"))
        targets = [Webhook(one, place, progress, letters, from_start=from_start or not is_live) for one in settings.webhooks]
        lines = [await stack.enter_async_context(aclosing(found)) for found, _ in sources]
        say(f"incidents and alerts are told to {', '.join(target.name for target in targets)}")

        async def work() -> None:
            async with asyncio.TaskGroup() as tasks:
                for target, found in zip(targets, lines, strict=True):
                    tasks.create_task(target.run(found, is_live=is_live))

        try:
            await until_stopped(_plain(work))
        finally:
            say("; ".join(map(_summary, targets)))


async def _plain(work: Callable[[], Awaitable[None]]) -> None:
    """What a target dies of, without the group around it."""
    try:
        await work()
    except* Exception as group:
        raise group.exceptions[0] from None


def _beside(place: str) -> Path:
    """Where the state is unless told: beside a file, else in the working directory."""
    return Path(f"{BESIDE}.webhooks.json" if "://" in place else f"{place}.webhooks.json")


def _summary(target: "Webhook") -> str:
    return f"{target.name}: {target.told} told, {target.refused} put aside"


def with_urls(settings: Settings, urls: tuple[str, ...], form: str | None) -> Settings:
    """The settings with targets of the command line beside theirs; raises `WebhookError`."""
    from pydantic import ValidationError

    try:
        named = tuple(WebhookSettings.model_validate({"url": url, "form": form or "json"}) for url in urls)
    except ValidationError as error:
        raise WebhookError("--url: " + error.errors(include_input=False, include_url=False)[0]["msg"].removeprefix("Value error, ")) from None
    return settings.model_copy(update={"webhooks": (*settings.webhooks, *named)})


__all__ = ["WebhookError", "tell", "with_urls"]
