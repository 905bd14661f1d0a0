"""`pointsman operator`: the operator's reporter on Kafka, which follows the scopes' incidents and publishes them as input events of the operator's scope.

It keeps no state: at its start it reads the last day of incidents, and of what was reported, and reports what is missing. A report's id follows from what it
reports, and the scope drops repeats, so it may be stopped, started and even run twice at any time.
"""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pointsman.schemas import IncidentReported, Refused, decode, decode_output
from pointsman.schemas.access import Patience
from pointsman.schemas.settings import Settings, SettingsError, security

from .operator import Reporter
from .producer import Producer

HISTORY_S = 86_400.0
INCIDENTS, REPORTED = "incidents", "incidents.reported"

log = logging.getLogger(__name__)


async def operate(settings: Settings) -> None:
    """Run until cancelled. Raises `AccessError` where Kafka does not let this client in, `SettingsError` where no scope is named."""
    scope = settings.operator.scope
    if scope is None:
        raise SettingsError('no operator scope is configured: add [operator] with scope = "operator", for example')
    patience = Patience(settings.kafka, "Nothing is lost, trying again")
    async with Producer(settings.kafka, source="operator", by_type=True) as producer:
        while True:
            try:
                async for reports in _reports(settings, Reporter(scope)):
                    patience.end()
                    for report in reports:
                        log.info("%s of scope %s is %s", report.incident, report.reporter, report.state)
                        await producer.publish(report)
                    if reports:
                        await producer.flush()
            except (KafkaError, OSError) as error:
                await patience.wait(error)


async def _reports(settings: Settings, reporter: Reporter) -> AsyncIterator[Sequence[IncidentReported]]:
    """What to publish, as it is seen; begins with what came while nobody looked."""
    topics = [settings.kafka.topic_prefix + suffix for suffix in (INCIDENTS, REPORTED)]
    consumer: Any = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=settings.kafka.bootstrap_servers,
        auto_offset_reset="latest",
        enable_auto_commit=False,
        **security(settings.kafka),
    )
    try:
        await consumer.start()
        places = sorted(consumer.assignment())
        if missing := [topic for topic in topics if topic not in {place.topic for place in places}]:
            raise OSError(f"kafka {settings.kafka.bootstrap_servers} has no topic {missing[0]}: run `pointsman topics`")
        ends = await _seek_back(consumer, places)
        told: dict[str, None] = {}
        reports: dict[str, IncidentReported] = {}
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    told |= dict.fromkeys(_told(record.value) if record.topic == topics[1] else ())
                    reports |= {report.event_id: report for report in (_seen(record.value, reporter) if record.topic == topics[0] else ())}
        yield sorted((report for name, report in reports.items() if name not in told), key=lambda report: (report.occurred_at, report.event_id))
        while True:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    if record.topic == topics[0]:
                        yield _seen(record.value, reporter)
    finally:
        await consumer.stop()


async def _seek_back(consumer: Any, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """To a day ago; where the partitions end now."""
    offsets = await consumer.offsets_for_times(dict.fromkeys(places, int(1000.0 * (time.time() - HISTORY_S))))
    ends: dict[TopicPartition, int] = await consumer.end_offsets(list(places))
    for place in places:
        found = offsets.get(place)
        consumer.seek(place, found.offset if found is not None else ends[place])
    return ends


def _told(value: bytes | None) -> list[str]:
    try:
        return [decode(value or b"").event_id]
    except Refused:
        return []


def _seen(value: bytes | None, reporter: Reporter) -> list[IncidentReported]:
    try:
        return reporter.observe(decode_output(value or b""))
    except Refused:
        return []


async def _until_stopped(settings: Settings) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(operate(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def run(settings: Settings) -> None:
    """Run until SIGTERM or an interrupt."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pointsman").setLevel(logging.INFO)
    asyncio.run(_until_stopped(settings))


__all__ = ["operate", "run"]
