"""A capacity that scopes share: from their outputs to shares, embedded, replayed, after a restart."""

from pathlib import Path
from typing import Any

from events import START, completed, started

from pointsman.schemas import AnyInput, Capacity, CapacityAllocated, ForecastIssued, OptimizationConfig, Track, WindowClosed, decode, encode
from pointsman.streams import Optimizer
from pointsman.streams.capacity import Allocator
from pointsman.streams.core import Core
from pointsman.streams.journal import Journal

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))
SHARED = Capacity(track="local", concurrency=8)


def window(scope: str, at: float, busy: float, track: str = "local") -> WindowClosed:
    """A window in which `busy` requests of a second each were in flight on average."""
    fields: dict[str, Any] = {"start": START + at - 60.0, "end": START + at, "count": 60, "rate_per_s": busy, "success_share": 1.0, "latency_mean_ms": 1000.0}
    return WindowClosed(event_id=f"{scope}/{at}", scope=scope, occurred_at=START + at, caused_by="c", track=track, **fields)


def forecast(scope: str, at: float, upper: float, horizon_s: float = 600.0) -> ForecastIssued:
    return ForecastIssued(
        event_id=f"{scope}/{at}/f",
        scope=scope,
        occurred_at=START + at,
        caused_by="c",
        metric="concurrency",
        track="local",
        horizon_s=horizon_s,
        target_time=START + at + horizon_s,
        median=upper / 2.0,
        lower=0.0,
        upper=upper,
    )


def shares(events: list[CapacityAllocated]) -> dict[str, int | None]:
    return {event.scope: event.concurrency for event in events}


def busy_stream(scopes: tuple[str, ...], seconds: int) -> list[AnyInput]:
    """Each scope sends a request a second that takes three."""
    events: list[AnyInput] = []
    for scope in scopes:
        for second in range(seconds):
            name = f"{scope}{second}"
            events.append(started(name, second).model_copy(update={"scope": scope}))
            events.append(completed(name, second + 3.0, latency_ms=3000.0, output_tokens=50).model_copy(update={"scope": scope}))
    return sorted(events, key=lambda event: event.occurred_at)


def test_the_first_scope_has_everything_and_the_second_what_it_needs() -> None:
    allocator = Allocator([SHARED])
    assert shares(allocator.observe(window("chat", 60.0, busy=1.0))) == {"chat": 8}
    assert shares(allocator.observe(window("batch", 61.0, busy=4.0))) == {"chat": 3, "batch": 5}
    assert allocator.observe(window("batch", 121.0, busy=3.0)) == []


def test_priority_decides_where_both_need_more() -> None:
    allocator = Allocator([Capacity(track="local", concurrency=8, priorities={"batch": 1.0})])
    allocator.prioritise("chat", 3.0)
    allocator.prioritise("batch", 9.0)
    allocator.observe(window("chat", 60.0, busy=20.0))
    assert shares(allocator.observe(window("batch", 61.0, busy=20.0))) == {"chat": 6, "batch": 2}


def test_a_forecast_goes_before_the_window() -> None:
    allocator = Allocator([SHARED])
    allocator.observe(forecast("chat", 0.0, upper=6.2))
    allocator.observe(forecast("chat", 0.0, upper=80.0, horizon_s=3600.0))
    assert allocator.status() == {"local": {"chat": {"need": 7, "share": 8}}}
    allocator.observe(window("chat", 60.0, busy=30.0))
    assert allocator.status()["local"]["chat"]["need"] == 7
    allocator.observe(window("chat", 661.0, busy=30.0))
    assert allocator.status()["local"]["chat"]["need"] == 40


def test_a_scope_that_runs_elsewhere_keeps_one_and_a_stranger_gets_none() -> None:
    allocator = Allocator([SHARED])
    allocator.observe(window("chat", 0.0, busy=1.0))
    allocator.observe(window("batch", 1.0, busy=30.0))
    assert allocator.observe(window("mail", 2.0, busy=5.0, track="api")) == []
    for minute in range(1, 8):
        allocator.note(window("chat", 60.0 * minute, busy=2.0, track="api"))
    assert shares(allocator.observe(window("batch", 600.0, busy=30.0))) == {"chat": 1, "batch": 7}


def test_one_that_starts_again_knows_the_shares_and_says_nothing_new() -> None:
    first = Allocator([SHARED])
    said = [*first.observe(window("chat", 60.0, busy=1.0)), *first.observe(window("batch", 61.0, busy=4.0))]
    again = Allocator([SHARED])
    for event in said:
        again.resume(event)
    assert again.observe(window("batch", 121.0, busy=4.0)) == []
    assert shares(again.observe(window("batch", 181.0, busy=30.0))) == shares(first.observe(window("batch", 181.0, busy=30.0)))


def test_embedded_the_shares_are_journaled_advised_and_replayed(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    with Optimizer.open(path, CONFIG, clock=lambda: START, capacity=[SHARED]) as optimizer:
        optimizer.record_many(busy_stream(("chat", "mail"), 200))
        advised = {scope: {row.track: row.max_concurrency for row in optimizer.recommend(scope).tracks} for scope in ("chat", "mail")}
        written = [line for _, line in optimizer.outputs()]
    assert advised == {"chat": {"local": 4, "api": None}, "mail": {"local": 4, "api": None}}
    journal = Journal.open(path)
    events = [decode(line) for _, line in journal.read(0)]
    journal.close()
    found = [event for event in events if isinstance(event, CapacityAllocated)]
    assert [(event.scope, event.concurrency) for event in found] == [("chat", 8), ("chat", 4), ("mail", 4)]
    core = Core(CONFIG)
    assert [encode(output) for event in events for output in core.step(event)] == written


def test_embedded_a_restart_keeps_the_shares_and_a_capacity_that_is_gone_frees_them(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    events = busy_stream(("chat", "mail"), 200)
    with Optimizer.open(path, CONFIG, clock=lambda: START, capacity=[SHARED]) as optimizer:
        optimizer.record_many(events[: len(events) // 2])
    with Optimizer.open(path, CONFIG, clock=lambda: START, capacity=[SHARED]) as optimizer:
        before = len(list(optimizer.outputs()))
        optimizer.record_many(events[len(events) // 2 :])
        assert len(list(optimizer.outputs())) > before
        assert [row.max_concurrency for row in optimizer.recommend("mail").tracks if row.track == "local"] == [4]
    with Optimizer.open(path, CONFIG, clock=lambda: START) as optimizer:
        advised = [row.max_concurrency for row in optimizer.recommend("mail").tracks if row.track == "local"]
    assert advised != [4]
