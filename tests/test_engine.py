"""Predictions for an engine with a queue, held against a simulated one whose truth is known: slots, first in first out, shared speed."""

import json
import math
import random
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from pointsman.models.engine import Engine, EngineForecast
from pointsman.models.engine_clock import IterationTimes
from pointsman.models.engine_gauges import Hosts, recognised
from pointsman.models.engine_lengths import Lengths, quantile
from pointsman.models.situation import Situation

SLOTS = 8
STEP_S = 0.05
SAMPLE_S = 0.5


class Event(NamedTuple):
    """What the simulated engine shows."""

    at: float
    kind: str
    name: str = ""
    tokens: int = 0
    latency_s: float = 0.0
    ttft_s: float = 0.0
    gauges: dict[str, float] = {}  # noqa: RUF012


def _speed(running: int) -> float:
    """Tokens per second of each."""
    return 60.0 / (1.0 + 0.25 * running)


def simulated(count: int = 400, per_s: float = 0.5, seed: int = 1, *, preempted: float = 0.0) -> list[Event]:
    """Poisson arrivals; an answer is as long as its input.

    With `preempted` prompts are read in chunks, which slows everyone while one is new, and so often a second the newest is pushed back to the queue's head.
    """
    dice = random.Random(seed)
    arrivals, at = [], 0.0
    for number in range(count):
        at += dice.expovariate(per_s)
        arrivals.append((at, f"r{number}", dice.choice((100, 200, 400))))
    events: list[Event] = []
    waiting: list[tuple[float, str, int]] = []
    running: dict[str, list[float]] = {}
    left: dict[str, list[float]] = {}
    now, sample, made = 0.0, 0.0, 0.0
    arrivals.reverse()
    while arrivals or waiting or running:
        now += STEP_S
        while arrivals and arrivals[-1][0] <= now:
            waiting.append(arrivals.pop())
            events.append(Event(waiting[-1][0], "start", waiting[-1][1], waiting[-1][2]))
        while waiting and len(running) < SLOTS:
            start, name, tokens = waiting.pop(0)
            running[name] = left.pop(name, [float(tokens), start, now, tokens])
        if preempted and len(running) > 1 and dice.random() < preempted * STEP_S:
            name, entry = running.popitem()
            waiting.insert(0, (entry[1], name, int(entry[3])))
            left[name] = entry
        chunks = sum(now - entry[2] < 1.0 for entry in running.values()) if preempted else 0
        speed = _speed(len(running)) / (1.0 + 0.3 * chunks)
        for name, entry in list(running.items()):
            entry[0] -= STEP_S * speed
            made += STEP_S * speed
            if entry[0] <= 0.0:
                del running[name]
                events.append(Event(now, "end", name, int(entry[3]), now - entry[1], max(entry[2] - entry[1], 0.01)))
        if now >= sample + SAMPLE_S:
            gauges = {"vllm:num_requests_running": float(len(running)), "vllm:num_requests_waiting": float(len(waiting))}
            events.append(Event(now, "sample", gauges=gauges | {"vllm:generation_tokens_total": made}))
            sample = now
    return sorted(events, key=lambda event: event.at)


def play(engine: Engine, events: list[Event], *, gauges: bool = True, shift: float = 0.0) -> Iterator[tuple[Event, EngineForecast | None]]:
    """Feed the engine; yields each start with what was said of it."""
    for event in events:
        now = event.at + shift
        if event.kind == "start":
            yield event, engine.start(event.name, Situation(now, input_tokens=event.tokens))
        elif event.kind == "end":
            engine.complete(event.name, now, 1000.0 * event.latency_s, 1000.0 * event.ttft_s, success=True, output_tokens=event.tokens)
        elif gauges:
            engine.sampled(now, event.gauges)


def wapes(events: list[Event], said: dict[str, EngineForecast | None]) -> tuple[float, float]:
    """Errors of TTFT and latency over the second half of the ends, as shares."""
    ends = [event for event in events if event.kind == "end"]
    ends = [event for event in ends[len(ends) // 2 :] if said[event.name] is not None]
    errors = [0.0, 0.0]
    for event in ends:
        forecast = said[event.name]
        assert forecast is not None
        errors[0] += abs(math.exp(forecast.ttft_ms) / 1000.0 - event.ttft_s)
        errors[1] += abs(math.exp(forecast.latency_ms) / 1000.0 - event.latency_s)
    return errors[0] / sum(event.ttft_s for event in ends), errors[1] / sum(event.latency_s for event in ends)


BUSY = simulated(per_s=0.75)


def test_ttft_and_latency_come_close_to_the_truth_of_a_simulated_queue() -> None:
    said = {event.name: forecast for event, forecast in play(Engine(), BUSY)}
    ttft, latency = wapes(BUSY, said)
    assert ttft < 0.12
    assert latency < 0.12


def scaled(events: list[Event], times: float, tokens: int, *, prefix: str) -> list[Event]:
    """The same on a slower engine, with more tokens, under other names of gauges."""
    names = {
        "vllm:num_requests_running": "num_running_reqs",
        "vllm:num_requests_waiting": "num_queue_reqs",
        "vllm:generation_tokens_total": "generation_tokens_total",
    }
    return [
        event._replace(
            at=times * event.at,
            tokens=tokens * event.tokens,
            latency_s=times * event.latency_s,
            ttft_s=times * event.ttft_s,
            gauges={prefix + names[name]: value * (tokens if "tokens" in name else 1) for name, value in event.gauges.items()},
        )
        for event in events
    ]


@pytest.mark.parametrize(("times", "tokens"), [(1.0, 1), (1.0, 3), (8.0, 1), (0.25, 3)])
def test_scales_and_names_hardly_matter(times: float, tokens: int) -> None:
    events = scaled(BUSY, times, tokens, prefix="sglang:")
    ttft, latency = wapes(events, {event.name: forecast for event, forecast in play(Engine(), events)})
    assert ttft < 0.13
    assert latency < 0.13


def test_another_kind_of_engine_is_predicted_better_than_by_the_last_value() -> None:
    events = simulated(per_s=0.32, seed=5, preempted=0.05)
    errors = wapes(events, {event.name: forecast for event, forecast in play(Engine(), events)})
    last, at_start = (0.0, 0.0), dict[str, tuple[float, float]]()
    for event in events:
        if event.kind == "start":
            at_start[event.name] = last
        elif event.kind == "end":
            last = event.ttft_s, event.latency_s
    ends = [event for event in events if event.kind == "end"]
    ends = ends[len(ends) // 2 :]
    ttft = sum(abs(at_start[event.name][0] - event.ttft_s) for event in ends) / sum(event.ttft_s for event in ends)
    latency = sum(abs(at_start[event.name][1] - event.latency_s) for event in ends) / sum(event.latency_s for event in ends)
    assert errors[0] < 0.7 * ttft
    assert errors[1] < 0.7 * latency


def test_without_gauges_the_queue_is_found_from_completions() -> None:
    said = {event.name: forecast for event, forecast in play(Engine(), BUSY, gauges=False)}
    ttft, latency = wapes(BUSY, said)
    assert ttft < 0.35
    assert latency < 0.25


def test_samples_that_stop_leave_it_working() -> None:
    engine = Engine()
    middle = BUSY[len(BUSY) // 2].at
    cut = [event for event in BUSY if event.kind != "sample" or event.at < middle]
    said = {event.name: forecast for event, forecast in play(engine, cut)}
    assert wapes(cut, said)[1] < 0.25


def test_nothing_is_said_of_an_engine_of_which_nothing_is_known() -> None:
    assert Engine().start("r", Situation(0.0, input_tokens=100)) is None


def test_a_sample_of_something_else_is_not_an_engines() -> None:
    engine = Engine()
    engine.sampled(1.0, {"fan_rpm": 900.0})
    assert engine.gauges is None


@pytest.mark.parametrize("how", ["failed", "abandoned", "unknown latency"])
def test_requests_that_do_not_succeed_leave(how: str) -> None:
    engine = Engine()
    for number in range(10):
        engine.start(f"r{number}", Situation(float(number), input_tokens=100))
    engine.sampled(11.0, {"running": 4.0, "waiting": 6.0})
    for number in range(10):
        if how == "abandoned":
            engine.abandon(f"r{number}", 12.0)
        else:
            engine.complete(f"r{number}", 12.0, None, None, success=how != "failed")
    assert len(engine.queue) == 0
    assert len(engine.lengths) == 0


def test_an_end_without_a_start_changes_nothing() -> None:
    engine = Engine()
    before = json.dumps(engine.snapshot())
    engine.complete("stranger", 5.0, 100.0, 10.0, success=True)
    engine.abandon("stranger", 5.0)
    assert json.dumps(engine.snapshot()) == before


@pytest.mark.parametrize("gauges", [True, False])
def test_a_peek_says_what_a_start_would_and_changes_nothing(gauges: bool) -> None:
    engine = Engine()
    list(play(engine, BUSY[:900], gauges=gauges))
    now = BUSY[899].at + 0.2
    for number in range(20):
        situation, before = Situation(now + 0.1 * number, input_tokens=200), json.dumps(engine.snapshot())
        said = engine.peek(situation)
        assert json.dumps(engine.snapshot()) == before
        assert said is not None
        assert engine.start(f"asked{number}", situation) == said


@pytest.mark.parametrize("cut", [0, 200, 777])
@pytest.mark.parametrize("gauges", [True, False])
def test_a_snapshot_goes_on_bit_by_bit(cut: int, gauges: bool) -> None:
    events = BUSY[:1000]
    whole, resumed = Engine(), Engine()
    list(play(whole, events[:cut], gauges=gauges))
    resumed.restore(json.loads(json.dumps(whole.snapshot())))
    said = [list(play(engine, events[cut:], gauges=gauges)) for engine in (whole, resumed)]
    assert said[0] == said[1]
    assert json.dumps(resumed.snapshot()) == json.dumps(whole.snapshot())


def test_another_beginning_of_time_changes_nothing_to_speak_of() -> None:
    events = BUSY[:1200]
    here = [forecast for _, forecast in play(Engine(), events)]
    there = [forecast for _, forecast in play(Engine(), events, shift=2.0**20)]
    for one, other in zip(here, there, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert other.latency_ms == pytest.approx(one.latency_ms, abs=0.3)


CALM = simulated(600, per_s=0.3)


def test_ordinary_traffic_is_seldom_beyond_what_is_known() -> None:
    said = [forecast for _, forecast in play(Engine(), CALM)]
    assert sum(one is not None and one.beyond > 0.0 for one in said[:150]) < 30
    assert not any(one is None or one.beyond > 0.0 for one in said[300:])


def test_a_load_stays_unknown_until_its_outcomes_are_known() -> None:
    engine = Engine()
    list(play(engine, CALM))
    now = CALM[-1].at + 10.0
    assert not engine.is_beyond
    for number in range(200):
        engine.start(f"burst{number}", Situation(now + 0.01 * number, input_tokens=100))
    for number in range(200):
        assert engine.is_beyond
        engine.complete(f"burst{number}", now + 300.0, 300_000.0, 250_000.0, success=True, output_tokens=100)
    assert not engine.is_beyond
    for number in range(200):
        engine.start(f"again{number}", Situation(now + 400.0 + 0.01 * number, input_tokens=100))
        assert not engine.is_beyond


def test_units_of_time_do_not_matter_to_what_is_beyond() -> None:
    said = {event.name: forecast for event, forecast in play(Engine(), BUSY)}
    slow = [event._replace(at=8.0 * event.at, latency_s=8.0 * event.latency_s, ttft_s=8.0 * event.ttft_s) for event in BUSY]
    slower = {event.name: forecast for event, forecast in play(Engine(), slow)}
    far = [name for name, one in said.items() if one is not None and one.beyond > 0.0]
    assert len(far) > 100
    assert far == [name for name, one in slower.items() if one is not None and one.beyond > 0.0]


def test_state_does_not_grow_with_the_stream() -> None:
    engine = Engine()
    for number in range(5000):
        engine.start(f"lost{number}", Situation(1.0, input_tokens=100))
    assert len(engine.queue) == 4096
    assert engine.queue.evicted == 904


def test_common_names_of_gauges_are_known() -> None:
    assert recognised({"vllm:num_requests_waiting": 2.0, "sglang:num_running_reqs": 3.0, "kv_cache_percent": 4.0, "x": 1.0}) == {
        "waiting": 2.0,
        "running": 3.0,
        "cache": 4.0,
    }


def test_hosts_add_up_and_counters_become_speeds() -> None:
    hosts = Hosts()
    hosts.sampled("a", 0.0, {"running": 2.0, "generation_tokens_total": 100.0})
    hosts.sampled("b", 0.5, {"running": 1.0, "generation_tokens_total": 5.0})
    hosts.sampled("a", 1.0, {"running": 2.0, "generation_tokens_total": 180.0})
    whole = hosts.sampled("b", 1.5, {"running": 3.0, "generation_tokens_total": 25.0})
    assert whole is not None
    assert (whole.running, whole.generation) == (5.0, 100.0)


def test_neighbours_at_the_same_distance_are_all_heard() -> None:
    lengths = Lengths()
    for number in range(100):
        lengths.add(5.0, float(number))
    assert quantile(lengths.near([5.2], 4)[0], 0.5) == pytest.approx(49.0, abs=2.0)


def test_speeds_are_averaged_not_their_inverses() -> None:
    times = IterationTimes()
    times.learn(10.0, 10.0)
    times.learn(10.0, 30.0)
    assert times.at(10.0) == pytest.approx(1.0 / 20.0)
