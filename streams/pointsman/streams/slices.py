"""Slices: a partition's fetched records handed to a Faust agent some hundred at a time instead of one by one.

What Faust does per event (a message object, channels, sensors, a queue) costs more than the fold of many events; per slice it costs
nothing that shows. This is the public setting `ConsumerScheduler`; topics read this way have `acks=False`, and whoever folds
them commits their offsets.
"""

from collections.abc import Mapping
from typing import Any

from faust.transport.utils import DefaultSchedulingStrategy, TopicBuffer, TopicIndexMap
from faust.types import TP

LONGEST = 500


class Slice:
    """Consecutive records of one partition in the shape of one record: its offset is the last one's, its value the records."""

    __slots__ = ("offset", "partition", "timestamp", "timestamp_type", "topic", "value")
    checksum = None
    headers = ()
    key = None
    serialized_key_size = 0
    serialized_value_size = 0

    def __init__(self, records: list[Any]) -> None:
        last = records[-1]
        self.topic = last.topic
        self.partition = last.partition
        self.offset = last.offset
        self.timestamp = last.timestamp
        self.timestamp_type = last.timestamp_type
        self.value = records


class SliceScheduler(DefaultSchedulingStrategy):
    """Round robin over topics and partitions as in Faust, a slice at a turn; the tables' changelogs stay record by record."""

    @classmethod
    def map_from_records(cls, records: Mapping[TP, list[Any]]) -> TopicIndexMap:
        """The records of each partition as slices of at most 500."""
        index: TopicIndexMap = {}
        for tp, found in records.items():
            if not tp.topic.endswith("-changelog"):
                found = [Slice(found[place : place + LONGEST]) for place in range(0, len(found), LONGEST)]
            index.setdefault(tp.topic, TopicBuffer()).add(tp, found)
        return index


__all__ = ["LONGEST", "Slice", "SliceScheduler"]
