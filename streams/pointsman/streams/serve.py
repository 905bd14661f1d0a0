"""`pointsman serve`: an embedded optimizer, or a deployment on Kafka, behind HTTP, from the first socket to an orderly end."""

import asyncio
import ipaddress
import logging
import secrets
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.schemas.settings import OtelSettings, ServeSettings, Settings

from .embedded import Optimizer
from .play import Play
from .replay import stored_config

if TYPE_CHECKING:
    from .backend import Backend

BACKLOG = 2048
GRACE_S = 5
GONE_S = 15.0  # a reader that has only stopped is found and counted before that
OTHER_FILES = 256
TOKEN_BYTES = 24
Started = Callable[[Any], object]


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


def run(
    database: Path, settings: Settings, *, has_config: bool, host: str | None, port: int | None, say: Callable[[str], object], play: Play | None = None
) -> None:
    """Serve an embedded optimizer until SIGTERM or SIGINT; `say` is told the address, and the token where it was made. `play` goes on beside it.

    Raises `ServeError`.
    """
    with _begun(settings, host, port) as (serving, token, listening):
        if play is not None and database.is_file():
            raise ServeError(f"{database}: is there already; a demo needs a database of its own: give another path, or none")
        own = None if has_config else stored_config(str(database)) if database.is_file() else None
        clock = play.clock if play is not None else time.time
        with Optimizer.open(
            str(database), own or settings.optimization(), clock=clock, capacity=settings.capacity, operator=settings.operator.scope
        ) as optimizer:
            said = play.announced() if play is not None else None
            _run(serve(optimizer, serving, token.text, listening, otel=settings.otel, play=play), token, listening, say, said)


def run_kafka(settings: Settings, *, host: str | None, port: int | None, say: Callable[[str], object]) -> None:
    """The same in front of a deployment on Kafka."""
    from .backend_kafka import Deployment

    async def work(serving: ServeSettings, token: Token, listening: socket.socket) -> None:
        back = await Deployment(settings.kafka, settings.optimization(), serving).open()
        await serve_backend(back, serving, token.text, listening, otel=settings.otel)

    with _begun(settings, host, port) as (serving, token, listening):
        _run(work(serving, token, listening), token, listening, say)


@contextmanager
def _begun(settings: Settings, host: str | None, port: int | None) -> Iterator[tuple[ServeSettings, Token, socket.socket]]:
    """What a run needs first; it ends in order on SIGTERM also before the server minds it."""
    chosen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    serving, token = settings.serve.model_copy(update=chosen), Token.of(settings)
    if token.is_made and not is_loopback(serving.host):
        raise ServeError(f"{serving.host} is not loopback: set POINTSMAN_TOKEN, or token in the settings, to listen there")
    _known()
    _room_for(serving.max_connections)
    with suppress(KeyboardInterrupt), listen(serving.host, serving.port) as listening:
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the server minds it
        try:
            yield serving, token, listening
        finally:
            signal.signal(signal.SIGTERM, previous)


def _run(work: Coroutine[Any, Any, None], token: Token, listening: socket.socket, say: Callable[[str], object], more: str | None = None) -> None:
    for line in (f"Pointsman on {address(listening)}", more):
        if line is not None:
            say(line)
    if token.is_made:
        say(f"token, made for this run: {token.text}")
        say(f"the page: {address(listening)}/#token={token.text}")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(work)


async def serve(
    optimizer: Optimizer,
    settings: ServeSettings,
    token: str,
    listening: socket.socket,
    *,
    otel: OtelSettings | None = None,
    started: Started | None = None,
    play: Play | None = None,
) -> None:
    """Serve an embedded optimizer on a socket until the server is told to stop; `play` goes on meanwhile."""
    from .backend_embedded import Embedded

    back = Embedded(optimizer, settings)
    beside = play.run(back.desk) if play is not None else None
    await serve_backend(back, settings, token, listening, otel=otel, started=started, beside=beside)


async def serve_backend(
    back: "Backend",
    settings: ServeSettings,
    token: str,
    listening: socket.socket,
    *,
    otel: OtelSettings | None = None,
    started: Started | None = None,
    beside: Coroutine[Any, Any, None] | None = None,
) -> None:
    """The same with any back end, which is closed at the end; `started` is handed the server, whose `should_exit` tells it to stop."""
    import uvicorn

    from .http_api import Api, create_app, guarded
    from .http_protocol import protocol

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            back.stream.end()
            await super().shutdown(sockets)

    api = Api(back, settings, otel)
    config = uvicorn.Config(
        guarded(create_app(api), api, token),
        http=protocol(settings.head_s, settings.stall_s + GONE_S, settings.max_connections),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    server = Server(config)
    if started is not None:
        started(server)
    previous = _end_on_signals(server)
    playing = asyncio.create_task(beside) if beside is not None else None
    try:
        await server.serve(sockets=[listening])
    finally:
        if playing is not None:
            playing.cancel()
            await asyncio.wait([playing])
        await back.close()
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


def _room_for(connections: int) -> None:
    """Let the process have as many files open: many systems give 1,024 at first, and more to whoever asks."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


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


__all__ = ["ServeError", "Token", "address", "is_loopback", "listen", "run", "run_kafka", "serve", "serve_backend"]
