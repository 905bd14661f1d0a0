"""Spans on a real broker, as the OpenTelemetry Collector's Kafka exporter writes them: read, published and committed, through SIGTERM and kill -9."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from deployment import Deployment
from spans import as_json, both, export, many, span

from pointsman.schemas import OptimizationConfig, decode, decode_output
from pointsman.streams.core import Core

pytestmark = pytest.mark.kafka
CONFIG = OptimizationConfig()
DEADLINE_S = 60.0


class Source:
    """A topic of spans beside a deployment, and the readers that were started on it."""

    def __init__(self, bootstrap: str, name: str, folder: Path, partitions: int = 1) -> None:
        self.deployment = Deployment(bootstrap, name, folder, CONFIG)
        self.bootstrap, self.group, self.topic = bootstrap, f"{name}-{uuid.uuid4().hex[:8]}", f"otlp-{uuid.uuid4().hex[:8]}"
        self._log = folder / "otel.log"
        asyncio.run(self._make(partitions))

    async def _make(self, partitions: int) -> None:
        admin: Any = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(self.topic, partitions, 1)])
        await admin.close()

    def send(self, values: Sequence[bytes], partition: int = 0) -> None:
        """Write records as the Collector does; they are in Kafka on return."""
        asyncio.run(self._send(values, partition))

    async def _send(self, values: Sequence[bytes], partition: int) -> None:
        producer: Any = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        await producer.start()
        try:
            await asyncio.gather(*[await producer.send(self.topic, value, partition=partition) for value in values])
        finally:
            await producer.stop()

    @contextmanager
    def reader(self) -> Iterator[subprocess.Popen[bytes]]:
        """A running `pointsman otel`; it is killed at the end, unless it has ended."""
        prefix = self.deployment.settings.topic_prefix
        command = [
            sys.executable,
            "-m",
            "pointsman.streams.cli",
            "otel",
            "--kafka",
            self.bootstrap,
            "--prefix",
            prefix,
            "--topic",
            self.topic,
            "--group",
            self.group,
        ]
        environment = os.environ | {"POINTSMAN_KAFKA__SESSION_TIMEOUT_S": "6"}
        with self._log.open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def written(self, suffix: str, enough: int) -> list[bytes]:
        """The values of one of our topics, once there are so many."""
        return asyncio.run(self._written(suffix, enough))

    async def _written(self, suffix: str, enough: int) -> list[bytes]:
        settings = self.deployment.settings
        consumer: Any = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([TopicPartition(settings.topic_prefix + suffix, number) for number in range(settings.partitions)])
        found: list[bytes] = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                while len(found) < enough:
                    found += [record.value for batch in (await consumer.getmany(timeout_ms=100)).values() for record in batch]
        finally:
            await consumer.stop()
        return found

    def committed(self) -> int:
        """Up to where the group has committed the first partition."""
        return asyncio.run(self._committed())

    async def _committed(self) -> int:
        admin: Any = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        found = await admin.list_consumer_group_offsets(self.group)
        await admin.close()
        place = found.get(TopicPartition(self.topic, 0))
        return place.offset if place is not None else 0

    def commit(self, offset: int) -> None:
        """Set the group back, as if it had died before it committed more."""
        asyncio.run(self._commit(offset))

    async def _commit(self, offset: int) -> None:
        consumer: Any = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=self.group, enable_auto_commit=False)
        await consumer.start()
        consumer.assign([TopicPartition(self.topic, 0)])
        await consumer.commit({TopicPartition(self.topic, 0): offset})
        await consumer.stop()

    def await_committed(self, offset: int) -> None:
        """Wait until the group has committed so far."""
        end, pause = time.monotonic() + DEADLINE_S, threading.Event()
        while self.committed() < offset:
            assert time.monotonic() < end, self._log.read_text()[-2000:]
            pause.wait(0.1)


def exports(count: int, each: int) -> list[bytes]:
    """So many requests to export, protobuf and JSON in turn, in the order of time."""
    requests = [export(*many(each, first=number * each), first=1 + 10_000 * number) for number in range(count)]
    return [request.SerializeToString() if number % 2 else as_json(request) for number, request in enumerate(requests)]


def folded(lines: Sequence[bytes]) -> dict[str, Any]:
    """The status after folding events, without how many came twice."""
    core = Core(CONFIG)
    for line in lines:
        core.step(decode(line))
    return {**core.status("chat"), "duplicates": 0}


def test_both_encodings_become_events_and_what_is_none_a_dead_letter_with_its_place(bootstrap: str, tmp_path: Path) -> None:
    source = Source(bootstrap, "otel-both", tmp_path)
    bad = export(span())
    bad.resource_spans[0].scope_spans[0].spans[0].trace_id = b"secret"
    source.send([*both(export(span())), b"\xff secret", b"{secret", b"", bad.SerializeToString(), export(span(), first=50).SerializeToString()])
    with source.reader() as reader:
        lines, letters = source.written("events", 6), source.written("dead-letters", 3)
        source.await_committed(7)
        reader.send_signal(signal.SIGTERM)
        said, _ = reader.communicate(timeout=30)
    assert folded(lines)["tracks"]["gpt-4o"]["completed"] == 2
    found = [decode_output(letter) for letter in letters]
    assert [(letter.place, letter.reason.code) for letter in found] == [  # type: ignore[attr-defined]
        (f"{source.topic}/0/2", "malformed_otlp"),
        (f"{source.topic}/0/3", "malformed_otlp"),
        (f"{source.topic}/0/5", "unreadable_spans"),
    ]
    assert reader.returncode == 0 and b"3 requests" in said and not any(b"secret" in letter for letter in letters)


def test_sigterm_and_kill_at_any_moment_lose_nothing_and_count_nothing_twice(bootstrap: str, tmp_path: Path) -> None:
    source = Source(bootstrap, "otel-kill", tmp_path)
    values = exports(60, 20)
    source.send(values)
    for number, name in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
        with source.reader() as reader:
            source.written("events", 400 * (number + 1))
            reader.send_signal(name)
            reader.wait(30)
    source.send(exports(61, 20)[60:])
    with source.reader():
        source.await_committed(61)
    lines = source.written("events", 61 * 20 * 2)
    assert len({decode(line).event_id for line in lines}) == 61 * 20 * 2
    once = list({decode(line).event_id: line for line in reversed(lines)}.values())[::-1]
    assert folded(lines) == folded(once) and folded(lines)["tracks"]["gpt-4o"]["completed"] == 61 * 20


def test_what_was_published_and_not_committed_comes_again_and_changes_nothing(bootstrap: str, tmp_path: Path) -> None:
    source = Source(bootstrap, "otel-again", tmp_path)
    source.send(exports(30, 20))
    with source.reader() as reader:
        source.await_committed(30)
        reader.send_signal(signal.SIGTERM)
        reader.wait(30)
    source.commit(10)
    with source.reader():
        lines = source.written("events", 1200 + 800)
    assert len(lines) == 2000 and folded(lines) == folded(lines[:1200])


def test_two_readers_share_the_partitions(bootstrap: str, tmp_path: Path) -> None:
    source = Source(bootstrap, "otel-two", tmp_path, partitions=2)
    values = exports(20, 10)
    with source.reader(), source.reader():
        for number, value in enumerate(values):
            source.send([value], partition=number % 2)
        lines = source.written("events", 400)
    assert len({decode(line).event_id for line in lines}) == 400


def test_a_worker_folds_what_was_read_as_a_replay_does(bootstrap: str, tmp_path: Path) -> None:
    source = Source(bootstrap, "otel-worker", tmp_path)
    source.send(exports(5, 20))
    with source.deployment as deployment, source.reader():
        lines = source.written("events", 200)
        deployment.start("one")
        expected = deployment.expected(decode(line) for line in lines)
        assert deployment.outputs(sum(map(len, expected.values()))) == expected
