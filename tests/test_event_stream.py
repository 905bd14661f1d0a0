"""Outputs as server-sent events: complete, in order, resumable, and never at the cost of others."""

import asyncio
import json
import socket
import sqlite3
import time
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from events import started, stream
from serving import CONFIG, TOKEN, caught_up, events_of, serving

from pointsman.schemas import EventRejected, encode
from pointsman.streams import Optimizer
from pointsman.streams.database_history import DatabaseHistory, heard
from pointsman.streams.desk import Desk
from pointsman.streams.event_stream import EventStream, Filter
from pointsman.streams.ring import Ring

LINES = [encode(event) for event in stream(1, 60)]


def post(client: httpx.Client, lines: list[bytes]) -> None:
    """Record lines."""
    answer = client.post("/v1/events", content=b"\n".join(lines), headers={"content-type": "application/x-ndjson"})
    assert answer.json()["accepted"] == len(lines)


def on_disk(path: Path) -> list[dict[str, Any]]:
    """The outputs in a database."""
    with Optimizer.open(str(path)) as optimizer:
        return [json.loads(line) for _, line in optimizer.outputs()]


def test_a_subscriber_sees_every_output_once_and_in_order(tmp_path: Path) -> None:
    with serving(tmp_path / "p.db") as client, client.stream("GET", "/v1/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for place in range(0, len(LINES), 10):
            post(client, LINES[place : place + 10])
        count = len(caught_up(client, "0"))
        seen = [data for _, _, data in islice(events_of(answer.iter_lines()), count)]
    assert seen == on_disk(tmp_path / "p.db")


def test_after_a_restart_a_subscriber_goes_on_where_it_was(tmp_path: Path) -> None:
    with serving(tmp_path / "p.db") as client:
        post(client, LINES[:100])
    before = on_disk(tmp_path / "p.db")
    with serving(tmp_path / "p.db") as client, client.stream("GET", "/v1/stream", headers={"last-event-id": before[9]["event_id"]}) as answer:
        post(client, LINES[100:])
        arriving = events_of(answer.iter_lines())
        newest = client.get("/v1/stream", params={"follow": "false"}).text.partition("id: ")[2].split("\n")[0]
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["event_id"] != newest:
            seen.append(next(arriving)[2])
    assert seen == on_disk(tmp_path / "p.db")[10:] and len(seen) > len(before) - 10


def test_the_ids_are_the_event_ids_and_the_data_is_the_output(tmp_path: Path) -> None:
    with serving(tmp_path / "p.db") as client:
        post(client, LINES)
        rows = caught_up(client, "0")
    assert all(identity == data["event_id"] and name == "message" for identity, name, data in rows) and len(rows) > 50


def test_an_unknown_id_is_said_to_be_lost() -> None:
    with serving() as client:
        post(client, LINES)
        (said,) = caught_up(client, "of/another/database")
    assert said[1] == "lost" and said[2]["last_event_id"] == "of/another/database"


def test_a_scope_that_is_no_plain_text_is_resumable() -> None:
    odd = "a b%\n\u00e4\U0001f600"
    with serving() as client:
        for number in range(3):
            event = started(f"r{number}", float(number)).model_copy(update={"scope": odd, "event_id": f"e{number}"})
            post(client, [encode(event)])
        newest = client.get("/v1/stream", params={"follow": "false"}).text.partition("id: ")[2].split("\n")[0]
        assert caught_up(client, newest) == []
        rows = caught_up(client, newest.rsplit("/", 2)[0] + "/1/0")
    assert rows and {data["scope"] for _, _, data in rows} == {odd} and all(identity.isascii() for identity, _, _ in rows)


def test_filters_by_scope_and_type() -> None:
    with serving() as client:
        post(client, LINES)
        rows = caught_up(client, "0", scope="mail", type=["prediction.issued/1", "policy.published/1"])
    assert {(data["scope"], data["type"]) for _, _, data in rows} == {("mail", "prediction.issued/1"), ("mail", "policy.published/1")}


def test_a_dead_letter_is_told_at_once_without_its_bytes() -> None:
    with serving() as client, client.stream("GET", "/v1/stream", params={"type": "event.rejected/1"}) as answer:
        client.post("/v1/events", json={"type": "nonsense/1"})
        identity, _, data = next(events_of(answer.iter_lines()))
    letter = EventRejected.model_validate(data)
    assert (identity, letter.reason.code, letter.payload, letter.payload_bytes) == ("dead-letter/1", "unknown_type", "", 21)


def test_dead_letters_are_repeated_in_the_order_in_which_they_were_told(tmp_path: Path) -> None:
    bad = [b'{"type":"nonsense/1"}', encode(started("x", 0.0).model_copy(update={"track": "unheard-of"}))]
    mixed = [*LINES[:20], bad[0], *LINES[20:40], bad[1], bad[0], *LINES[40:60]]
    with serving(tmp_path / "p.db") as client, client.stream("GET", "/v1/stream") as answer:
        for place in range(0, len(mixed), 7):
            client.post("/v1/events", content=b"\n".join(mixed[place : place + 7]), headers={"content-type": "application/x-ndjson"}).raise_for_status()
        rows = caught_up(client, "0")
        told = list(islice(events_of(answer.iter_lines()), len(rows)))
    assert told == rows and [identity for identity, _, _ in rows if identity.startswith("dead-letter/")] == [f"dead-letter/{n}" for n in (1, 2, 3)]
    with serving(tmp_path / "p.db") as client:
        assert all(caught_up(client, rows[place][0]) == rows[place + 1 :] for place in range(0, len(rows), 5))
        after_letters = [place + 1 for place, row in enumerate(rows) if row[0].startswith("dead-letter/")]
        assert all(caught_up(client, rows[place - 1][0]) == rows[place:] for place in after_letters)


def test_after_a_dead_letter_the_stream_goes_on_from_it() -> None:
    with serving() as client:
        post(client, LINES[:20])
        client.post("/v1/events", json={"type": "nonsense/1"})
        assert client.get("/v1/stream", params={"follow": "false"}).text == "retry: 1000\nid: dead-letter/1\n\n"
        assert caught_up(client, "dead-letter/7")[0][1] == "lost"


def test_a_database_of_an_earlier_version_tells_its_dead_letters_first(tmp_path: Path) -> None:
    with serving(tmp_path / "p.db") as client:
        post(client, LINES[:20])
        client.post("/v1/events", json={"type": "nonsense/1"})
    with closing(sqlite3.connect(tmp_path / "p.db")) as connection:
        connection.executescript("DROP INDEX dead_letters_after; ALTER TABLE dead_letters DROP COLUMN after;")
    with serving(tmp_path / "p.db") as client:
        client.post("/v1/events", json={"type": "nonsense/1"})
        ids = [identity for identity, _, _ in caught_up(client, "0")]
    assert (ids[0], ids[-1]) == ("dead-letter/1", "dead-letter/2")


def test_a_quiet_stream_has_heartbeats() -> None:
    with serving(heartbeat_s=0.01) as client, client.stream("GET", "/v1/stream") as answer:
        beats = list(islice((line for line in answer.iter_lines() if line.startswith(":")), 3))
    assert beats == [": heartbeat"] * 3


def test_one_subscriber_too_many_is_429_and_a_place_is_free_again_when_one_leaves() -> None:
    with serving(max_subscribers=1) as client:
        with client.stream("GET", "/v1/stream") as answer:
            lines = answer.iter_lines()
            next(lines)
            refused = client.get("/v1/stream", params={"follow": "false"})
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_subscribers")
        end = time.monotonic() + 20.0
        while client.get("/v1/stream", params={"follow": "false"}).status_code == 429 and time.monotonic() < end:
            pass
        assert client.get("/v1/stream", params={"follow": "false"}).status_code == 200


def stalled(client: httpx.Client) -> socket.socket:
    """A subscriber that never reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((client.base_url.host, client.base_url.port))
    connection.sendall(f"GET /v1/stream HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode())
    return connection


def test_a_stalled_subscriber_is_let_go_and_nobody_else_notices() -> None:
    with serving(stall_s=0.05) as client:
        with stalled(client), client.stream("GET", "/v1/stream", params={"type": "strategy.adapted/1"}):
            end, number = time.monotonic() + 60.0, 0
            while "pointsman_stream_cut_off_total 1.0" not in client.get("/metrics").text and time.monotonic() < end:
                post(client, [encode(started(f"r{number + k}", float(number + k))) for k in range(100)])
                number += 100
            said = client.get("/metrics").text
            assert "pointsman_stream_cut_off_total 1.0" in said and "pointsman_stream_subscribers 1.0" in said
        assert client.get("/v1/status").json()["chat"]["events"] == number


def test_a_vanished_subscriber_leaves_nothing() -> None:
    with serving() as client:
        gone = stalled(client)
        assert gone.recv(10) == b"HTTP/1.1 2"
        gone.close()
        end = time.monotonic() + 20.0
        while "pointsman_stream_subscribers 0.0" not in client.get("/metrics").text and time.monotonic() < end:
            pass
        assert "pointsman_stream_subscribers 0.0" in client.get("/metrics").text


@pytest.mark.parametrize("kept_bytes", [10_000, 100_000_000])
def test_the_ring_is_bounded_and_one_that_falls_out_of_it_is_told(kept_bytes: int) -> None:
    async def read() -> list[bytes]:
        with Optimizer.open(":memory:", CONFIG) as optimizer:
            desk = Desk(optimizer)
            ring = Ring(0, kept_bytes)
            outputs = EventStream(ring, DatabaseHistory(desk), heartbeat_s=0.001)
            optimizer.follow(partial(heard, ring))
            chunks = outputs.read(Filter())
            seen = [await anext(chunks), await anext(chunks)]
            await desk.ask(lambda own: own.record_many(stream(1, 60)))
            seen.append(await anext(chunks))
            await chunks.aclose()
            await desk.close()
            return seen

    seen = asyncio.run(read())
    assert seen[1] == b": heartbeat\n\n"
    assert any(b"event: behind" in chunk for chunk in seen) == (kept_bytes == 10_000)


def test_what_is_recorded_while_a_subscriber_catches_up_comes_once(tmp_path: Path) -> None:
    async def read() -> tuple[list[str], list[str]]:
        with Optimizer.open(":memory:", CONFIG) as optimizer:
            desk = Desk(optimizer)
            ring = Ring(0, 30_000)
            outputs = EventStream(ring, DatabaseHistory(desk))
            optimizer.follow(partial(heard, ring))
            events = stream(1, 400)
            await desk.ask(lambda own: own.record_many(events[:500]))
            first = json.loads(next(iter(optimizer.outputs()))[1])["event_id"]
            seen: list[str] = []
            chunks, place = outputs.read(Filter(), first, follow=False), 500
            async for chunk in chunks:
                seen += [line[4:] for line in chunk.decode().splitlines() if line.startswith("id: ")]
                piece, place = events[place : place + 20], place + 20
                await desk.ask(lambda own, piece=piece: own.record_many(piece))  # type: ignore[misc]
            known = [json.loads(line)["event_id"] for _, line in optimizer.outputs()]
            await desk.close()
            return seen, known

    seen, known = asyncio.run(read())
    assert seen == known[1 : len(seen) + 1] and len(seen) > 500
