"""Snapshots in a table whose single writes last but not together: whatever a crash leaves, a whole one is found."""

from types import SimpleNamespace
from typing import Any

from events import stream
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.schemas import AnyInput, OptimizationConfig, Track, encode
from pointsman.streams.core import Core
from pointsman.streams.shard import Shard
from pointsman.streams.snapshot_table import Snapshots

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))
EVENTS = [event for event in stream(71, 200) if event.scope == "chat"]
Table = dict[bytes, bytes]


def records(events: list[AnyInput], first: int = 0) -> list[Any]:
    """Events as journal records."""
    return [SimpleNamespace(offset=first + number, value=encode(event)) for number, event in enumerate(events)]


def shard() -> Shard:
    return Shard("journal", 0, Core(CONFIG))


def write(table: Table, snapshots: Snapshots, folded: Shard, crash_after: int | None = None) -> None:
    """Save the scope, or only the first of the writes."""
    changes = snapshots.save("chat", 0, folded.applied, folded.core.snapshot("chat"))
    for key, value in changes[:crash_after]:
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value


def outputs(restored: Shard) -> list[bytes]:
    """What the rest of the journal says on a restored state."""
    return [encode(output) for output in restored.fold(records(EVENTS))]


def expected(after: int) -> list[bytes]:
    whole = shard()
    whole.fold(records(EVENTS[: after + 1]))
    return [encode(output) for output in whole.fold(records(EVENTS))]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(61, 120), st.integers(0, 30))
def test_a_crash_between_two_writes_leaves_a_whole_snapshot(first: int, second: int, crash_after: int) -> None:
    table: Table = {}
    owner, folded = Snapshots(table, "a"), shard()
    folded.fold(records(EVENTS[:first]))
    write(table, owner, folded)
    folded.fold(records(EVENTS[:second]))
    write(table, owner, folded, crash_after)
    restored = shard()
    assert Snapshots(table, "b").restore(restored)
    assert restored.ahead["chat"] in (first - 1, second - 1)
    assert outputs(restored) == expected(restored.ahead["chat"])


def test_a_former_owner_that_still_writes_overwrites_nothing() -> None:
    table: Table = {}
    former, old = Snapshots(table, "former"), shard()
    old.fold(records(EVENTS[:50]))
    write(table, former, old)
    owner, new = Snapshots(table, "owner"), shard()
    assert owner.restore(new)
    new.fold(records(EVENTS[:100]))
    write(table, owner, new)
    old.fold(records(EVENTS[:60]))
    write(table, former, old)
    restored = shard()
    assert Snapshots(table, "next").restore(restored)
    assert restored.ahead == {"chat": 99}


def test_an_owner_leaves_one_snapshot_and_nothing_of_its_predecessors() -> None:
    table: Table = {}
    folded = shard()
    for turn in range(4):
        owner, folded = Snapshots(table, f"owner-{turn}"), shard()
        owner.restore(folded)
        folded.fold(records(EVENTS[: 40 * (turn + 1)]))
        write(table, owner, folded)
        write(table, owner, folded)
    assert len(table) == len(folded.core.snapshot("chat")) + 1


def test_a_snapshot_of_another_configuration_is_not_taken_up() -> None:
    table: Table = {}
    folded = shard()
    folded.fold(records(EVENTS[:50]))
    write(table, Snapshots(table, "a"), folded)
    other = Shard("journal", 0, Core(OptimizationConfig()))
    assert not Snapshots(table, "b").restore(other)
    assert other.core.scopes() == []


def test_records_already_folded_are_passed_over() -> None:
    folded = shard()
    folded.fold(records(EVENTS))
    assert folded.fold(records(EVENTS)) == []
    assert folded.applied == len(EVENTS) - 1


def test_what_is_unsaved_bounds_what_may_be_committed() -> None:
    folded = shard()
    folded.fold(records(EVENTS[:10]))
    assert folded.is_saved_to() == 0
    folded.unsaved.clear()
    assert folded.is_saved_to() == 10


def test_a_tick_is_due_once_and_not_for_old_recordings() -> None:
    folded = shard()
    folded.fold(records(EVENTS))
    clock = folded.core.scope("chat").clock
    assert [tick.scope for tick in folded.ticks(clock + 200.0)] == ["chat"]
    assert folded.ticks(clock + 200.0) == []
    folded.watch("chat")
    assert folded.ticks(clock + 4000.0) == []
