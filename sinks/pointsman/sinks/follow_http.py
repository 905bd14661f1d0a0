"""Following the outputs of a `pointsman serve` by its server-sent events, through absences of the server."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import httpx

from .backoff import backoff
from .server_sent import Message, Messages

BEGINNING = "0"
SHORTEST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
SILENCE_S = 60.0  # the server says something every 15 s unless told otherwise
CONNECT_S = 10.0
_REFUSED = {
    401: "the token is missing or wrong: set POINTSMAN_TOKEN to the server's",
    404: "there is no /v1/stream: give the address of a pointsman serve",
    422: "it does not know these output types: is it another version?",
}
log = logging.getLogger(__name__)


class StreamRefused(ValueError):
    """The server does not serve this client, and waiting mends nothing; the message says what to change."""


async def follow_http(url: str, kinds: Sequence[str], *, token: str | None, consequence: str) -> AsyncGenerator[bytes | None, None]:
    """Outputs of these types, from the oldest that the server repeats, as they come; None once those that stood there are through.

    Where the server has been away, it goes on after the last one; where that is no longer possible, it begins anew, so that outputs come twice.
    `consequence` is logged while the server is away. Raises `StreamRefused`.
    """
    failures = 0
    last: str | None = None
    headers = {"authorization": f"Bearer {token}"} if token else {}
    timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, trust_env=False) as client:
        while True:
            try:
                async with aclosing(_outputs(client, kinds, last)) as messages:
                    async for message in messages:
                        if failures:
                            log.warning("%s answers", url)
                        failures, last = 0, message.last_id or last
                        if message.name == "message":
                            yield message.data
                        elif message.name == "caught up":
                            yield None
                        else:
                            log.warning("%s: %s", url, message.data.decode(errors="replace"))
                            if message.name == "lost":
                                last = None
                                break
            except httpx.HTTPError as error:
                if not failures:
                    log.warning("%s: %s: %s. %s", url, type(error).__name__, error, consequence)
                failures += 1
            await asyncio.sleep(backoff(failures, SHORTEST_PAUSE_S, LONGEST_PAUSE_S))


async def _outputs(client: httpx.AsyncClient, kinds: Sequence[str], last: str | None) -> AsyncGenerator[Message, None]:
    """What stands there (or came after `last`), a message `caught up`, then what comes."""
    if last is None:
        last = BEGINNING
        async with aclosing(_stream(client, kinds, None, is_followed=False)) as messages:
            async for message in messages:
                last = message.last_id or last
        async with aclosing(_stream(client, kinds, BEGINNING, is_followed=False)) as messages:
            async for message in messages:
                if message.name == "message" and message.data:
                    yield message
                elif message.data:
                    log.warning("%s: %s", client.base_url, message.data.decode(errors="replace"))
        yield Message("caught up", b"", last)
    async with aclosing(_stream(client, kinds, last, is_followed=True)) as messages:
        async for message in messages:
            if message.data:
                yield message


async def _stream(client: httpx.AsyncClient, kinds: Sequence[str], last: str | None, *, is_followed: bool) -> AsyncGenerator[Message, None]:
    """The events of one answer, and one without data for an id that stands alone."""
    params: dict[str, Any] = {"type": list(kinds), "follow": str(is_followed).lower()}
    headers = {"last-event-id": last} if last is not None else {}
    async with client.stream("GET", "/v1/stream", params=params, headers=headers) as answer:
        if answer.status_code in _REFUSED:
            raise StreamRefused(f"{client.base_url}: {_REFUSED[answer.status_code]}")
        answer.raise_for_status()
        messages = Messages()
        async for line in answer.aiter_lines():
            if (message := messages.line(line)) is not None:
                yield message


__all__ = ["StreamRefused", "follow_http"]
