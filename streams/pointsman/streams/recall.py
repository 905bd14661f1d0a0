"""What a database remembers, as it happened: for whoever looks on and was not there."""

import heapq
from collections.abc import Iterator

from pointsman.schemas import Event, ResourceSampled, decode, decode_output

from .journal import Journal

Numbered = tuple[int, int, Event]


def recalled(journal: Journal, newest: int) -> Iterator[Event]:
    """The newest outputs and dead letters, so many of each, and the resource samples among as many newest events, each before what it caused."""
    samples: Iterator[Numbered] = ((position, 0, decode(line)) for position, line in journal.recent_of(ResourceSampled.TYPE, newest))
    outputs: Iterator[Numbered] = ((position, 1, decode_output(line)) for position, line in journal.recent_outputs(newest))
    for _, _, event in heapq.merge(samples, outputs, key=lambda row: row[:2]):
        yield event
    for line in journal.newest_dead_letters(newest):
        yield decode_output(line)


__all__ = ["recalled"]
