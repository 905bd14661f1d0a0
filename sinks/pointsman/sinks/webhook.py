"""A webhook: told of incidents and alerts at least once, in order, and tried again until it has them.

Each target reads its place by itself, as fast as it takes what it is told: one that is away holds up no other, and nothing waits in memory.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from typing import cast

import httpx

from pointsman.schemas import Event, Refused, decode_output, encode
from pointsman.schemas.webhooks import WebhookSettings

from .backoff import backoff, retry_after
from .moment import moment
from .webhook_choice import Choice
from .webhook_message import KINDS, Message, Tellable, message_of
from .webhook_progress import DeadLetters, ProgressFile, Reached

SHORTEST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
_PASSING = frozenset({408, 409, 425, 429})  # any other 4xx would be refused again, and a redirection is a wrong address
log = logging.getLogger(__name__)


class Webhook:
    """One target of one place. Without earlier progress it is told what stands, and from then on everything; `from_start`: what was before, too."""

    def __init__(
        self,
        settings: WebhookSettings,
        place: str,
        progress: ProgressFile,
        letters: DeadLetters,
        *,
        from_start: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = settings.shown()
        self._settings = settings
        self._file = progress
        self._progress = progress.of(_named(settings, place))
        self._progress.is_begun |= from_start
        self._letters = letters
        self._clock = clock
        self._choice = Choice(settings)
        self._heard = Reached()
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._client = httpx.AsyncClient(timeout=settings.timeout_s, headers=headers, verify=settings.tls(), trust_env=False)
        self.told = 0
        self.refused = 0

    async def run(self, lines: AsyncGenerator[bytes | None, None], *, is_live: bool = True) -> None:
        """Tell what comes, until cancelled; what is not live, to its end."""
        async with self._client:
            await self._tell_waiting()
            async for line in lines:
                if line is not None:
                    await self._hear(line)
                elif not self._progress.is_begun:
                    await self._begin()
                if line is None and not is_live:
                    return

    async def _hear(self, line: bytes) -> None:
        event = _tellable(line)
        if event is None or self._heard.has(event):
            return
        self._heard.advance(event)
        told = self._choice.add(event)
        if not self._progress.is_begun or self._progress.reached.has(event):
            return
        for one in told:
            await self._tell(one)
        self._progress.reached.advance(event)
        if told:
            self._file.save()

    async def _begin(self) -> None:
        """What has been read is behind us, but for what stands."""
        self._progress.reached = Reached(self._heard.plain())
        self._progress.waiting = [encode(event).decode() for event in self._choice.standing()]
        self._progress.is_begun = True
        self._file.save()
        await self._tell_waiting()

    async def _tell_waiting(self) -> None:
        while self._progress.waiting:
            if (event := _tellable(self._progress.waiting[0].encode())) is not None:
                await self._tell(event)
            del self._progress.waiting[0]
            self._file.save()

    async def _tell(self, event: Tellable) -> None:
        """Post until it is taken, refused, or given up."""
        message, failures, began = message_of(event, self._settings.form), 0, time.monotonic()
        while True:
            said, wait_s = await self._post(message)
            if said is None:
                if failures:
                    log.warning("webhook %s takes it", self.name)
                self.told += 1
                return
            failures += 1
            tried_s = time.monotonic() - began
            if wait_s is None or tried_s > self._settings.give_up_s:
                self._put_aside(event, message, said)
                return
            if failures == 1:
                log.warning("webhook %s: %s. Trying again; what is to be told waits where it is kept.", self.name, said)
            await asyncio.sleep(max(wait_s, backoff(failures, SHORTEST_PAUSE_S, LONGEST_PAUSE_S)))

    async def _post(self, message: Message) -> tuple[str | None, float | None]:
        """What is wrong, if anything, and after how many seconds it may be tried again; None where that is no use."""
        headers = message.headers(self._clock(), self._settings.key())
        try:
            answer = await self._client.post(self._settings.url.get_secret_value(), content=message.body, headers=headers)
        except httpx.HTTPError as error:
            return type(error).__name__, 0.0  # its text may have the address, which may be secret
        if answer.is_success:
            return None, None
        if not answer.is_server_error and answer.status_code not in _PASSING:
            return f"it answers {answer.status_code}", None
        return f"it answers {answer.status_code}", retry_after(answer.headers.get("retry-after"), self._clock())

    def _put_aside(self, event: Tellable, message: Message, said: str) -> None:
        self.refused += 1
        letter = {"target": self.name, "id": message.id, "reason": said, "at": moment(self._clock()), "event": event.model_dump(mode="json")}
        is_kept = self._letters.add(letter)
        where = f"put aside in {self._letters.path}" if is_kept else f"dropped: {self._letters.path} is full"
        log.error("webhook %s: %s; %s of %s is %s", self.name, said, event.type, event.scope, where)


def _tellable(line: bytes) -> Tellable | None:
    """The event of a line, where it is one that can be told."""
    if not any(f'"{getattr(kind, "TYPE", "")}"'.encode() in line for kind in KINDS):
        return None
    try:
        event: Event = decode_output(line)
    except Refused:
        return None
    return cast(Tellable, event) if isinstance(event, KINDS) else None


def _named(settings: WebhookSettings, place: str) -> str:
    """One place told to one address in one form."""
    told = "\n".join((place, settings.url.get_secret_value(), settings.form))
    return f"{settings.shown()}#{hashlib.blake2b(told.encode(), digest_size=8).hexdigest()}"


__all__ = ["Webhook"]
