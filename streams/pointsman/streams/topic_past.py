"""The newest of a scope on the journal topic, so that a request is explained as from an embedded journal."""

import asyncio
from collections.abc import Iterable, Iterator

from pointsman.schemas import PolicyPublished, RecommendationIssued, decode, encode
from pointsman.schemas.settings import KafkaSettings

from .backend import Away
from .offsets import Partition
from .topic_reader import reading

NEWEST = 10_000
LOOK_S = 10.0


class TopicPast:
    """Events of one scope at their offsets, oldest first, and the outputs that are known, each at the offset of its cause; see `Recent`."""

    def __init__(self, rows: list[tuple[int, bytes]], policies: Iterable[PolicyPublished], recommendation: RecommendationIssued | None) -> None:
        self._rows = rows
        places = {decode(line).event_id: offset for offset, line in rows}
        outputs = sorted(policies, key=lambda policy: policy.version)
        known = [*outputs, *([recommendation] if recommendation is not None else [])]
        self._outputs = sorted(((places.get(output.caused_by, -1), encode(output)) for output in known), key=lambda row: row[0], reverse=False)[::-1]

    def newest(self, scope: str) -> Iterator[tuple[int, bytes]]:
        """See `Recent.newest`; all rows are of one scope."""
        del scope
        return reversed(self._rows)

    def newest_outputs(self, position: int) -> Iterator[tuple[int, bytes]]:
        """See `Recent.newest_outputs`."""
        return (row for row in self._outputs if row[0] <= position)


async def looked_up(settings: KafkaSettings, partition: Partition, scope: str) -> tuple[list[tuple[int, bytes]], int, int]:
    """The events of a scope among the newest 10,000 of its partition, and between which offsets that was; raises `Away`."""
    from aiokafka.errors import KafkaError

    key, rows = scope.encode("utf-8", "replace"), list[tuple[int, bytes]]()
    try:
        async with asyncio.timeout(LOOK_S), reading(settings) as reader:
            first, last = await reader.ends([partition])
            begin, end = max(first[partition], last[partition] - NEWEST), last[partition]
            if begin < end:
                reader.seek({partition: begin})
            while begin < end and await reader.position(partition) < end:
                for _, records in await reader.records(200):
                    rows += [(record.offset, record.value) for record in records if record.key == key and record.value is not None and record.offset < end]
            return rows, begin, end
    except (KafkaError, OSError, TimeoutError):
        raise Away(f"kafka {settings.bootstrap_servers} does not answer: the journal cannot be read now") from None


__all__ = ["NEWEST", "TopicPast", "looked_up"]
