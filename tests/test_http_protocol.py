"""Connections that do not mean well: a head that does not end, or never begins, ends the connection; whoever sends whole requests is not hurried."""

import asyncio
import socket
from typing import Any

import httpx
import pytest
import uvicorn
from events import started
from serving import TOKEN, serving
from uvicorn.server import ServerState

from pointsman.schemas import encode
from pointsman.streams.http_protocol import MOST_HEAD_BYTES, protocol

HEALTH = b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n"


def connected(client: httpx.Client) -> socket.socket:
    """A plain connection to the server."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=20)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends it, within the time of the test."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    return True


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /health HTTP/1.1\r\nhost: h\r\n", b"\r\n", HEALTH + b"\r\n", HEALTH + b"GET / HT", HEALTH + HEALTH + b"G"])
def test_a_head_that_does_not_end_ends_the_connection(sent: bytes) -> None:
    with serving(head_s=0.2) as client, connected(client) as connection:
        connection.sendall(sent)
        assert is_closed(connection) and client.get("/health").status_code == 200


def test_a_head_that_is_too_long_ends_the_connection() -> None:
    with serving() as client, connected(client) as connection:
        with pytest.raises((ConnectionError, TimeoutError)):
            for _ in range(100_000):
                connection.sendall(b"GET /health HTTP/1.1\r\nx: " + b"y" * MOST_HEAD_BYTES)
        assert client.get("/health").status_code == 200


def test_a_kept_connection_and_a_stream_are_not_hurried() -> None:
    with serving(head_s=0.1, heartbeat_s=0.05) as client, connected(client) as connection:
        connection.sendall(f"GET /v1/stream HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode())
        seen = b""
        while seen.count(b": heartbeat") < 5:
            seen += connection.recv(65_536)
        assert seen.startswith(b"HTTP/1.1 200")


def test_many_requests_go_over_one_connection_also_after_a_stream_without_follow() -> None:
    with serving() as client, connected(client) as connection:
        for path in ("/v1/stream?follow=false", "/health", "/v1/status", "/v1/stream?follow=false", "/health"):
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode())
            seen = b""
            while not seen.endswith((b"0\r\n\r\n", b"}")):
                seen += connection.recv(65_536)
            assert seen.startswith(b"HTTP/1.1 200") and b"connection: close" not in seen.lower()


def test_head_is_405_where_there_is_only_get_and_has_no_body() -> None:
    with serving() as client:
        answer = client.head("/v1/stream")
        assert (answer.status_code, answer.content) == (405, b"") and client.get("/health").status_code == 200


def request(head: str, body: bytes = b"") -> bytes:
    """A post of events with the token."""
    return f"POST /v1/events HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n{head}\r\n\r\n".encode() + body


def everything(connection: socket.socket) -> bytes:
    """What the server says until it ends the connection."""
    said = b""
    while piece := connection.recv(65_536):
        said += piece
    return said


@pytest.mark.parametrize(
    ("head", "body"),
    [("content-length: 100", b"{}"), ("transfer-encoding: chunked", b"2\r\n{}\r\n"), ("content-length: 100\r\nexpect: 100-continue", b"")],
)
def test_a_body_that_does_not_end_is_408_and_ends_the_connection(head: str, body: bytes) -> None:
    with serving(body_s=0.2) as client, connected(client) as connection:
        connection.sendall(request(head, body))
        said = everything(connection)
        assert b"HTTP/1.1 408" in said and b"too_slow" in said and client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "head", ["content-length: -1", "content-length: x", "content-length: 2\r\ncontent-length: 3", "content-length: 2\r\ntransfer-encoding: chunked"]
)
def test_a_length_that_cannot_be_is_refused_and_ends_the_connection(head: str) -> None:
    with serving() as client, connected(client) as connection:
        connection.sendall(request(head, b"{}"))
        assert everything(connection).startswith(b"HTTP/1.1 400") and client.get("/health").status_code == 200


def test_a_body_longer_than_it_says_is_not_taken_for_another_request() -> None:
    with serving() as client, connected(client) as connection:
        connection.sendall(request("content-length: 2", b"[]" + b"{} surplus\r\n\r\n"))
        said = everything(connection)
        assert said.count(b"HTTP/1.1 200") <= 1 and said.count(b"HTTP/1.1 400") == 1


def test_requests_in_a_row_are_answered_in_a_row() -> None:
    events = [encode(started(f"r{number}", float(number))) for number in range(50)]
    with serving() as client, connected(client) as connection:
        connection.sendall(
            b"".join(request(f"content-length: {len(event)}", event) for event in events) + request("connection: close\r\ncontent-length: 1", b"[")
        )
        said = everything(connection)
        assert (said.count(b"HTTP/1.1 200"), said.count(b"HTTP/1.1 422")) == (50, 1)
        assert client.get("/v1/status").json()["chat"]["events"] == 50


def test_with_too_many_connections_whoever_asks_is_503_until_the_idle_ones_are_closed() -> None:
    with serving(max_connections=20, head_s=0.5) as client:
        idle = [connected(client) for _ in range(40)]
        answer = client.get("/v1/status")
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "1", "too_many_connections")
        assert client.get("/health").status_code == 200
        assert all(is_closed(connection) for connection in idle)
        assert client.get("/v1/status").status_code == 200
        for connection in idle:
            connection.close()


def test_whoever_leaves_without_a_word_is_let_go_by_the_system_after_the_time_of_a_stall() -> None:
    async def timeout() -> int:
        kind = protocol(head_s=10.0, gone_s=7.0)
        config = uvicorn.Config(_nothing, http=kind, log_config=None)
        made: list[Any] = []
        server = await asyncio.get_running_loop().create_server(lambda: made.append(kind(config, ServerState(), {})) or made[-1], "127.0.0.1", 0)  # type: ignore[func-returns-value]
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            while not made or made[0].transport is None:
                await asyncio.sleep(0)
            writer.close()
            return int(made[0].transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))

    assert asyncio.run(timeout()) == 7_000


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    return None
