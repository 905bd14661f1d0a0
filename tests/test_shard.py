"""Journal records that a worker wrote itself are folded without being fetched back, at their offsets and never across a gap."""

from typing import NamedTuple

from events import stream

from pointsman.schemas import OptimizationConfig, Track, encode
from pointsman.streams.core import Core
from pointsman.streams.shard import MOST_HANDED, Handed, Shard

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))
VALUES = [encode(event) for event in stream(41, 60)]


class Fetched(NamedTuple):
    """A record as the fetch brings it."""

    offset: int
    value: bytes


def _shard() -> Shard:
    return Shard("journal", 0, Core(CONFIG))


def _fetched(start: int, stop: int) -> list[Fetched]:
    return [Fetched(offset, VALUES[offset]) for offset in range(start, stop)]


def test_handed_and_fetched_records_fold_as_fetched_ones_alone() -> None:
    mixed, plain = _shard(), _shard()
    found = mixed.fold(_fetched(0, 10))
    mixed.hand(10, VALUES[10:30])
    mixed.hand(30, VALUES[30:45])
    while records := mixed.take():
        found += mixed.fold(records)
    found += mixed.fold(_fetched(5, len(VALUES)))
    assert [encode(output) for output in found] == [encode(output) for output in plain.fold(_fetched(0, len(VALUES)))]
    assert mixed.applied == plain.applied == len(VALUES) - 1


def test_records_behind_a_gap_wait_until_the_fetch_has_filled_it() -> None:
    shard = _shard()
    shard.hand(3, VALUES[3:5])
    assert not shard.has_next() and shard.take() == []
    shard.fold(_fetched(0, 3))
    assert shard.has_next() and shard.take() == [Handed(3, VALUES[3]), Handed(4, VALUES[4])]


def test_a_batch_that_the_fetch_has_begun_is_left_to_the_fetch() -> None:
    shard = _shard()
    shard.hand(3, VALUES[3:8])
    shard.fold(_fetched(0, 5))
    assert shard.take() == []


def test_only_a_few_batches_are_kept_behind_a_gap() -> None:
    shard = _shard()
    for offset in range(1, 2 + MOST_HANDED):
        shard.hand(offset, VALUES[offset : offset + 1])
    shard.fold(_fetched(0, 1))
    assert not shard.has_next()
