"""What people say of alerts: who is told of what, from when to when, and that nothing else changes by it."""

from typing import Any

import pytest
from events import START, completed, sampled, started, stream, ticked
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.controls import MOST_STANDING, Controls
from pointsman.models.mutes import MOST_SILENCES, MOST_WINDOWS
from pointsman.schemas import (
    AlertAcknowledged,
    AlertRaised,
    AlertResolved,
    AlertSilenced,
    AnyInput,
    Constraints,
    Event,
    EventRejected,
    MaintenanceScheduled,
    OptimizationConfig,
    Track,
    encode,
)
from pointsman.streams import Optimizer
from pointsman.streams.core import Core
from pointsman.streams.intake import accept

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")), constraints=Constraints(max_cpu_percent=80.0), learners="light")
HOUR = 3600.0
CPU = "laptop/cpu_percent"


def said(model: type[Any], at: float, **fields: Any) -> Any:
    """A control of the scope `chat`, `at` seconds after the start of the stream."""
    return model(event_id=f"{model.TYPE}-{at}", scope="chat", occurred_at=START + at, **fields)


def silenced(at: float, until: float, **fields: Any) -> AlertSilenced:
    return AlertSilenced(**vars(said(AlertSilenced, at, until=START + until, **(fields or {"fingerprint": "laptop/*"}))))


def maintained(at: float, start: float, end: float, **fields: Any) -> MaintenanceScheduled:
    return MaintenanceScheduled(**vars(said(MaintenanceScheduled, at, start=START + start, end=START + end, **fields)))


def acknowledged(at: float, **fields: Any) -> AlertAcknowledged:
    return AlertAcknowledged(**vars(said(AlertAcknowledged, at, **fields)))


def hot(at: float) -> list[AnyInput]:
    """Two samples beyond the bound, which raise the alert."""
    return [sampled(at, cpu_percent=95.0), sampled(at + 1, cpu_percent=95.0)]


def cool(at: float) -> list[AnyInput]:
    """Two samples within bounds, which resolve it."""
    return [sampled(at, cpu_percent=10.0), sampled(at + 1, cpu_percent=10.0)]


def alerts(events: list[AnyInput], core: Core | None = None) -> list[tuple[str, float, str | None]]:
    """Raised or resolved, when, and how muted."""
    folded = core or Core(CONFIG)
    found = [output for event in events for output in folded.step(event) if isinstance(output, AlertRaised | AlertResolved)]
    return [("raised" if isinstance(one, AlertRaised) else "resolved", one.occurred_at - START, one.muted) for one in found]


def refused(events: list[AnyInput]) -> list[str]:
    """The codes of what was refused."""
    core = Core(CONFIG)
    return [output.reason.code for event in events for output in core.step(event) if isinstance(output, EventRejected)]


def test_an_alert_that_begins_silenced_and_ends_silenced_is_never_told() -> None:
    events = [silenced(0, HOUR), *hot(10), *cool(20), *hot(HOUR + 10)]
    assert alerts(events) == [("raised", 11, "silenced"), ("resolved", 21, "silenced"), ("raised", HOUR + 11, None)]


def test_an_alert_that_still_stands_when_its_silence_ends_is_told_then_by_time_alone() -> None:
    core = Core(CONFIG)
    assert alerts([silenced(0, 100), *hot(10)], core) == [("raised", 11, "silenced")]
    assert core.scope("chat").signals.controls.next_due() == START + 71  # looked at every minute, so that a shell goes on ticking a quiet scope
    assert alerts([ticked(99), ticked(100), ticked(101), *cool(110)], core) == [("raised", 100, None), ("resolved", 111, None)]


def test_who_was_told_of_an_alert_is_told_of_its_end_though_it_was_silenced_meanwhile() -> None:
    assert alerts([*hot(0), silenced(10, HOUR), *cool(20)]) == [("raised", 1, None), ("raised", 10, "silenced"), ("resolved", 21, None)]


def test_a_silence_is_lifted_by_a_time_that_has_passed_and_moved_by_another_end() -> None:
    events: list[AnyInput] = [*hot(0), silenced(10, HOUR), silenced(20, 2 * HOUR), ticked(HOUR + 1), silenced(HOUR + 10, HOUR + 9)]
    assert alerts(events) == [("raised", 1, None), ("raised", 10, "silenced"), ("raised", HOUR + 10, None)]


@pytest.mark.parametrize(
    ("patterns", "muted"),
    [
        ({"fingerprint": "*"}, "silenced"),
        ({"fingerprint": "laptop/cpu_?ercent"}, "silenced"),
        ({"fingerprint": "Laptop/*"}, None),
        ({"subject": "laptop"}, "silenced"),
        ({"kind": "constraint"}, "silenced"),
        ({"kind": "constraint", "subject": "desktop"}, None),
        ({"kind": "anomaly"}, None),
    ],
)
def test_a_silence_needs_every_pattern_to_match(patterns: dict[str, str], muted: str | None) -> None:
    assert alerts([silenced(0, HOUR, **patterns), *hot(10)]) == [("raised", 11, muted)]


def test_maintenance_begins_and_ends_by_time_and_concerns_what_it_names() -> None:
    events = [maintained(0, 100, 200, hosts=("laptop",)), *hot(10), ticked(150), ticked(250)]
    assert alerts(events) == [("raised", 11, None), ("raised", 150, "maintenance"), ("raised", 250, None)]
    assert alerts([maintained(0, 5, 200, tracks=("local",)), *hot(10)]) == [("raised", 11, None)]
    assert alerts([maintained(0, 5, 200), *hot(10)]) == [("raised", 11, "maintenance")]


def test_a_maintenance_window_said_again_with_another_end_is_moved() -> None:
    events = [maintained(0, 5, HOUR), *hot(10), maintained(20, 5, 19), *cool(30)]
    assert alerts(events) == [("raised", 11, "maintenance"), ("raised", 20, None), ("resolved", 31, None)]


def test_what_is_maintained_is_known_by_track_and_host_and_whole_scopes() -> None:
    controls = Controls()
    controls.advance(START)
    controls.told(maintained(0, 10, 20, tracks=("api",), hosts=("gpu",)))
    asked: list[tuple[str | None, str | None, float]] = [("api", None, 10), ("api", None, 20), ("local", None, 10), (None, "gpu", 15), (None, None, 15)]
    assert [controls.is_maintained(track, host, START + at) for track, host, at in asked] == [True, False, False, True, False]
    controls.told(maintained(1, 15, 20))
    assert controls.is_maintained(None, None, START + 15)


def test_an_acknowledged_alert_says_by_whom_until_it_is_over() -> None:
    core = Core(CONFIG)
    events = [*hot(0), acknowledged(10, fingerprint=CPU, by="ana"), silenced(20, 30), ticked(30), *cool(40), *hot(50)]
    found = [output for event in events for output in core.step(event) if isinstance(output, AlertRaised | AlertResolved)]
    assert [one.acknowledged_by for one in found] == [None, "ana", "ana", "ana", "ana", None]
    assert [one.reason for one in found][:4] == [None, "ana looks after it", "it was silenced", "its silence has ended, and it still stands"]
    assert {one.since for one in found[:5]} == {START + 1}


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (acknowledged(5, fingerprint="gone"), "unknown_alert"),
        (silenced(5, 367 * 86_400), "too_long"),
        (silenced(5, 4), "nothing_to_lift"),
        (maintained(5, 1, 4), "nothing_to_end"),
        (maintained(5, 1, 400 * 86_400), "too_long"),
    ],
)
def test_what_can_mean_nothing_becomes_a_dead_letter_and_an_error(event: AnyInput, code: str) -> None:
    assert refused([ticked(0), event]) == [code]
    with Optimizer.open(":memory:", CONFIG, clock=lambda: START) as optimizer, pytest.raises(ValueError, match=r"stands|year|is known"):
        optimizer.record(event)


def test_silences_and_windows_are_bounded_and_the_next_one_is_refused_until_some_are_over() -> None:
    silences: list[AnyInput] = [silenced(number / 1000, 10 + number, fingerprint=f"{number}") for number in range(MOST_SILENCES + 1)]
    windows: list[AnyInput] = [maintained(number / 1000, 10 + number, 20 + number) for number in range(MOST_WINDOWS + 1)]
    assert refused([ticked(0), *silences]) == ["too_many_silences"] and refused([ticked(0), *windows]) == ["too_many_windows"]
    later: list[AnyInput] = [ticked(11), silenced(12, 100, fingerprint="x"), ticked(21), maintained(22, 30, 40)]
    assert refused([ticked(0), *silences[:-1], *windows[:-1], *later]) == []


def test_of_too_many_alerts_the_oldest_is_forgotten_and_counted() -> None:
    controls = Controls()
    for number in range(MOST_STANDING + 3):
        fields: dict[str, Any] = {
            "kind": "constraint",
            "severity": "warning",
            "subject": "x",
            "observed": 1.0,
            "expected": 0.0,
            "since": START,
        }
        controls.heard(AlertRaised(event_id=f"chat/{number}/0", scope="chat", occurred_at=START, caused_by="e", fingerprint=f"{number}", **fields))
    assert controls.evicted == 3 and controls.refusal(acknowledged(1, fingerprint="2")) and not controls.refusal(acknowledged(1, fingerprint="3"))


def test_an_incident_is_muted_while_all_its_alerts_are() -> None:
    controls = Controls()
    controls.advance(START)
    controls.told(silenced(0, 100, subject="gpu"))
    gpu, cpu = {"fingerprint": "gpu/load/anomaly", "kind": "anomaly"}, {"fingerprint": "cpu/load/anomaly", "kind": "anomaly"}
    assert controls.muted({"alerts": [gpu | {"subject": "gpu"}]}, START) == "silenced"
    assert controls.muted({"alerts": [gpu | {"subject": "gpu"}, cpu]}, START) is None


def test_an_incident_without_alerts_is_muted_while_all_its_places_are_in_maintenance() -> None:
    controls = Controls()
    controls.advance(START)
    controls.told(maintained(0, 0, 100, tracks=("api",)))
    assert controls.muted({"alerts": (), "tracks": ("api",), "hosts": ()}, START) == "maintenance"
    assert controls.muted({"alerts": (), "tracks": ("api", "local"), "hosts": ()}, START) is None
    assert controls.muted({"alerts": (), "tracks": (), "hosts": ()}, START) is None


def test_an_incident_is_told_again_when_its_mark_changes_and_its_end_to_whom_it_was_told() -> None:
    controls = Controls()
    controls.advance(START)
    fields = {"incident": "incident-1", "alerts": [{"fingerprint": "gpu/load/anomaly", "kind": "anomaly"}]}
    assert controls.mark_incident(fields, is_end=False) is None and not controls.is_remarked(fields)
    controls.told(silenced(0, 100, subject="gpu/load"))
    assert controls.is_remarked(fields) and controls.mark_incident(fields, is_end=False) == "silenced" and not controls.is_remarked(fields)
    controls = Controls.restore(controls.snapshot())
    assert controls.mark_incident(fields, is_end=True) is None and not controls.is_remarked(fields)
    assert controls.mark_incident(fields, is_end=False) == "silenced" and controls.mark_incident(fields, is_end=True) == "silenced"


def test_secrets_and_addresses_in_what_people_write_are_redacted_at_the_intake() -> None:
    line = encode(silenced(0, 10, fingerprint="*", by="ana@example.org", note="token=abcdef0123 " + "x" * 1500))
    event = accept(line, place="test")
    assert isinstance(event, AlertSilenced) and event.by == "[email]" and event.note is not None
    assert event.note.startswith("[secret]") and len(event.note) > 1500


def controls_in(seed: int) -> list[AnyInput]:
    """Controls of every kind among the first minute of a stream."""
    ends = seed % 50 + 30
    return [
        silenced(1, ends, fingerprint="gpu/*"),
        maintained(2, 10, 10 + ends, hosts=("gpu",)),
        silenced(3, ends / 2, kind="constraint"),
        acknowledged(20, fingerprint="gpu/cpu_percent", by="ana"),
        silenced(25, 24, fingerprint="gpu/*"),
    ]


def unmarked(events: list[Event]) -> list[dict[str, Any]]:
    """What happened, without ids, without marks for people, and without what is only told again."""
    marks = {"muted": None, "acknowledged_by": None}
    plain = [
        event.model_dump(exclude={"event_id", "origin"}) for event in events if getattr(event, "reason", None) is None or not isinstance(event, AlertRaised)
    ]
    return [fields | {name: value for name, value in marks.items() if name in fields} for fields in plain]


def mixed(events: list[AnyInput], controls: list[AnyInput]) -> list[AnyInput]:
    return sorted([*events, *controls], key=lambda event: event.occurred_at)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_snapshot_with_controls_and_the_tail_equal_the_whole(seed: int, share: float) -> None:
    config = CONFIG.model_copy(update={"tracks": ()})
    events = mixed(stream(seed, 40), controls_in(seed))
    cut = int(share * len(events))
    whole, first, second = Core(config), Core(config), Core(config)
    outputs = [encode(output) for event in events for output in whole.step(event)]
    head = [encode(output) for event in events[:cut] for output in first.step(event)]
    assert all(second.restore(scope, first.snapshot(scope)) for scope in first.scopes())
    assert head + [encode(output) for event in events[cut:] for output in second.step(event)] == outputs
    assert {scope: second.snapshot(scope) for scope in second.scopes()} == {scope: whole.snapshot(scope) for scope in whole.scopes()}


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_a_silence_changes_nothing_but_who_is_told(seed: int) -> None:
    config = CONFIG.model_copy(update={"tracks": ()})
    events = stream(seed, 40)
    silences = [event for event in controls_in(seed) if isinstance(event, AlertSilenced)]
    moved = [ticked(event.occurred_at - START).model_copy(update={"event_id": event.event_id}) for event in silences]  # time passes there as well
    plain, muted = Core(config), Core(config)
    first = [output for event in mixed(events, [*moved]) for output in plain.step(event)]
    second = [output for event in mixed(events, [*silences]) for output in muted.step(event)]
    assert unmarked(second) == unmarked(first)
    for scope in plain.scopes():
        parts, others = plain.snapshot(scope), muted.snapshot(scope)
        assert {name for name in {**parts, **others} if parts.get(name) != others.get(name)} <= {"signals:controls"}


def test_started_and_completed_requests_are_counted_as_ever_during_maintenance() -> None:
    with Optimizer.open(":memory:", CONFIG, clock=lambda: START) as optimizer:
        optimizer.record_many([maintained(0, 1, 100), started("r", 2), completed("r", 3)])
        assert optimizer.status()["chat"]["tracks"]["local"]["completed"] == 1
        assert optimizer.status()["chat"]["signals"]["controls"]["maintenance"][0]["end"] == START + 100
