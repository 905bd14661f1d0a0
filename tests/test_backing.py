"""Which track an engine serves is found by what both have in flight."""

import json

from events import completed, sampled, started
from hypothesis import given
from hypothesis import strategies as st

from pointsman.models.backing import MOST_HOSTS, Backing
from pointsman.schemas import AnyInput, OptimizationConfig, Track
from pointsman.streams.core import Core


def play(*tracks: str) -> Core:
    """Requests on the first track, the second idle but for one; an engine's host that is named like none of them."""
    core = Core(OptimizationConfig(learners="full", tracks=tuple(Track(name=name) for name in tracks)))
    events: list[AnyInput] = [started("r0", 0.0, tracks[-1])]
    for n in range(1, 60):
        events += [started(f"r{n}", n, tracks[0]), sampled(n + 0.5, gauges={"num_requests_running": float(min(n, 6)), "num_requests_waiting": 0.0})]
        if n > 6:
            events.append(completed(f"r{n - 6}", n + 0.6, tracks[0], latency_ms=6000.0))
    for event in events:
        core.step(event)
    return core


def test_an_engine_is_heard_by_the_track_that_it_serves_whatever_the_names() -> None:
    tracks = play("blue", "red").scope("chat").tracks
    assert (tracks["blue"].outlook.has_engine, tracks["red"].outlook.has_engine) == (True, False)


def test_the_only_track_hears_every_engine() -> None:
    assert play("blue").scope("chat").tracks["blue"].outlook.has_engine


def test_the_track_whose_requests_the_engine_holds_is_found_among_others() -> None:
    backing = Backing()
    for number in range(40):
        backing.observe("gpu", 5.0 + number % 7, {"other": 3, "mine": 5 + number % 7, "idle": 0})
    assert backing.track("gpu") == "mine"


def test_an_engine_that_follows_no_track_has_none() -> None:
    backing = Backing()
    for number in range(40):
        backing.observe("gpu", 50.0, {"a": number % 5, "b": 2})
    assert backing.track("gpu") is None


def test_idle_samples_say_nothing() -> None:
    backing = Backing()
    for _ in range(40):
        backing.observe("gpu", 0.0, {"a": 0, "b": 0})
    assert backing.track("gpu") is None


def test_a_host_that_changes_its_track_is_followed() -> None:
    backing = Backing()
    for number in range(120):
        backing.observe("gpu", 6.0, {"a": 6 if number < 40 else 0, "b": 0 if number < 40 else 6})
    assert backing.track("gpu") == "b"


def test_tracks_that_are_gone_are_forgotten_and_hosts_are_bounded() -> None:
    backing = Backing()
    for _ in range(20):
        backing.observe("gpu", 6.0, {"a": 6, "b": 1})
    backing.forget({"b": None})
    assert backing.track("gpu") is None
    for number in range(MOST_HOSTS + 5):
        backing.observe(f"h{number}", 6.0, {"b": 6})
    assert len(backing.snapshot()[0]) == MOST_HOSTS


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.floats(0, 50), st.integers(0, 50), st.integers(0, 50)), max_size=60), st.integers(0, 60))
def test_a_restored_one_goes_on_as_the_whole(samples: list[tuple[str, float, int, int]], cut: int) -> None:
    whole, first = Backing(), Backing()
    for host, held, a, b in samples:
        whole.observe(host, held, {"a": a, "b": b})
    for host, held, a, b in samples[:cut]:
        first.observe(host, held, {"a": a, "b": b})
    second = Backing.restore(json.loads(json.dumps(first.snapshot())))
    for host, held, a, b in samples[cut:]:
        second.observe(host, held, {"a": a, "b": b})
    assert second.snapshot() == whole.snapshot()
