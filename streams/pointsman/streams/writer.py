"""Writing to Kafka so that order and completeness survive a broker that goes away.

Records of one partition travel in batches, each all or nothing, and the next is sent only when every replica has the last.
So a batch that is sent again leaves a repeat behind, never a hole: repeats are caught by origin and by id, a hole would not be.
For the same reason the producer needs no idempotence, whose sequence numbers turn a long absence of the broker into a fatal error.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    ProducerClosed,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.partitioner import DefaultPartitioner

from pointsman.schemas import Event, encode
from pointsman.schemas.access import Patience
from pointsman.schemas.cloudevents import headers
from pointsman.schemas.settings import KafkaSettings, security

MAX_BATCH_BYTES = 1_000_000  # a broker takes 1,048,588 unless told otherwise
MOST_FOUND = 4096
_FINAL = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    ProducerClosed,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

_partition_of = DefaultPartitioner()


class WriteError(Exception):
    """Kafka refuses a record for good; the message says where and what to do."""


class Row(NamedTuple):
    """One record to write; without a value it deletes its key from a compacted topic."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Written(NamedTuple):
    """Consecutive records of one partition that every replica has; `offset` is the first one's."""

    topic: str
    partition: int
    offset: int
    rows: list[Row]


class Writer:
    """Writes rows and returns when every replica has them; a broker that is away is waited for."""

    def __init__(self, settings: KafkaSettings, topics: Iterable[str]) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._partitions: dict[str, list[int]] = {}
        self._found: dict[tuple[str, bytes], int] = {}
        self._producer: Any = None
        self._patience = Patience(settings, "Trying again until it takes records")

    async def start(self) -> None:
        """Connect, and learn how many partitions each topic has."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers,
            acks="all",
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_BATCH_BYTES + 48_000,
            **security(self._settings),
        )
        await self._producer.start()
        self._found.clear()
        for topic in self._topics:
            self._partitions[topic] = sorted(await self._producer.partitions_for(topic))
        self._patience.end()

    async def start_when_there(self) -> None:
        """Connect as soon as there is a broker; raises `AccessError` where it does not let this client in."""
        while True:
            try:
                await self.start()
            except KafkaError as error:
                await self.stop()
                await self._patience.wait(error)
                continue
            return

    async def stop(self) -> None:
        """Let go of the connection."""
        if self._producer is not None:
            await self._producer.stop()

    def partition(self, topic: str, key: bytes) -> int:
        """The partition of a key, as every Kafka client with the default partitioner finds it (murmur2)."""
        found = self._found.get((topic, key))
        if found is None:
            partitions = self._partitions[topic]
            if len(self._found) >= MOST_FOUND:
                self._found.clear()
            found = self._found[topic, key] = int(_partition_of(key, partitions, partitions))
        return found

    def row(self, topic: str, event: Event) -> Row:
        """An event as a record of a topic: CloudEvents headers, its scope as the key."""
        key = event.scope.encode("utf-8", "replace")
        return Row(topic, self.partition(topic, key), key, encode(event), headers(event))

    async def write(self, rows: Iterable[Row]) -> list[Written]:
        """Write rows, in order within each partition, and say where they stand; raises `WriteError` for what Kafka will never take."""
        groups: dict[tuple[str, int], list[Row]] = {}
        for row in rows:
            groups.setdefault((row.topic, row.partition), []).append(row)
        found = await asyncio.gather(*(self._send(topic, partition, group) for (topic, partition), group in groups.items()))
        return [written for batches in found for written in batches]

    async def _send(self, topic: str, partition: int, rows: list[Row]) -> list[Written]:
        sent = 0
        batches: list[Written] = []
        while sent < len(rows):
            batch = self._producer.create_batch()
            count = 0
            for row in rows[sent:]:
                if batch.append(timestamp=None, key=row.key, value=row.value, headers=row.headers) is None:
                    break
                count += 1
            if count == 0:
                raise WriteError(f"{topic}/{partition}: a record of {len(rows[sent].value or b'')} bytes does not fit into a batch of {MAX_BATCH_BYTES}")
            batch.close()
            try:
                placed = await (await self._producer.send_batch(batch, topic, partition=partition))
            except _FINAL as error:
                raise WriteError(f"{topic}/{partition}: {error!r}; check the topic's limits and this client's rights") from error
            except KafkaError as error:
                await self._patience.wait(error)
                continue
            batches.append(Written(topic, partition, placed.offset, rows[sent : sent + count]))
            sent += count
            self._patience.end()
        return batches


__all__ = ["Row", "WriteError", "Writer", "Written"]
