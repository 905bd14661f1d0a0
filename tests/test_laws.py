"""The laws of the core as properties over whole streams."""

import subprocess
import sys
from pathlib import Path

from events import stream, streams
from extremes import extremes
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.schemas import AnyInput, Forecasts, OptimizationConfig, Origin, Strategy, Track, decode, decode_output, encode
from pointsman.streams.core import Core

CONFIG = OptimizationConfig(strategy="adaptive", tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)))
GOLDEN = Path(__file__).parent / "golden"


def fold(core: Core, events: list[AnyInput]) -> bytes:
    """Every output of a fold, a line each."""
    return b"".join(encode(output) + b"\n" for event in events for output in core.step(event))


def sizes(core: Core, events: list[AnyInput]) -> list[int]:
    """Bytes of state of the scope `chat` half-way through a fold and at its end."""
    found = []
    for number, event in enumerate(events):
        core.step(event)
        if number in (len(events) // 2, len(events) - 1):
            found.append(sum(map(len, core.snapshot("chat").values())))
    return found


def state(core: Core) -> dict[str, dict[str, bytes]]:
    """The snapshots of all scopes."""
    return {scope: core.snapshot(scope) for scope in core.scopes()}


@settings(deadline=None, max_examples=40)
@given(streams())
def test_the_same_journal_gives_the_same_bytes(events: list[AnyInput]) -> None:
    again = [decode(encode(event)) for event in events]
    assert fold(Core(CONFIG), events) == fold(Core(CONFIG), again)


@settings(deadline=None, max_examples=40)
@given(streams(), st.floats(0, 1))
def test_a_snapshot_and_the_tail_equal_the_whole(events: list[AnyInput], share: float) -> None:
    cut = int(share * len(events))
    whole, first, second = Core(CONFIG), Core(CONFIG), Core(CONFIG)
    head = fold(first, events[:cut])
    for scope in first.scopes():
        assert second.restore(scope, first.snapshot(scope))
    assert head + fold(second, events[cut:]) == fold(whole, events)
    assert state(second) == state(whole)


@settings(deadline=None, max_examples=40)
@given(streams(), st.integers(0, 2**32))
def test_events_that_come_again_change_nothing(events: list[AnyInput], seed: int) -> None:
    again = [event for number, event in enumerate(events) for event in [event] * (1 + (seed >> number % 32 & 1))]
    assert fold(Core(CONFIG), again) == fold(Core(CONFIG), events)


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**32), st.sampled_from(("balanced", "cost", "adaptive")))
def test_no_valid_event_raises_and_every_output_is_valid(seed: int, strategy: Strategy) -> None:
    core, events = Core(OptimizationConfig(strategy=strategy)), extremes(seed, 120)
    assert [decode(encode(event)) for event in events] == events
    assert all(decode_output(encode(output)) == output for event in events for output in core.step(event))
    assert Core(OptimizationConfig(strategy=strategy)).restore(events[0].scope, core.snapshot(events[0].scope))


def test_what_an_intake_forwards_again_after_a_crash_changes_nothing() -> None:
    events = [event.model_copy(update={"origin": Origin(topic="events", partition=0, offset=number)}) for number, event in enumerate(stream(3, 200))]
    zombie = events[:300] + events[150:300] + events[300:]
    assert fold(Core(CONFIG), zombie) == fold(Core(CONFIG), events)


def test_outputs_do_not_depend_on_where_an_event_came_from() -> None:
    events = stream(4, 100)
    moved = [event.model_copy(update={"origin": Origin(topic="t", partition=1, offset=n)}) for n, event in enumerate(events)]
    assert fold(Core(CONFIG), moved) == fold(Core(CONFIG), events)


def test_a_scope_does_not_show_in_another() -> None:
    events = stream(5, 300)
    alone = [event for event in events if event.scope == "chat"]
    core = Core(CONFIG)
    together = b"".join(encode(output) + b"\n" for event in events for output in core.step(event) if output.scope == "chat")
    assert together == fold(Core(CONFIG), alone)


def test_state_does_not_grow_with_the_stream() -> None:
    events = [event for event in stream(6, 9000) if event.scope == "chat"]
    core = Core(CONFIG.model_copy(update={"forecasts": Forecasts(enabled=False)}))  # they fill over days: tests/test_workload.py
    half, end = sizes(core, events)
    assert end < 1.2 * half
    assert max(map(len, core.snapshot("chat").values())) < 256_000


def test_a_snapshot_of_another_configuration_is_dropped() -> None:
    core = Core(CONFIG)
    fold(core, stream(7, 20))
    assert not Core(OptimizationConfig()).restore("chat", core.snapshot("chat"))


def test_an_incomplete_snapshot_is_dropped() -> None:
    core = Core(CONFIG)
    fold(core, stream(7, 20))
    parts = core.snapshot("chat")
    del parts["policy"]
    assert not Core(CONFIG).restore("chat", parts)


def test_the_golden_log_gives_its_expected_output() -> None:
    events = [decode(line) for line in (GOLDEN / "journal.jsonl").read_bytes().splitlines()]
    assert fold(Core(CONFIG), events) == (GOLDEN / "outputs.jsonl").read_bytes()


def test_another_process_with_another_hash_seed_gives_the_same_bytes() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import hashlib, test_laws as t; "
        "print(hashlib.sha256(t.fold(t.Core(t.CONFIG), t.stream(8, 100))).hexdigest())"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    digests = {
        subprocess.run(command, env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
