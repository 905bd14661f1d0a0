"""Connections that do not mean well: a head that does not end, or never begins, ends the connection; whoever sends whole requests is not hurried."""

import socket

import httpx
import pytest
from serving import TOKEN, serving

from pointsman.streams.http_protocol import MOST_HEAD_BYTES

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
