"""Where a consumer begins that keeps no offsets of its own."""

import time
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition


async def seek_back(consumer: Any, places: Sequence[TopicPartition], seconds: float) -> dict[TopicPartition, int]:
    """To the first record of the last `seconds` in every partition, its end where there is none; where the partitions end now."""
    offsets = await consumer.offsets_for_times(dict.fromkeys(places, int(1000.0 * (time.time() - seconds))))
    ends: dict[TopicPartition, int] = await consumer.end_offsets(list(places))
    for place in places:
        found = offsets.get(place)
        consumer.seek(place, found.offset if found is not None else ends[place])
    return ends


__all__ = ["seek_back"]
