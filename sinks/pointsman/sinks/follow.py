"""Following output topics on Kafka from their beginning, through absences of the broker."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from pointsman.schemas.access import Patience
from pointsman.schemas.settings import KafkaSettings, security


async def follow(settings: KafkaSettings, suffixes: Sequence[str], consequence: str) -> AsyncGenerator[bytes | None, None]:
    """Values of the topics with these suffixes as they come; None once those that stood there at the start, or at a return of the broker, are through.

    After an absence they come again from the beginning. `consequence` is logged while the broker is away; raises `AccessError` where it refuses.
    """
    from aiokafka.errors import KafkaError

    patience = Patience(settings, consequence)
    while True:
        try:
            async with aclosing(_lines(settings, suffixes)) as lines:
                async for line in lines:
                    patience.end()
                    yield line
        except (KafkaError, OSError) as error:
            await patience.wait(error)


async def _lines(settings: KafkaSettings, suffixes: Sequence[str]) -> AsyncGenerator[bytes | None, None]:
    from aiokafka import AIOKafkaConsumer

    consumer: Any = AIOKafkaConsumer(
        *(settings.topic_prefix + suffix for suffix in suffixes),
        bootstrap_servers=settings.bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **security(settings),
    )
    try:
        await consumer.start()
        places = list(consumer.assignment())
        ends = {place: end for place, end in (await consumer.end_offsets(places)).items() if end > 0}
        while True:
            for place, end in list(ends.items()):
                if await consumer.position(place) >= end:
                    del ends[place]
            if not ends:
                yield None
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    if record.value is not None:
                        yield record.value
    finally:
        await consumer.stop()


__all__ = ["follow"]
