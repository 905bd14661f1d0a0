"""`pointsman allocate`: the allocator on Kafka, which follows the scopes' windows and forecasts and publishes their shares as input events.

It keeps no state of its own: what was allocated, the priorities and the last quarter of an hour of needs are read anew at every start, and an event's id
follows from what caused it. So it may be stopped, started and even run twice at any time; while none runs, the last shares hold.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pointsman.schemas import CapacityAllocated, ConfigChanged, OutputEvent, Refused, decode, decode_output
from pointsman.schemas.access import Patience
from pointsman.schemas.settings import Settings, SettingsError, security

from .capacity import Allocator, check, freed
from .producer import Producer
from .seeking import seek_back
from .stopping import run_until_stopped

HISTORY_S = 900.0
TOLD = ("capacity.allocated", "config.changed")
NEEDS = ("windows", "forecasts")

log = logging.getLogger(__name__)


async def allocate(settings: Settings) -> None:
    """Run until cancelled. Raises `AccessError` where Kafka does not let this client in, `SettingsError` where there is nothing to divide."""
    if not settings.capacity:
        raise SettingsError('no capacity is configured: add [[capacity]] with track = "local" and concurrency = 8, for example')
    check(settings.capacity, settings.tracks)
    patience = Patience(settings.kafka, "The last shares hold, trying again")
    async with Producer(settings.kafka, source="allocator", by_type=True) as producer:
        while True:
            try:
                async for events in _decisions(settings):
                    patience.end()
                    for event in events:
                        log.info("scope %s: %s of %s", event.scope, "no share" if event.concurrency is None else event.concurrency, event.track)
                        await producer.publish(event)
                    if events:
                        await producer.flush()
            except (KafkaError, OSError) as error:
                await patience.wait(error)


async def _decisions(settings: Settings) -> AsyncIterator[Sequence[CapacityAllocated]]:
    """What to publish, as it is decided; begins with what has changed while nobody looked."""
    topics = [settings.kafka.topic_prefix + suffix for suffix in (*TOLD, *NEEDS)]
    consumer: Any = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=settings.kafka.bootstrap_servers,
        auto_offset_reset="latest",
        enable_auto_commit=False,
        **security(settings.kafka),
    )
    allocator = Allocator(settings.capacity, settings.priority)
    try:
        await consumer.start()
        places = sorted(consumer.assignment())
        if missing := [topic for topic in topics if topic not in {place.topic for place in places}]:
            raise OSError(f"kafka {settings.kafka.bootstrap_servers} has no topic {missing[0]}: run `pointsman topics`")
        needs = [place for place in places if place.topic in topics[len(TOLD) :]]
        told = [place for place in places if place not in needs]
        await consumer.seek_to_beginning(*told)
        shares = {(event.scope, event.track): event async for value in _to_the_end(consumer, told) if (event := _input(value, allocator)) is not None}
        for event in shares.values():
            allocator.resume(event)
        yield freed(settings.capacity, shares.values())
        await seek_back(consumer, needs, HISTORY_S)
        last: OutputEvent | None = None
        async for value in _to_the_end(consumer, needs):
            output = _output(value)
            last = output if output is not None and allocator.note(output) else last
        yield allocator.settle(last) if last is not None else []
        while True:
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    if place in told:
                        _input(record.value, allocator)
                    elif (output := _output(record.value)) is not None:
                        yield allocator.observe(output)
    finally:
        await consumer.stop()


async def _to_the_end(consumer: Any, places: Sequence[TopicPartition]) -> AsyncIterator[bytes]:
    """The records that stand there now."""
    ends = await consumer.end_offsets(list(places))
    while True:
        behind = [place for place in places if await consumer.position(place) < ends[place]]
        if not behind:
            return
        for records in (await consumer.getmany(*behind, timeout_ms=200)).values():
            for record in records:
                if record.value is not None:
                    yield record.value


def _input(value: bytes | None, allocator: Allocator) -> CapacityAllocated | None:
    """Take in a changed priority; a share that was told comes back."""
    try:
        event = decode(value or b"")
    except Refused:
        return None
    if isinstance(event, ConfigChanged):
        allocator.prioritise(event.scope, event.config.priority)
    return event if isinstance(event, CapacityAllocated) else None


def _output(value: bytes | None) -> OutputEvent | None:
    try:
        output = decode_output(value or b"")
    except Refused:
        return None
    return output if isinstance(output, OutputEvent) else None


def run(settings: Settings) -> None:
    """Run until SIGTERM or an interrupt."""
    run_until_stopped(allocate(settings))


__all__ = ["allocate", "run"]
