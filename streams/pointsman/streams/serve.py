"""`pointsman serve`: the embedded optimizer behind HTTP, from the first socket to an orderly end."""

import asyncio
import ipaddress
import logging
import secrets
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.schemas.settings import OtelSettings, ServeSettings, Settings

from .embedded import Optimizer
from .replay import stored_config

BACKLOG = 2048
GRACE_S = 5
TOKEN_BYTES = 24


class ServeError(ValueError):
    """The server cannot run as asked; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a client must show, and whether it was made here."""

    text: str
    is_made: bool

    @classmethod
    def of(cls, settings: Settings) -> "Token":
        """The one that was given, or a new one."""
        given = settings.token.get_secret_value().strip() if settings.token is not None else ""
        return cls(given, False) if given else cls(secrets.token_urlsafe(TOKEN_BYTES), True)


def run(database: Path, settings: Settings, *, has_config: bool, host: str | None, port: int | None, say: Callable[[str], object]) -> None:
    """Serve until SIGTERM or SIGINT; `say` is told the address, and the token where it was made. Raises `ServeError`."""
    chosen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    serving, token = settings.serve.model_copy(update=chosen), Token.of(settings)
    if token.is_made and not is_loopback(serving.host):
        raise ServeError(f"{serving.host} is not loopback: set POINTSMAN_TOKEN, or token in the settings, to listen there")
    _known()
    own = None if has_config else stored_config(str(database)) if database.is_file() else None
    with suppress(KeyboardInterrupt), listen(serving.host, serving.port) as listening:
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the server minds it: an early SIGTERM ends in order, too
        try:
            with Optimizer.open(str(database), own or settings.optimization(), capacity=settings.capacity) as optimizer:
                say(f"Pointsman on {address(listening)}")
                if token.is_made:
                    say(f"token, made for this run: {token.text}")
                with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                    runner.run(serve(optimizer, serving, token.text, listening, otel=settings.otel))
        finally:
            signal.signal(signal.SIGTERM, previous)


async def serve(
    optimizer: Optimizer,
    settings: ServeSettings,
    token: str,
    listening: socket.socket,
    *,
    otel: OtelSettings | None = None,
    started: Callable[[Any], object] | None = None,
) -> None:
    """Serve on a socket until the server is told to stop; `started` is handed the server, whose `should_exit` tells it so."""
    import uvicorn
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from .http_api import Api, create_app, guarded

    class Protocol(HttpToolsProtocol):
        """Hands on the transport, so that a reader who has stopped reading can be let go at once."""

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["pointsman.transport"] = self.transport  # type: ignore[typeddict-unknown-key]

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            api.stream.end()
            await super().shutdown(sockets)

    api = Api(optimizer, settings, otel)
    config = uvicorn.Config(
        guarded(create_app(api), api, token),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=GRACE_S,
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    server = Server(config)
    if started is not None:
        started(server)
    previous = _end_on_signals(server)
    try:
        await server.serve(sockets=[listening])
    finally:
        await api.desk.close()
        for name, handler in previous:
            signal.signal(name, handler)


def _end_on_signals(server: Any) -> list[tuple[int, Any]]:
    """SIGTERM and SIGINT end the server; uvicorn raises them once more when it is done, which then changes nothing, so that the database is closed in order."""

    def end(*_: object) -> None:
        server.should_exit = True

    try:
        return [(name, signal.signal(name, end)) for name in (signal.SIGTERM, signal.SIGINT)]
    except ValueError:  # not the main thread: whoever runs it there stops it by `should_exit`
        return []


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `ServeError` where that cannot be."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(place)
            found.listen(BACKLOG)  # at once, since the address is said before the loop runs
        except OSError:
            found.close()
            raise
    except OSError as error:
        raise ServeError(f"{host}:{port} cannot be listened on ({error.strerror or error}): give another --port or --host") from None
    found.setblocking(False)
    return found


def address(listening: socket.socket) -> str:
    """Where a socket is reached, as a URL."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _known() -> None:
    try:
        import fastapi
        import httptools
        import prometheus_client
        import uvicorn
    except ModuleNotFoundError as error:
        raise ServeError(f"{error.name} is not installed: pip install 'pointsman[serve]'") from None
    del fastapi, httptools, prometheus_client, uvicorn


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


__all__ = ["ServeError", "Token", "address", "is_loopback", "listen", "run", "serve"]
