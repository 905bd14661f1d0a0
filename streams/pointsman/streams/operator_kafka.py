"""`pointsman operator`: the operator's reporter on Kafka, which follows the scopes' incidents and publishes them as input events of the operator's scope.

It keeps no state: at its start it reads the last day of incidents, and of what was reported, and reports what is missing. A report's id follows from what it
reports, and the scope drops repeats, so it may be stopped, started and even run twice at any time.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from pointsman.schemas import IncidentReported, Refused, decode, decode_output
from pointsman.schemas.access import Patience
from pointsman.schemas.settings import Settings, SettingsError, security

from .operator import Reporter
from .producer import Producer
from .seeking import seek_back
from .stopping import run_until_stopped

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
        ends = await seek_back(consumer, places, HISTORY_S)
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


def run(settings: Settings) -> None:
    """Run until SIGTERM or an interrupt."""
    run_until_stopped(operate(settings))


__all__ = ["operate", "run"]
