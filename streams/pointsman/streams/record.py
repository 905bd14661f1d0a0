"""Record: a journal, embedded or on Kafka, into a file in order."""

import asyncio
import time
from pathlib import Path
from typing import Any

from pointsman.schemas.access import admission, explained
from pointsman.schemas.settings import KafkaSettings, security

from .journal import reading
from .recording import open_write
from .replay import ReplayError, database_lines


def record_database(database: Path, output: Path) -> int:
    """Write the journal of an embedded database as a recording; how many events that were."""
    if database.resolve() == output.resolve():
        raise ReplayError(f"{output}: is the database itself; give --output another name")
    count = 0
    with reading(database):  # before the output is written over
        lines = database_lines(database)
    with open_write(output) as file:
        for _, line in lines:
            file.write(line + b"\n")
            count += 1
    return count


def record_kafka(settings: KafkaSettings, output: Path, *, topic: str = "journal", until_idle: float | None = None) -> int:
    """Write the journal (or another topic behind the prefix) as a recording, each partition in its order, until interrupted or idle for so many seconds."""
    try:
        return asyncio.run(_record(settings, settings.topic_prefix + topic, output, until_idle))
    except KeyboardInterrupt:
        return -1


async def _record(settings: KafkaSettings, topic: str, output: Path, until_idle: float | None) -> int:
    from aiokafka import AIOKafkaConsumer
    from aiokafka.errors import KafkaError

    consumer: Any = AIOKafkaConsumer(
        topic,
        bootstrap_servers=settings.bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        **security(settings),
    )
    count, last = 0, time.monotonic()
    try:
        await admission(settings)
        await consumer.start()
        with open_write(output) as file:
            while until_idle is None or time.monotonic() - last < until_idle:
                batches = await consumer.getmany(timeout_ms=200)
                for records in batches.values():
                    for record in records:
                        file.write((record.value or b"").strip() + b"\n")
                    count += len(records)
                    last = time.monotonic()
    except KafkaError as error:
        raise ReplayError(await explained(settings, error, f"is the broker up, and the topic {topic} there?")) from None
    finally:
        await consumer.stop()
    return count


__all__ = ["record_database", "record_kafka"]
