"""The laws of the core where everything that watches a scope is at work: alerts, an open incident, a silence, maintenance, a change of configuration."""

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signalling import CONFIG, signalled

from pointsman.schemas import (
    AlertRaised,
    AlertResolved,
    AnyInput,
    Event,
    Forecasts,
    IncidentOpened,
    IncidentResolved,
    IncidentUpdated,
    Origin,
    PredictionIssued,
    Tick,
    encode,
)
from pointsman.streams import snapshot
from pointsman.streams.core import Core
from pointsman.streams.embedded import Optimizer
from pointsman.streams.replay import replay_file

STEP = 90
WATCHED = ("anomaly", "drift", "slo_burn")


class Course(NamedTuple):
    """One fold of the whole: its events, what each caused, and the state before every ninetieth."""

    events: list[AnyInput]
    said: list[list[Event]]
    states: dict[int, dict[str, bytes]]

    def lines(self, first: int = 0, last: int | None = None) -> bytes:
        """The outputs of a stretch of events, a line each."""
        return lines(self.said[first:last])

    def outputs(self) -> list[Event]:
        """All outputs."""
        return [output for found in self.said for output in found]


def lines(said: Sequence[list[Event]]) -> bytes:
    """Outputs, a line each."""
    return b"".join(encode(output) + b"\n" for found in said for output in found)


def fold(core: Core, events: Sequence[AnyInput]) -> bytes:
    """Every output of a fold, a line each."""
    return lines([core.step(event) for event in events])


def restored(parts: dict[str, bytes]) -> Core:
    """A core that goes on from a snapshot."""
    core = Core(CONFIG)
    assert core.restore("chat", parts)
    return core


@cache
def course() -> Course:
    """The fold of a stream in which everything happens."""
    events, core, found = signalled(), Core(CONFIG), Course([], [], {})
    for place, event in enumerate(events):
        if place and place % STEP == 0:
            found.states[place] = core.snapshot("chat")
        found.events.append(event)
        found.said.append(core.step(event))
    found.states[len(events)] = core.snapshot("chat")
    return found


def open_at(outputs: Sequence[Event]) -> bool:
    """Whether an incident is open at the end of these."""
    named = [output for output in outputs if isinstance(output, IncidentOpened | IncidentResolved)]
    return bool(named) and isinstance(named[-1], IncidentOpened)


def test_in_the_stream_there_is_all_that_the_laws_are_to_hold_for() -> None:
    outputs = course().outputs()
    alerts = [output for output in outputs if isinstance(output, AlertRaised)]
    assert {"anomaly", "slo_burn"} <= {alert.kind for alert in alerts}
    assert "silenced" in {alert.muted for alert in alerts}
    kinds = {output.TYPE for output in outputs}
    assert {"incident.opened/1", "incident.updated/1", "incident.resolved/1", "objective.reported/1", "bottleneck.reported/1"} <= kinds
    assert any(isinstance(output, IncidentUpdated) and output.acknowledged_by == "ana" for output in outputs)
    assert not [output for output in outputs if output.TYPE == "event.rejected/1"]
    assert sum(open_at([one for said in course().said[:place] for one in said]) for place in course().states) > 5


def test_from_every_snapshot_on_the_fold_is_the_whole_one() -> None:
    whole = course()
    for first, last in pairwise(whole.states):
        core = restored(whole.states[first])
        assert core.snapshot("chat") == whole.states[first]
        assert fold(core, whole.events[first:last]) == whole.lines(first, last)
        assert core.snapshot("chat") == whole.states[last]


@settings(deadline=None, max_examples=15)
@given(st.data())
def test_a_snapshot_between_any_two_events_and_the_tail_equal_the_whole(data: st.DataObject) -> None:
    whole = course()
    first = data.draw(st.sampled_from([*whole.states][:-1]))
    last = min(first + STEP, len(whole.events))
    cut = data.draw(st.integers(first, last))
    before = restored(whole.states[first])
    head = fold(before, whole.events[first:cut])
    after = restored(before.snapshot("chat"))
    assert head + fold(after, whole.events[cut:last]) == whole.lines(first, last)


def test_every_part_of_a_snapshot_is_one_record() -> None:
    assert max(len(part) for parts in course().states.values() for part in parts.values()) < 256_000


def test_another_process_with_another_hash_seed_says_the_same() -> None:
    program = "import hashlib, sys, test_signal_laws as t; print(hashlib.sha256(t.fold(t.Core(t.CONFIG), t.signalled())).hexdigest())"
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(course().lines()).hexdigest()


def test_what_is_forwarded_again_or_comes_twice_changes_nothing() -> None:
    whole, draw = course(), random.Random(3)
    events = [event.model_copy(update={"origin": Origin(topic="events", partition=0, offset=place)}) for place, event in enumerate(whole.events)]
    again: list[AnyInput] = []
    for place in range(0, len(events), 200):
        again += events[max(place - draw.randrange(150), 0) : place + 200]
        again += [event.model_copy(update={"origin": None}) for event in draw.sample(events[max(place - 500, 0) : place + 200], 5)]
    assert fold(Core(CONFIG), again) == whole.lines()


def test_another_scope_with_troubles_of_its_own_does_not_show() -> None:
    whole, core = course(), Core(CONFIG)
    others = signalled(2, 300.0, "mail")
    together = sorted([*enumerate(whole.events), *enumerate(others)], key=lambda row: row[0])
    said = [output for _, event in together for output in core.step(event)]
    assert b"".join(encode(output) + b"\n" for output in said if output.scope == "chat") == whole.lines()
    assert any(isinstance(output, IncidentOpened) and output.scope == "mail" for output in said)


def later(events: Sequence[AnyInput], seconds: float) -> Iterator[AnyInput]:
    """The same once more, so much later."""
    for event in events:
        if event.TYPE.startswith(("request.", "quality.", "resource.", "tick")):
            named = {"request_id": f"{seconds}/{request}"} if (request := getattr(event, "request_id", None)) is not None else {}
            yield event.model_copy(update={"event_id": f"{seconds}/{event.event_id}", "occurred_at": event.occurred_at + seconds, **named})


def test_state_does_not_grow_with_the_troubles_of_a_stream() -> None:
    core = Core(CONFIG.model_copy(update={"forecasts": Forecasts(enabled=False)}))
    sizes = []
    for turn in range(3):
        fold(core, [*later(signalled(), 800.0 * turn)])
        sizes.append(sum(len(part) for name, part in core.snapshot("chat").items() if name.startswith("signals:")))
    assert sizes[-1] < 2 * sizes[0]


def moments(seed: int, count: int = 400) -> list[AnyInput]:
    """The stream with ticks at random moments in between, where they fall in time."""
    draw, events = random.Random(seed), course().events
    highest, rows = 0.0, list[AnyInput]()
    chosen = {draw.randrange(1, len(events)) for _ in range(count)}
    for place, event in enumerate(events):
        if place in chosen and event.occurred_at > highest:
            at = draw.uniform(highest, event.occurred_at)
            rows.append(Tick(event_id=f"tick-{place}", scope="chat", occurred_at=at))
        rows.append(event)
        highest = max(highest, event.occurred_at)
    return rows


def test_ticks_at_any_moment_change_nothing_of_what_events_say() -> None:
    def raised(outputs: Sequence[Event]) -> list[tuple[str, float]]:
        return [(one.fingerprint, one.since) for one in outputs if isinstance(one, AlertRaised) and one.kind in WATCHED and one.reason is None]

    core = Core(CONFIG)
    said = [output for event in moments(1) for output in core.step(event)]
    assert raised(said) == raised(course().outputs())
    opened = [[one.since for one in outputs if isinstance(one, IncidentOpened)] for outputs in (said, course().outputs())]
    assert opened[0] == opened[1]
    asked = [[one.request_id for one in outputs if isinstance(one, PredictionIssued)] for outputs in (said, course().outputs())]
    assert asked[0] == asked[1]


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_after_a_tick_when_something_is_due_the_next_is_later(share: float) -> None:
    states = [*course().states.values()]
    core = restored(states[min(int(share * len(states)), len(states) - 1)])
    before, ticks = core.scope("chat").clock, 0
    while (due := core.next_due("chat")) is not None and ticks < 40:
        assert due > before or ticks == 0
        before, ticks = max(due, before), ticks + 1
        core.step(Tick(event_id=f"tick-{ticks}", scope="chat", occurred_at=before))
        assert core.scope("chat").clock == before
    assert ticks


def test_a_journal_its_replay_and_two_halves_are_the_same_bytes(tmp_path: Path) -> None:
    whole = course()
    with Optimizer.open(str(tmp_path / "a.db"), CONFIG, clock=lambda: whole.events[0].occurred_at) as optimizer:
        optimizer.record_many(whole.events)
        journaled = b"".join(line + b"\n" for _, line in optimizer.outputs())
    assert journaled == whole.lines()
    replay_file(str(tmp_path / "a.db"), tmp_path / "a.jsonl", config=CONFIG)
    assert (tmp_path / "a.jsonl").read_bytes() == whole.lines()
    half, said = next(place for place in whole.states if open_at([one for found in whole.said[:place] for one in found])), b""
    for name, part in (("first", whole.events[:half]), ("second", whole.events[half:])):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in part))
        replay_file(str(tmp_path / f"{name}.jsonl"), tmp_path / f"{name}.out", config=CONFIG, state=tmp_path / "state.json")
        said += (tmp_path / f"{name}.out").read_bytes()
    assert said == whole.lines()


def test_alerts_that_are_resolved_were_raised() -> None:
    standing: set[str] = set()
    for output in course().outputs():
        if isinstance(output, AlertRaised):
            standing.add(output.fingerprint)
        elif isinstance(output, AlertResolved):
            standing.remove(output.fingerprint)


def test_a_snapshot_in_another_format_is_dropped_and_the_journal_goes_on_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = course().events[:900]

    def record(part: list[AnyInput]) -> bytes:
        with Optimizer.open(str(tmp_path / "a.db"), CONFIG, clock=lambda: events[0].occurred_at) as optimizer:
            optimizer.record_many(part)
            return b"".join(line + b"\n" for _, line in optimizer.outputs())

    record(events[:600])
    monkeypatch.setattr(snapshot, "FORMAT", snapshot.FORMAT + 1)
    assert not Core(CONFIG).restore("chat", course().states[540])
    assert record(events[600:]) == course().lines(0, 900)
