"""Where a gateway's reports go, and from where its policy comes: an embedded database, a broker, or a server over HTTP."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from importlib import import_module
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode, urlsplit

from pointsman.schemas import AnyInput, Event, encode
from pointsman.schemas.settings import KafkaSettings, Settings, SettingsError
from pointsman.sinks.router_view import RouterView, View
from pointsman.sinks.server_sent import Messages

if TYPE_CHECKING:
    from .emitted import Emitted

log = logging.getLogger(__name__)
REQUEST_S = 5.0
SILENCE_S = 45.0  # the server sends a comment every 15 s
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
PAUSE_S = 0.0005
HURRY = 64
REMEMBERED = 5_000
_NEEDED = {"http": (), "https": (), "kafka": ("aiokafka", "pointsman.streams.producer")}


class PlaceAway(Exception):
    """The place cannot be reached, or takes nothing now: try the same events again later."""


class Place(Protocol):
    """Takes events, and keeps a view of the policy; `rejected` counts what it refused for good, `dropped` what it could not keep."""

    view: View
    rejected: int

    @property
    def dropped(self) -> int:
        """How many events it took and could not hand on."""
        return 0

    def send(self, events: Sequence[AnyInput]) -> None:
        """Hand these over, or raise `PlaceAway`; sent twice they count once."""

    def close(self, timeout_s: float) -> None:
        """Hand on what it holds, for at most this long, and let go of it."""


class EmbeddedPlace(Place):
    """An optimizer on a database in this process. Its fold shares the interpreter: one event at a time, with a pause, so that calls get their turn."""

    def __init__(self, path: str, settings: Settings) -> None:
        from .embedded import Optimizer

        self.rejected = 0
        self.view = View()
        self._optimizer = Optimizer.open(path, settings.optimization())
        for scope in self._optimizer.scopes():
            if (policy := self._optimizer.policy(scope)) is not None:
                self.view.hear(policy)
        self._optimizer.witness(self.view.hear, REMEMBERED)
        self._optimizer.follow(self._count)

    def send(self, events: Sequence[AnyInput]) -> None:
        """Fold these; a burst is folded in one transaction."""
        if len(events) > HURRY:
            self._optimizer.record_many(events)
            return
        for event in events:
            self._optimizer.record_many((event,))
            time.sleep(PAUSE_S)

    def close(self, timeout_s: float) -> None:
        """Leave a snapshot and close the database."""
        self._optimizer.close()

    def _count(self, end: "Emitted", heard: Sequence[tuple[Event, bytes]]) -> None:
        del end
        self.rejected += sum(event.TYPE == "event.rejected/1" for event, _ in heard)


class HttpPlace(Place):
    """A `pointsman serve`: events are posted, the policy is followed by server-sent events on a thread of its own.

    By the standard library's client: a request takes the interpreter from the calls for a fifth of the time that a full client does.
    """

    def __init__(self, url: str, scope: str, token: str | None) -> None:
        self.rejected = 0
        self.view = View()
        self._scope = scope
        self._parts = urlsplit(url)
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._posting = self._connection(REQUEST_S)
        self._following = self._connection(SILENCE_S)
        self._is_closed = threading.Event()
        self._follower = threading.Thread(target=self._follow, name="pointsman-policy", daemon=True)
        self._follower.start()

    def send(self, events: Sequence[AnyInput]) -> None:
        """Post these as JSON lines."""
        body = b"\n".join(map(encode, events))
        try:
            status, answer = self._post(body)
            if status in (200, 422):
                self.rejected += json.loads(answer).get("rejected", len(events))
                return
        except (OSError, HTTPException, ValueError) as error:
            self._posting.close()
            raise PlaceAway(type(error).__name__) from None
        raise PlaceAway(f"status {status}" + (": set POINTSMAN_TOKEN to the server's token" if status == 401 else ""))

    def _post(self, body: bytes) -> tuple[int, bytes]:
        """The answer; once more where the server has closed a connection that was idle."""
        is_used = self._posting.sock is not None
        try:
            self._posting.request("POST", self._path("/v1/events"), body, self._headers | {"content-type": "application/x-ndjson"})
            answer = self._posting.getresponse()
            return answer.status, answer.read()
        except ConnectionError:
            self._posting.close()
            if not is_used:
                raise
            return self._post(body)

    def close(self, timeout_s: float) -> None:
        """End the connections; the follower ends with them."""
        self._is_closed.set()
        self._posting.close()
        if (socket := self._following.sock) is not None:
            with suppress(OSError):
                socket.shutdown(SHUT_RDWR)

    def _connection(self, timeout_s: float) -> HTTPConnection:
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=timeout_s)

    def _path(self, path: str, **asked: Any) -> str:
        return self._parts.path.rstrip("/") + path + (f"?{urlencode(asked, doseq=True)}" if asked else "")

    def _follow(self) -> None:
        wait, last = FIRST_WAIT_S, ""
        while not self._is_closed.is_set():
            try:
                self._fetch()
                for identity in self._outputs(last):
                    wait, last = FIRST_WAIT_S, identity
            except Exception as error:  # a closed connection, an answer that is no event stream: try again, the calls go on without
                log.debug("the policy's stream ended: %s", type(error).__name__)
            self._following.close()
            self._is_closed.wait(wait)
            wait = min(2.0 * wait, LONGEST_WAIT_S)

    def _fetch(self) -> None:
        answer = self._ask("/v1/policy", scope=self._scope)
        line = answer.read()
        if answer.status == 200:
            self.view.add(line)

    def _outputs(self, last: str) -> Iterator[str]:
        headers = {"last-event-id": last} if last else {}
        answer = self._ask("/v1/stream", headers, type=["policy.published/1", "recommendation.issued/1"])
        if answer.status != 200:
            raise PlaceAway(f"status {answer.status}")
        messages = Messages()
        while line := answer.readline():
            if (message := messages.line(line.rstrip(b"\r\n").decode())) is not None:
                if message.data and message.name == "message":
                    self.view.add(message.data)
                if message.last_id:
                    yield message.last_id

    def _ask(self, path: str, headers: Mapping[str, str] | None = None, **asked: Any) -> HTTPResponse:
        self._following.request("GET", self._path(path, **asked), headers=self._headers | dict(headers or {}))
        return self._following.getresponse()


class KafkaPlace(Place):
    """A broker: a producer and a router view on an event loop in a thread of its own."""

    def __init__(self, settings: KafkaSettings, source: str) -> None:
        self.rejected = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pointsman-kafka", daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        try:
            self._run(self._open(settings, source))
        except BaseException:
            self._end()
            raise

    async def _open(self, settings: KafkaSettings, source: str) -> None:
        from .producer import Producer

        self._producer = await self._stack.enter_async_context(Producer(settings, source=source, on_full="drop"))
        self.view = await self._stack.enter_async_context(RouterView(settings))

    @property
    def dropped(self) -> int:
        """How many were dropped because too many waited for the broker."""
        return self._producer.dropped

    def send(self, events: Sequence[AnyInput]) -> None:
        """Queue these for the broker; the producer keeps them while it is away."""
        self._run(self._publish(events), REQUEST_S)

    def close(self, timeout_s: float) -> None:
        """Flush, and let go of the connections."""
        try:
            self._run(self._producer.close(timeout_s), timeout_s + REQUEST_S)
            self._run(self._stack.aclose(), REQUEST_S)
        finally:
            self._end()

    async def _publish(self, events: Sequence[AnyInput]) -> None:
        for event in events:
            await self._producer.publish(event)

    def _run(self, coroutine: Any, timeout_s: float | None = None) -> None:
        running: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            running.result(timeout_s)
        except TimeoutError:
            running.cancel()
            raise

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(REQUEST_S)


def check_place(place: str) -> None:
    """Import what a place needs, before any call; raises `SettingsError` for one that can never be opened, `ImportError` with what to install."""
    parts = urlsplit(place)
    if "://" in place and (parts.scheme not in _NEEDED or not parts.netloc):
        raise SettingsError(f"litellm.place {place!r}: give a database's path, http://host:port or kafka://host:port")
    try:
        for module in _NEEDED.get(parts.scheme, ("pointsman.streams.embedded",)):
            import_module(module)
    except ModuleNotFoundError as error:
        extra = "kafka" if parts.scheme == "kafka" else "litellm"
        raise ImportError(f'{place} needs {error.name}: pip install "pointsman[{extra}]"') from error


def open_place(place: str, settings: Settings, *, scope: str, source: str) -> Place:
    """Open a place; raises what hinders it."""
    parts = urlsplit(place)
    if parts.scheme in ("http", "https") and parts.netloc:
        token = settings.token.get_secret_value() if settings.token is not None else None
        return HttpPlace(place, scope, token)
    if parts.scheme == "kafka":
        return KafkaPlace(settings.kafka.at(place), source)
    return EmbeddedPlace(place, settings)


__all__ = ["EmbeddedPlace", "HttpPlace", "KafkaPlace", "Place", "PlaceAway", "check_place", "open_place"]
