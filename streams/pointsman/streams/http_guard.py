"""Who may ask, how much and how fast: the ring of ASGI around the API. A refusal is a `Reason` as JSON, like every error answer here."""

import asyncio
import hmac
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pointsman.schemas import Reason
from pointsman.sinks import page

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PAGE = page.paths()
OPEN = frozenset({"/health", "/ready"}) | PAGE
PRIVATE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
DRAINED_BYTES = 64_000_000
DRAINED_S = 5.0


class Problem(Exception):
    """An answer other than success: its status, a code for programs, a sentence for people, and headers."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = Reason(code=code, message=message[:2000])
        self.headers = headers or {}


class Bucket:
    """A token bucket: `per_s` a second in the long run, `burst` at once.

    >>> now = [0.0]; bucket = Bucket(10.0, 20.0, lambda: now[0])
    >>> bucket.take(20), bucket.take(5)
    (0.0, 0.5)
    """

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._level, self._at = burst, clock()

    def take(self, amount: float) -> float:
        """Take so many and return 0.0, or take nothing and return the seconds until there are enough; more than a burst waits for a full bucket."""
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._at) * self._per_s)
        self._at = now
        needed = min(amount, self._burst)
        if self._level < needed:
            return (needed - self._level) / self._per_s
        self._level -= amount
        return 0.0


def too_fast(wait_s: float) -> Problem:
    """429, with the whole seconds after which there will be room."""
    after = max(1, math.ceil(wait_s))
    return Problem(429, "too_fast", f"too many at once: try again in {after} s", {"retry-after": str(after)})


class Guard:
    """Lets through what carries the token while there is room; `open_paths` need none. No cache keeps an answer, but for the page's files."""

    def __init__(self, app: App, token: str, open_paths: frozenset[str] = OPEN) -> None:
        self._app = app
        self._expected = token.encode()
        self._open = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401, or 503 where there are too many connections."""
        if scope["type"] != "http" or scope["path"] in PAGE:
            await self._app(scope, receive, send)
            return

        async def private(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *PRIVATE]
            await send(message)

        is_open = scope["path"] in self._open
        if not is_open and scope.get("pointsman.crowded"):
            said = "there are too many connections: close those that are idle, and try again in a moment"
            await answer(private, Problem(503, "too_many_connections", said, {"retry-after": "1", "connection": "close"}))
        elif is_open or self._has_token(scope):
            await self._app(scope, receive, private)
        else:
            said = "give the token as `Authorization: Bearer TOKEN`; the server showed it when it started, or was given it in POINTSMAN_TOKEN"
            await answer(private, Problem(401, "wrong_token", said, {"www-authenticate": "Bearer"}))

    def _has_token(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = given.partition(b" ")
        return hmac.compare_digest(token.strip(), self._expected) and scheme.lower() == b"bearer"


async def answer(send: Send, problem: Problem) -> None:
    """Send an error answer."""
    body = problem.reason.model_dump_json().encode()
    named = {"content-type": "application/json", "content-length": str(len(body))} | problem.headers
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_body(scope: Scope, receive: Receive, most: int, within_s: float) -> bytes:
    """The body, at most so long; raises `Problem` 413 for a longer one and 408 for one that does not come in time."""
    try:
        async with asyncio.timeout(within_s):
            return await _read(scope, receive, most)
    except TimeoutError:
        raise Problem(408, "too_slow", f"the body did not come within {within_s:g} s", {"connection": "close"}) from None


async def _read(scope: Scope, receive: Receive, most: int) -> bytes:
    announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    pieces, size = [], 0
    if int(announced or b"0") <= most:
        while True:
            message = await receive()
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if not message.get("more_body", False):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if size > most:
                break
    await _drain(receive)
    raise Problem(413, "too_large", f"a body has at most {most} bytes: send smaller batches", {"connection": "close"})


async def _drain(receive: Receive) -> None:
    """Read on for a moment and keep nothing: a client that is still sending would not see the answer."""
    size = 0
    try:
        async with asyncio.timeout(DRAINED_S):
            while size < DRAINED_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


__all__ = ["OPEN", "App", "Bucket", "Guard", "Problem", "Receive", "Scope", "Send", "answer", "read_body", "too_fast"]
