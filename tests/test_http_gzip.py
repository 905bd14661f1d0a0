"""Compressed bodies: the same events, a bomb is too large, and what cannot be unpacked is said."""

import gzip
import json
import tracemalloc
import zlib

import httpx
import pytest
from events import started
from serving import serving

from pointsman.schemas import encode
from pointsman.streams.http_guard import Problem
from pointsman.streams.http_gzip import MOST_MEMBERS, unpacked

BODY = encode(started("r1", 0.0))
KIND = {"content-type": "application/json"}


def post(client: httpx.Client, body: bytes, encoding: str, path: str = "/v1/events") -> httpx.Response:
    """Post encoded bytes as they are."""
    return client.post(path, content=body, headers=KIND | {"content-encoding": encoding})


@pytest.mark.parametrize(("encoding", "packed"), [("gzip", gzip.compress(BODY)), ("GZip", gzip.compress(BODY)), ("deflate", zlib.compress(BODY))])
def test_a_compressed_event_is_recorded(encoding: str, packed: bytes) -> None:
    with serving() as client:
        assert post(client, packed, encoding).json()["accepted"] == 1
        asked = gzip.compress(json.dumps({"scope": "chat", "request_id": "r2"}).encode())
        assert post(client, asked, "gzip", "/v1/recommendations").status_code == 200


@pytest.mark.parametrize(
    ("encoding", "body", "status", "code"),
    [
        ("gzip", gzip.compress(b" " * 10_000_000), 413, "too_large"),
        ("gzip", gzip.compress(b" " * 60_000) * 2, 413, "too_large"),
        ("gzip", BODY, 400, "malformed_encoding"),
        ("gzip", b"", 400, "malformed_encoding"),
        ("gzip", gzip.compress(BODY)[:-3], 400, "malformed_encoding"),
        ("gzip", gzip.compress(BODY) + b"more", 400, "malformed_encoding"),
        ("br", BODY, 415, "unknown_encoding"),
    ],
)
def test_what_cannot_be_unpacked_is_refused_by_name(encoding: str, body: bytes, status: int, code: str) -> None:
    with serving(max_body_bytes=100_000) as client:
        answer = post(client, body, encoding)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert client.get("/metrics").text.count("pointsman_events_rejected_total{") == 0


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    tracemalloc.start()
    with pytest.raises(Problem):
        unpacked(bomb, "gzip", 100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_body_has_a_bounded_number_of_members() -> None:
    with pytest.raises(Problem, match="members"):
        unpacked(gzip.compress(b"") * (MOST_MEMBERS + 1), "gzip", 100_000)
