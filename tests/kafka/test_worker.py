"""The worker on a real broker: the same bytes as a replay, through kills, takeovers and the plain per-event feed."""

import asyncio
import json
import random
import socket
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from deployment import Deployment, count, stop
from events import started, stream

from pointsman.schemas import EventRejected, OptimizationConfig, Track, decode_output, encode
from pointsman.schemas.cloudevents import headers
from pointsman.schemas.settings import Settings
from pointsman.streams.core import Core
from pointsman.streams.worker import Worker, WorkerError

pytestmark = pytest.mark.kafka
CONFIG = OptimizationConfig(strategy="adaptive", tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)))


@pytest.mark.parametrize("feed", ["slices", "events"])
def test_outputs_equal_the_replay_byte_for_byte(bootstrap: str, tmp_path: Path, feed: str) -> None:
    events = stream(31, 400)
    with Deployment(bootstrap, f"equal-{feed}", tmp_path, CONFIG, feed=feed) as deployment:
        expected = deployment.expected(events)
        deployment.publish(events)
        worker = deployment.start("one")
        assert deployment.outputs(count(expected)) == expected
        assert stop(worker) == 0


def test_a_worker_killed_at_twenty_random_points_loses_nothing(bootstrap: str, tmp_path: Path) -> None:
    draw = random.Random(5)
    events = stream(32, 8000)
    with Deployment(bootstrap, "killed", tmp_path, CONFIG, snapshot_interval_s=0.0, commit_interval_s=0.1) as deployment:
        expected = deployment.expected(events)
        step, done, core = len(events) // 20 + 1, 0, Core(CONFIG)
        for place in range(0, len(events), step):
            chunk = events[place : place + step]
            deployment.publish(chunk)
            before, done = done, done + sum(len(core.step(event)) for event in chunk)
            worker = deployment.start("one")
            deployment.outputs(draw.randrange(before + 1, done))
            worker.kill()
            worker.wait()
        deployment.start("one")
        assert deployment.outputs(count(expected)) == expected


def test_a_second_worker_takes_over_from_a_killed_one(bootstrap: str, tmp_path: Path) -> None:
    events = stream(33, 2000)
    half = len(events) // 2
    with Deployment(bootstrap, "takeover", tmp_path, CONFIG, session_timeout_s=6.0) as deployment:
        expected = deployment.expected(events)
        first, second = deployment.start("one"), deployment.start("two")
        deployment.publish(events[:half])
        deployment.outputs(count(deployment.expected(events[:half])))
        first.kill()
        deployment.publish(events[half:])
        assert deployment.outputs(count(expected)) == expected
        assert stop(second) == 0


def test_a_worker_outlives_a_rebalance_while_it_reads_again(bootstrap: str, tmp_path: Path) -> None:
    events = stream(39, 100)

    class Held(Worker):
        async def _due(self, tp: Any) -> int:
            due = await super()._due(tp)
            await go_on.wait()
            return due

    async def work() -> None:
        worker = Held(Settings(tracks=CONFIG.tracks, strategy=CONFIG.strategy, kafka=deployment.settings))
        stopped = asyncio.Event()
        running = asyncio.create_task(worker.run(stopped))
        deployment.start("two")
        await asyncio.to_thread(deployment.await_log, "two", "worker started")
        go_on.set()
        await asyncio.to_thread(deployment.publish, events)
        assert await asyncio.to_thread(deployment.outputs, count(expected)) == expected
        assert not running.done()
        stopped.set()
        await running

    with Deployment(bootstrap, "held", tmp_path, CONFIG, commit_interval_s=0.1) as deployment:
        go_on = asyncio.Event()
        expected = deployment.expected(events)
        asyncio.run(work())


def test_a_worker_that_crashes_says_why(bootstrap: str, tmp_path: Path) -> None:
    class Broken(Worker):
        async def _mend(self) -> None:
            raise ValueError("no more room")

    with (
        Deployment(bootstrap, "broken", tmp_path, CONFIG) as deployment,
        pytest.raises(WorkerError, match="stopped by ValueError: no more room; start it again"),
    ):
        asyncio.run(Broken(Settings(tracks=CONFIG.tracks, kafka=deployment.settings)).run(asyncio.Event()))


def test_a_stopped_worker_leaves_nothing_to_fold_again(bootstrap: str, tmp_path: Path) -> None:
    events = stream(34, 300)
    with Deployment(bootstrap, "stopped", tmp_path, CONFIG, snapshot_interval_s=3600.0) as deployment:
        expected = deployment.expected(events)
        deployment.publish(events)
        worker = deployment.start("one")
        deployment.outputs(count(expected))
        assert stop(worker) == 0
        more = stream(35, 50)
        moved = [event.model_copy(update={"occurred_at": event.occurred_at + 1000.0, "event_id": f"m{event.event_id}"}) for event in more]
        deployment.publish(moved)
        whole = deployment.expected([*events, *moved])
        again = deployment.start("one")
        assert deployment.outputs(count(whole)) == whole
        assert stop(again) == 0
        folded = [json.loads(line.split("stopped, ")[1].split()[0]) for line in deployment.log("one").splitlines() if "worker stopped" in line]
        assert folded == [len(events), len(moved)]


def test_bad_records_become_dead_letters_with_their_place_and_the_next_is_folded(bootstrap: str, tmp_path: Path) -> None:
    event, nowhere = started("r1", 0.0), started("r1", 0.0, "nowhere")
    bad = [b"{", b"\xff", b'{"type": "request.started/1"}', encode(nowhere), b"x" * 900_001]
    with Deployment(bootstrap, "bad", tmp_path, CONFIG) as deployment:
        deployment.publish_raw("requests.started", [(b"chat", value, []) for value in bad])
        deployment.publish_raw("requests.started", [(None, encode(event), []), (b"chat", encode(event), headers(event))])
        deployment.start("one")
        expected = {topic: lines for topic, lines in deployment.expected([nowhere, event]).items() if topic[0] != "dead-letters"}
        found = deployment.outputs(6 + count(expected))
    letters = [decode_output(line) for (topic, _), lines in found.items() if topic == "dead-letters" for line in lines]
    codes = sorted(letter.reason.code for letter in letters if isinstance(letter, EventRejected))
    assert codes == ["malformed_json", "malformed_json", "missing_field", "too_large", "unknown_track", "wrong_key"]
    assert {topic: lines for topic, lines in found.items() if topic[0] != "dead-letters"} == expected


def test_the_status_view_shows_the_scopes_and_their_closed_windows(bootstrap: str, tmp_path: Path) -> None:
    events = stream(38, 300)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Deployment(bootstrap, "status", tmp_path, CONFIG) as deployment:
        expected = deployment.expected(events)
        deployment.publish(events)
        deployment.start("one", status_port=port)
        deployment.outputs(count(expected))
        page = f"http://127.0.0.1:{port}"
        status = json.loads(urlopen(f"{page}/status/").read())
        windows = json.loads(urlopen(f"{page}/windows/chat/").read())["windows"]
        scope = json.loads(urlopen(f"{page}/status/chat/").read())
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{page}/status/nowhere/")
    assert status["folded"] == len(events) and {name for shard in status["shards"] for name in shard["scopes"]} == {"chat", "mail"}
    assert scope["scope"] == "chat"
    key = itemgetter("track", "start")
    assert windows == sorted((json.loads(line) for line in expected["windows", "chat"]), key=key)


def test_a_broker_that_is_away_is_waited_for_and_nothing_is_lost(own_broker: Any, tmp_path: Path) -> None:
    first, rest = stream(36, 100), [event.model_copy(update={"event_id": f"m{event.event_id}"}) for event in stream(37, 100)]
    with Deployment(own_broker.bootstrap, "away", tmp_path, CONFIG) as deployment:
        whole = deployment.expected([*first, *rest])
        own_broker.pause()
        worker = deployment.start("one")
        deployment.await_log("one", "Trying again until it answers")
        own_broker.resume()
        deployment.publish(first)
        deployment.outputs(count(deployment.expected(first)))
        own_broker.pause()
        own_broker.resume()
        deployment.publish(rest)
        assert deployment.outputs(count(whole)) == whole
        assert stop(worker) == 0
        assert deployment.log("one").count("Trying again until it answers") == 1
