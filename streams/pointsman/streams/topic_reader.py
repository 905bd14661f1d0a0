"""Reading whole topics without a consumer group: every partition, from the offsets that were asked for."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pointsman.schemas.settings import KafkaSettings, security

from .offsets import Partition
from .topics import TopicError

FETCHED = 500


class TopicReader:
    """An open consumer; all names are without the prefix."""

    def __init__(self, consumer: Any, prefix: str) -> None:
        self._consumer = consumer
        self._prefix = prefix

    async def ends(self, partitions: Iterable[Partition]) -> tuple[dict[Partition, int], dict[Partition, int]]:
        """The first offset that is still there, and the one behind the last."""
        places = {self._place(partition): partition for partition in partitions}
        first = await self._consumer.beginning_offsets(list(places))
        last = await self._consumer.end_offsets(list(places))
        return {places[place]: offset for place, offset in first.items()}, {places[place]: offset for place, offset in last.items()}

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Read these partitions, from these offsets on."""
        self._consumer.assign([self._place(partition) for partition in offsets])
        for partition, offset in offsets.items():
            self._consumer.seek(self._place(partition), offset)

    async def position(self, partition: Partition) -> int:
        """The offset that is read next."""
        return int(await self._consumer.position(self._place(partition)))

    async def records(self, timeout_ms: int) -> list[tuple[Partition, list[Any]]]:
        """What came, at most 500 records, or nothing within that time."""
        found = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=FETCHED)
        return [((place.topic.removeprefix(self._prefix), place.partition), records) for place, records in found.items()]

    def _place(self, partition: Partition) -> Any:
        from aiokafka import TopicPartition

        topic, number = partition
        return TopicPartition(self._prefix + topic, number)


async def partitions_of(settings: KafkaSettings, topics: Iterable[str]) -> list[Partition]:
    """The partitions of topics; raises `TopicError` where one is not there, `KafkaError` where the broker does not answer."""
    from aiokafka.admin import AIOKafkaAdminClient

    admin: Any = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers, **security(settings))
    try:
        await admin.start()
        there = await admin.list_topics()
        names = [settings.topic_prefix + topic for topic in topics]
        if missing := [name for name in names if name not in there]:
            raise TopicError(f"topic {missing[0]} is not there: run `pointsman topics`")
        rows = await admin.describe_topics(names)
        return sorted((row["topic"].removeprefix(settings.topic_prefix), part["partition"]) for row in rows for part in row["partitions"])
    finally:
        await admin.close()


@asynccontextmanager
async def reading(settings: KafkaSettings) -> AsyncGenerator[TopicReader, None]:
    """A reader, closed at the end; raises `KafkaError` where the broker does not answer."""
    from aiokafka import AIOKafkaConsumer

    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        metadata_max_age_ms=30_000,
        **security(settings),
    )
    try:
        await consumer.start()
        yield TopicReader(consumer, settings.topic_prefix)
    finally:
        await consumer.stop()


__all__ = ["TopicReader", "partitions_of", "reading"]
