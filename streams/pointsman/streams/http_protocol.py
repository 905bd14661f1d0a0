"""HTTP/1.1 as uvicorn speaks it, for clients that do not mean well: a head that does not end in time ends the connection, and so does a silent departure."""

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 65_536


def protocol(head_s: float, gone_s: float = 30.0, most: int = 2_000) -> type[HttpToolsProtocol]:
    """The protocol of a connection that has so many seconds for a request's head, from the first byte on, and as many for that byte.

    Whoever leaves what was sent unacknowledged for `gone_s` is gone, also without a word. A request that comes while there are more than `most` connections
    is marked as `pointsman.crowded`.
    """

    class Protocol(HttpToolsProtocol):
        """Also hands on the transport, so that a reader who has stopped reading can be let go at once."""

        _timer: asyncio.TimerHandle | None = None
        _head_bytes = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            _let_go_after(transport, gone_s)
            self._begin()

        def data_received(self, data: bytes) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self._begin()  # of a connection that was kept, before its next request: blank lines begin none
            self._head_bytes += len(data)
            super().data_received(data)
            if self._timer is not None and self._head_bytes > MOST_HEAD_BYTES:
                self.transport.abort()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._begin()
            self.scope["pointsman.transport"] = self.transport  # type: ignore[typeddict-unknown-key]
            self.scope["pointsman.crowded"] = len(self.connections) > most  # type: ignore[typeddict-unknown-key]

        def on_headers_complete(self) -> None:
            self._end()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            super().connection_lost(exc)

        def _begin(self) -> None:
            if self._timer is None:
                self._head_bytes = 0
                self._timer = self.loop.call_later(head_s, self.transport.abort)

        def _end(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Protocol


def _let_go_after(transport: Any, gone_s: float) -> None:
    """Linux waits for a quarter of an hour else: until then a subscriber whose machine went away keeps its place."""
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(1000.0 * gone_s)))


__all__ = ["MOST_HEAD_BYTES", "protocol"]
