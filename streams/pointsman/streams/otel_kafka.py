"""`pointsman otel`: spans that the OpenTelemetry Collector writes to Kafka, as events on our topics, until SIGTERM.

One record is one `ExportTraceServiceRequest` (`otlp_proto` or `otlp_json`). What it became is written and acknowledged before its offset is committed; after
a crash it comes again with the same event ids, which a scope drops. So nothing is lost, and nothing counts twice.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalGenerationError, IllegalStateError, KafkaError, RebalanceInProgressError, UnknownMemberIdError

from pointsman.schemas import Event, EventRejected
from pointsman.schemas.access import Patience
from pointsman.schemas.settings import KafkaSettings, OtelSettings, security

from .otel import Adapter
from .otel_events import events_of
from .stopping import run_until_stopped
from .writer import Row, Writer

EVENTS_A_COMMIT = 1_000  # far fewer than the event ids that a scope remembers
EVENTS, DEAD_LETTERS = "events", "dead-letters"
_TAKEN_AWAY = (CommitFailedError, IllegalGenerationError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError)

log = logging.getLogger(__name__)


class SpanReader:
    """Reads a topic of spans in a consumer group, and publishes what they tell."""

    def __init__(self, kafka: KafkaSettings, otel: OtelSettings, topic: str, group: str) -> None:
        self.counts: Counter[str] = Counter()
        self._kafka, self._topic, self._group = kafka, topic, group
        self._adapter = Adapter(otel)
        self._writer = Writer(kafka, (kafka.topic_prefix + EVENTS, kafka.topic_prefix + DEAD_LETTERS))

    async def run(self) -> None:
        """Read until cancelled; raises `AccessError` where Kafka does not let this client in."""
        patience = Patience(self._kafka, "Trying again; nothing is committed before it is published")
        await self._writer.start_when_there()
        try:
            while True:
                try:
                    await self._read(patience)
                except (KafkaError, OSError) as error:
                    await patience.wait(error)
        finally:
            await self._writer.stop()

    async def _read(self, patience: Patience) -> None:
        consumer: Any = AIOKafkaConsumer(
            self._topic,
            group_id=self._group,
            bootstrap_servers=self._kafka.bootstrap_servers,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
            session_timeout_ms=int(1000 * self._kafka.session_timeout_s),
            **security(self._kafka),
        )
        try:
            await consumer.start()
            log.info("reading %s as group %s", self._topic, self._group)
            while True:
                batches = await consumer.getmany(timeout_ms=200)
                patience.end()
                for place, records in batches.items():
                    await self._forward(consumer, place, records)
        finally:
            await consumer.stop()

    async def _forward(self, consumer: Any, place: TopicPartition, records: Sequence[Any]) -> None:
        """Publish what the records of one partition tell, and commit them, some at a time."""
        rows: list[Row] = []
        for record in records:
            events = events_of(self._adapter, record.value or b"", f"{record.topic}/{record.partition}/{record.offset}", self.counts)
            rows += [self._row(event) for event in events]
            if len(rows) >= EVENTS_A_COMMIT or record is records[-1]:
                await self._writer.write(rows)
                rows = []
                await self._commit(consumer, place, record.offset + 1)

    def _row(self, event: Event) -> Row:
        return self._writer.row(self._kafka.topic_prefix + (DEAD_LETTERS if isinstance(event, EventRejected) else EVENTS), event)

    async def _commit(self, consumer: Any, place: TopicPartition, offset: int) -> None:
        try:
            await consumer.commit({place: offset})
        except _TAKEN_AWAY:
            log.info("%s/%d went to another member: it publishes what was not committed once more, with the same ids", place.topic, place.partition)


def run(kafka: KafkaSettings, otel: OtelSettings, topic: str, group: str) -> Counter[str]:
    """Read until SIGTERM or an interrupt; what became of the spans."""
    import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")  # missing, it is said now and not with the first record
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    reader = SpanReader(kafka, otel, topic, group)
    run_until_stopped(reader.run())
    return reader.counts


__all__ = ["SpanReader", "run"]
