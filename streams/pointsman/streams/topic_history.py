"""The stream of a deployment: the id of an output is where a reader stands behind it, so that any server goes on there, for as long as the topics keep it."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from pointsman.schemas import EventRejected, Refused, decode_output
from pointsman.schemas.settings import KafkaSettings

from .backend import Away
from .event_stream import BEGINNING, MOST_RESUMED, RETRY, Filter, Reached, chunks, frame, here, letter_line, told
from .feed import Feed
from .offsets import Offsets, Partition
from .repeats import Repeats
from .topic_reader import TopicReader, reading

AHEAD_S, AHEAD_TRIES = 0.05, 40
QUIET_MS = 500
MOST_QUIET = 20  # of these in a row: the broker is away


class TopicHistory:
    """What the topics have of the time before the ring; each subscriber that asks has a reader of its own until it has caught up."""

    def __init__(self, settings: KafkaSettings, feed: Feed) -> None:
        self._settings = settings
        self._feed = feed

    async def until_now(self, wanted: Filter, last_event_id: str | None) -> AsyncGenerator[bytes | Reached, None]:
        """See `History`; raises `Away` where the topics are not read yet."""
        from aiokafka.errors import KafkaError

        given = unquote(last_event_id or "")
        count, goal = self._feed.here()
        offsets = goal if not given else Offsets({}) if given == BEGINNING else Offsets.parse(given)
        if offsets is not None and given:
            count, goal = await self._caught_up_with(offsets)
        if offsets is None or _is_ahead(offsets, goal):
            yield here(str(goal)) + told("lost", last_event_id=given[:100], message="this id is not known here: what came after it is not repeated")
            offsets = goal
        else:
            yield here(str(goal)) if not given else RETRY
        while True:
            try:
                async for chunk in self._between(offsets, goal, wanted):
                    yield chunk
            except (KafkaError, OSError, Away):
                yield told("behind", message="the broker does not answer: connect again with the last id to have the rest")
                return
            yield Reached(count)
            offsets = goal
            count, goal = self._feed.here()

    async def _caught_up_with(self, offsets: Offsets) -> tuple[int, Offsets]:
        """How far the feed is, once it is as far as these, which another server may have given; after 2 s however far that is."""
        for _ in range(AHEAD_TRIES):
            count, goal = self._feed.here()
            if not _is_ahead(offsets, goal):
                return count, goal
            await asyncio.sleep(AHEAD_S)
        return self._feed.here()

    async def _between(self, start: Offsets, goal: Offsets, wanted: Filter) -> AsyncGenerator[bytes, None]:
        """What stands between two places on the topics."""
        wants = {partition: end for partition, end in goal.items() if start.of(partition) != end}
        if not wants:
            return
        async with reading(self._settings) as reader:
            begin, lost = await _begin(reader, start, wants)
            if lost:
                yield told("lost", outputs=lost, message=f"no longer on the topics, or more than the newest {MOST_RESUMED}: the rest is repeated")
            behind = Offsets({partition: begin.get(partition, end) for partition, end in goal.items()})
            left = {partition: end for partition, end in wants.items() if begin[partition] < end}
            if left:
                reader.seek({partition: begin[partition] for partition in left})
            quiet, repeats = 0, Repeats()
            while left:
                batches = await reader.records(QUIET_MS)
                quiet = 0 if batches else quiet + 1
                if quiet > MOST_QUIET:
                    raise Away
                for partition, records in batches:
                    for chunk in chunks(_frames(partition, records, wants[partition], behind, wanted, repeats)):
                        yield chunk
                for partition in list(left):
                    if await reader.position(partition) >= left[partition]:
                        del left[partition]


def _is_ahead(offsets: Offsets, goal: Offsets) -> bool:
    return any(offset > goal.of(partition) for partition, offset in offsets.items())


async def _begin(reader: TopicReader, start: Offsets, wants: dict[Partition, int]) -> tuple[dict[Partition, int], int]:
    """Where to begin in each partition, and how many outputs are lost: no longer there, or too many."""
    first, _ = await reader.ends(wants)
    asked = {partition: start.of(partition) for partition in wants}
    begin = {partition: min(max(offset, first[partition]), wants[partition]) for partition, offset in asked.items()}
    count = sum(wants[partition] - offset for partition, offset in begin.items())
    if count > MOST_RESUMED:
        share = MOST_RESUMED / count
        begin = {partition: wants[partition] - int((wants[partition] - offset) * share) for partition, offset in begin.items()}
    is_whole = not any(offset for _, offset in start.items())  # who asks for everything has lost nothing of it
    return begin, sum(begin[partition] - (first[partition] if is_whole else offset) for partition, offset in asked.items())


def _frames(partition: Partition, records: Sequence[Any], end: int, behind: Offsets, wanted: Filter, repeats: Repeats) -> Iterator[bytes]:
    """Records as frames, each with the place behind it."""
    topic, number = partition
    for record in records:
        if record.offset >= end:
            return
        behind.advance(topic, number, record.offset + 1)
        scope = (record.key or b"").decode("utf-8", "replace")
        kind = next((value.decode("utf-8", "replace") for name, value in record.headers if name == "ce_type"), "")
        if record.value is None or not wanted.wants(scope, kind) or repeats.has(record.value):
            continue
        line = record.value
        if kind == EventRejected.TYPE:
            try:
                letter = decode_output(line)
            except Refused:
                continue
            line = letter_line(letter) if isinstance(letter, EventRejected) else line
        yield frame(str(behind), line)


__all__ = ["TopicHistory"]
