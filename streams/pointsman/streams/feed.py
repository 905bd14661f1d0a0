"""The one reader of a deployment's outputs: board, metrics, policies and the ring of the stream all live on what it hears."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from pointsman.schemas import Event, EventRejected, PolicyPublished, QualityAssessed, Refused, RequestCompleted, ResourceSampled, decode, decode_output
from pointsman.schemas.access import Patience
from pointsman.schemas.settings import KafkaSettings
from pointsman.sinks.board import Board

from .backend import Away
from .event_stream import frame, letter_line
from .http_metrics import Meter
from .offsets import Offsets, Partition
from .repeats import Repeats
from .ring import Frame, Ring
from .topic_reader import TopicReader, partitions_of, reading
from .topics import OUTPUT_TOPICS, TopicError

JOURNAL = "journal"
OUTPUTS = tuple(dict.fromkeys(OUTPUT_TOPICS.values()))
RECALLED = 20_000  # of each topic, over all its partitions
MOST_POLICIES = 2_000
LIVED = tuple(kind.TYPE.encode() for kind in (ResourceSampled, RequestCompleted, QualityAssessed))
ANSWER_S = 2.0
log = logging.getLogger(__name__)


class Feed:
    """Reads what is new, and before that some of what stands on the topics; `ready` says whether it has and the broker answers."""

    def __init__(self, settings: KafkaSettings, ring: Ring, board: Board, meter: Meter) -> None:
        self._settings = settings
        self._ring = ring
        self._board = board
        self._meter = meter
        self._patience = Patience(settings, "The server answers by what is known, trying again")
        self._reader: TopicReader | None = None
        self._following: dict[Partition, int] = {}
        self._missing: dict[Partition, int] = {}
        self._recalled_until: dict[Partition, int] = {}
        self._why = "the topics are being read"
        self._repeats = Repeats()
        self.offsets = Offsets({})
        self.count = 0
        self.policies: OrderedDict[tuple[str, int], PolicyPublished] = OrderedDict()

    async def run(self) -> None:
        """Read for ever, through absences of the broker; raises `AccessError` where it does not let this client in."""
        from aiokafka.errors import KafkaError

        while True:
            try:
                async with reading(self._settings) as reader:
                    await self._read(reader)
            except (KafkaError, OSError) as error:
                self._reader = None
                self._why = "the broker does not answer"
                await self._patience.wait(error)
            except TopicError as error:
                self._why = str(error)
                await asyncio.sleep(ANSWER_S)
            except Exception:
                log.exception("the topics are no longer read")
                raise

    async def ready(self) -> None:
        """Return where everything is read that stood there at the start and the broker answers; raises `Away`."""
        from aiokafka.errors import KafkaError

        if self._reader is None or self._missing:
            raise Away(f"kafka {self._settings.bootstrap_servers}: {self._why}")
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._reader.ends([next(iter(self._following))])
        except (KafkaError, OSError, TimeoutError):
            raise Away(f"kafka {self._settings.bootstrap_servers}: the broker does not answer") from None

    def here(self) -> tuple[int, Offsets]:
        """How far the ring goes, as it counts and as offsets; raises `Away` until what stood there at the start is read."""
        if self._missing or not self._following:
            raise Away(f"kafka {self._settings.bootstrap_servers}: {self._why}")
        return self.count, self.offsets.copy()

    async def _read(self, reader: TopicReader) -> None:
        if not self._following:
            await self._begin(reader)
        reader.seek(self._following)
        self._reader = reader
        while True:
            batches = await reader.records(timeout_ms=200)
            if batches:
                self._patience.end()
            for partition, records in batches:
                self._take(partition, records)
            for partition in list(self._missing):
                if await reader.position(partition) >= self._missing[partition]:
                    del self._missing[partition]
            await asyncio.sleep(0)

    async def _begin(self, reader: TopicReader) -> None:
        """Where to begin: as far back as is recalled; what is there now counts as heard before."""
        partitions = await partitions_of(self._settings, (*OUTPUTS, JOURNAL))
        first, last = await reader.ends(partitions)
        each = RECALLED * len((*OUTPUTS, JOURNAL)) // len(partitions)
        self._missing = {partition: end for partition, end in last.items() if end > first[partition]}
        self._recalled_until = dict(last)
        self.offsets = Offsets({partition: end for partition, end in last.items() if partition[0] != JOURNAL})
        self._following = {partition: max(first[partition], end - each) for partition, end in last.items()}

    def _take(self, partition: Partition, records: Sequence[Any]) -> None:
        topic, number = partition
        recalled_until = self._recalled_until.get(partition, 0)
        self._following[partition] = records[-1].offset + 1
        if topic == JOURNAL:
            for record in records:
                self._lived(record, is_new=record.offset >= recalled_until)
            return
        frames: list[Frame] = []
        heard: list[tuple[Event, bytes]] = []
        for record in records:
            is_new = record.offset >= recalled_until
            if is_new:
                self.offsets.advance(topic, number, record.offset + 1)
            if record.value is None or self._repeats.has(record.value) or (event := _decoded(record.value)) is None:
                continue
            self._hear(event)
            self._meter.gauges.add(event)
            if not is_new:
                continue
            self._meter.traffic.add(event)
            self.count += 1
            line = letter_line(event) if isinstance(event, EventRejected) else record.value
            frames.append(Frame(self.count, event.scope, str(getattr(event, "type", "")), frame(str(self.offsets), line)))
            heard.append((event, record.value))
        if frames:
            self._ring.extend(frames)
            self._meter.heard(heard)

    def _hear(self, event: Event) -> None:
        self._board.hear(event)
        if isinstance(event, PolicyPublished):
            self.policies[event.scope, event.version] = event
            if len(self.policies) > MOST_POLICIES:
                self.policies.popitem(last=False)

    def _lived(self, record: Any, *, is_new: bool) -> None:
        """Of the journal what hosts measured, and of what is new how requests ended and were judged."""
        if record.value is None or dict(record.headers).get("ce_type") not in (LIVED if is_new else LIVED[:1]):
            return
        try:
            event = decode(record.value)
        except Refused:
            log.debug("a record of the journal cannot be read")
            return
        if isinstance(event, ResourceSampled):
            self._board.hear(event)
            self._meter.gauges.add(event)
        else:
            self._meter.traffic.add(event)


def _decoded(value: bytes) -> Event | None:
    try:
        return decode_output(value)
    except Refused:  # of another version, or somebody else's
        return None


__all__ = ["JOURNAL", "OUTPUTS", "Feed"]
