"""Where the terminal's status comes from: an embedded database, a server, or Kafka; each is read in a thread of its own."""

import asyncio
import json
import sqlite3
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import aclosing
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import quote

from pointsman.schemas import Refused, decode, decode_output
from pointsman.schemas.settings import KafkaSettings
from pointsman.sinks.board import Board
from pointsman.sinks.server_sent import Messages

from .boards import RECALLED
from .journal import reading
from .status_picture import LastEvents, Picture
from .topics import OUTPUT_TOPICS

TIMEOUT_S = 5.0
EMPTY: Mapping[str, str] = MappingProxyType({})
SAMPLED = b'"resource.sampled/1"'


class StatusError(ValueError):
    """A place that cannot be looked at; the message says what to change."""


class Source(Protocol):
    """A place that is looked at again and again; what cannot be read raises `StatusError` or `JournalError`."""

    def look(self) -> list[str]:
        """Look again; the scopes there are."""
        ...

    def picture(self, scope: str) -> Picture:
        """What was seen of a scope."""
        ...

    def close(self) -> None:
        """Let go of the place."""


class Heard:
    """What events tell: a board and the last lines."""

    def __init__(self) -> None:
        self.board = Board()
        self.last = LastEvents()

    def output(self, line: bytes) -> None:
        """Take in an output; what is none is passed over."""
        try:
            event = decode_output(line)
        except Refused:
            return
        self.board.hear(event)
        self.last.hear(event)

    def sample(self, line: bytes) -> None:
        """Take in an event of the journal, where it is a resource sample."""
        if SAMPLED in line:
            try:
                self.board.hear(decode(line))
            except Refused:
                return

    def picture(self, scope: str) -> Picture:
        """What was heard of a scope."""
        return Picture(scope, {"board": self.board.view(scope)}, self.board.series(scope), self.last.of(scope))


class DatabaseSource:
    """An embedded database, only read while another program writes it: its newest 30,000 outputs and events, and what comes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._heard = Heard()
        self._read: dict[str, int] = {}

    def look(self) -> list[str]:
        """Read what has come since."""
        with reading(self._path) as connection:
            self._new(connection, "journal", "position", self._heard.sample)
            self._new(connection, "outputs", "number", self._heard.output)
            self._new(connection, "dead_letters", "number", self._heard.output)
        return sorted(self._heard.board.scopes())

    def _new(self, connection: sqlite3.Connection, table: str, key: str, hear: Callable[[bytes], None]) -> None:
        if table not in self._read:
            (newest,) = connection.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()
            self._read[table] = newest - RECALLED
        for number, line in connection.execute(f"SELECT {key}, line FROM {table} WHERE {key} > ? ORDER BY {key}", (self._read[table],)):
            hear(line)
            self._read[table] = number

    def picture(self, scope: str) -> Picture:
        """What its events told."""
        return self._heard.picture(scope)

    def close(self) -> None:
        """Nothing is held between two looks."""


class HttpSource:
    """A `pointsman serve`: its status and rings, as its API gives them, and the outputs since this began."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._status: dict[str, Any] = {}
        self._last = LastEvents()
        self._after = ""

    def look(self) -> list[str]:
        """Ask the server."""
        self._status = json.loads(self._get("/v1/status"))
        self._hear()
        return sorted(self._status)

    def picture(self, scope: str) -> Picture:
        """What the server said; its rings are asked for now."""
        series = json.loads(self._get(f"/v1/series?scope={quote(scope, safe='')}")) if self._status[scope].get("board") else {}
        return Picture(scope, self._status[scope], series, self._last.of(scope))

    def close(self) -> None:
        """Nothing is held between two looks."""

    def _hear(self) -> None:
        """The outputs since the last look; the first look only learns where the end is, since there may be very many."""
        text = self._get("/v1/stream?follow=false", {"last-event-id": self._after} if self._after else {})
        messages = Messages()
        for line in text.decode().split("\n"):
            if (message := messages.line(line)) is not None:
                self._after = message.last_id or self._after
                if message.data and message.name == "message":
                    self._note(message.data)

    def _note(self, line: bytes) -> None:
        try:
            self._last.hear(decode_output(line))
        except Refused:
            return

    def _get(self, path: str, headers: Mapping[str, str] = EMPTY) -> bytes:
        try:
            request = urllib.request.Request(self._url + path, headers={**self._headers, **headers})
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            said = {401: "no token, or a wrong one: set POINTSMAN_TOKEN to the server's", 404: "not a `pointsman serve`, or an older one"}
            raise StatusError(f"{self._url}{path}: {error.code}: {said.get(error.code, error.reason)}") from None
        except (OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise StatusError(f"{self._url}: {getattr(reason, 'strerror', None) or reason}; is `pointsman serve` running there?") from None


class KafkaSource:
    """The outputs and resource samples of a deployment, from the beginning of their topics; `close` ends the reading."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._heard = Heard()
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def look(self) -> list[str]:
        """The first time wait until what stood there at the start is read."""
        self._ready.wait()
        if isinstance(self._failed, ModuleNotFoundError):
            raise self._failed
        if self._failed is not None:
            raise StatusError(str(self._failed))
        return sorted(self._heard.board.scopes())

    def picture(self, scope: str) -> Picture:
        """What its events told."""
        return self._heard.picture(scope)

    def close(self) -> None:
        """Stop reading."""
        if self._task is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(TIMEOUT_S)

    def _run(self) -> None:
        try:
            self._task = self._loop.create_task(self._follow())
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            return
        except Exception as error:
            self._failed = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _answers(self) -> bool:
        """Whether one of the brokers takes a connection: at the start nobody should wait for one that was mistyped."""
        from aiokafka.conn import collect_hosts

        for host, port, _ in collect_hosts(self._settings.bootstrap_servers):
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), TIMEOUT_S)
            except OSError:
                continue
            writer.close()
            return True
        return False

    async def _follow(self) -> None:
        from pointsman.schemas.access import admission
        from pointsman.sinks.follow import follow

        if (said := await admission(self._settings)) is not None:
            raise StatusError(said)
        if not await self._answers():
            raise StatusError(f"kafka {self._settings.bootstrap_servers}: no broker answers; is the broker up?")
        suffixes = (*dict.fromkeys(OUTPUT_TOPICS.values()), "journal")
        async with aclosing(follow(self._settings, suffixes, "Showing what is known")) as lines:
            async for line in lines:
                if line is None:
                    self._ready.set()
                else:
                    self._heard.sample(line)
                    self._heard.output(line)


def source_of(place: str, settings: KafkaSettings, token: str | None) -> Source:
    """The source that an address names; raises `StatusError` for one that is none."""
    if place.startswith("kafka://"):
        return KafkaSource(settings.at(place))
    if place.startswith(("http://", "https://")):
        return HttpSource(place, token)
    if "://" in place:
        raise StatusError(f"{place}: give the database of an embedded optimizer, http://host:port or kafka://host:port")
    return DatabaseSource(Path(place))


__all__ = ["DatabaseSource", "HttpSource", "KafkaSource", "Source", "StatusError", "source_of"]
