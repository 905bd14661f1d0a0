"""Following output topics on Kafka from their beginning, through absences of the broker."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from pointsman.schemas.access import Patience
from pointsman.schemas.settings import KafkaSettings, security


async def follow(settings: KafkaSettings, suffixes: Sequence[str], consequence: str) -> AsyncGenerator[bytes | None, None]:
    """Values of the topics with these suffixes as they come; None once those that stood there at the start, or at a return of the broker, are through.

    After an absence it goes on where it was; a topic that was made anew meanwhile is read from its beginning. `consequence` is logged while the broker
    is away; raises `AccessError` where it refuses.
    """
    from aiokafka.errors import KafkaError

    patience = Patience(settings, consequence)
    reached: dict[Any, int] = {}
    while True:
        try:
            async with aclosing(lines_after(settings, suffixes, reached)) as lines:
                async for line in lines:
                    patience.end()
                    yield line
        except (KafkaError, OSError) as error:
            await patience.wait(error)


async def lines_after(settings: KafkaSettings, suffixes: Sequence[str], reached: dict[Any, int]) -> AsyncGenerator[bytes | None, None]:
    """The values after the offsets that were reached, which are kept up to date."""
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
        for place in places:
            if 0 < reached.get(place, 0) <= ends.get(place, 0):
                consumer.seek(place, reached[place])
        while True:
            for place, end in list(ends.items()):
                if await consumer.position(place) >= end:
                    del ends[place]
            if not ends:
                yield None
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    reached[place] = record.offset + 1
                    if record.value is not None:
                        yield record.value
    finally:
        await consumer.stop()


__all__ = ["follow", "lines_after"]
