"""Gradient2: the published formula step by step, what is ours about it, and where it comes to rest on small queues."""

import heapq
import json
import math
import random
from pathlib import Path

import pytest
from benchmarks import concurrency as benchmark
from events import completed
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.concurrency import WARM_UP, Baseline, Gradient2, Gradient2Settings, is_overload
from pointsman.schemas import Concurrency, Constraints, Track


def published(samples: list[tuple[float, int]], initial: float = 40.0, minimum: float = 20.0, maximum: float = 200.0) -> list[float]:
    """Netflix's formula written out once more: exponential average of 600 with a warm-up of 10, tolerance 1.5, smoothing 0.2, queue 4."""
    limit, long, total, found = initial, 0.0, 0.0, list[float]()
    for count, (short, in_flight) in enumerate(samples, 1):
        total += short
        long = total / count if count <= 10 else long * (1 - 2 / 601) + short * 2 / 601
        average = long
        if average / short > 2:
            long *= 0.95
        if in_flight >= limit / 2:
            gradient = max(0.5, min(1.0, 1.5 * average / short))
            limit = max(minimum, min(maximum, limit * (1 - 0.2) + (limit * gradient + 4) * 0.2))
        found.append(limit)
    return found


def test_without_lengths_it_is_the_published_formula() -> None:
    draw = random.Random(1)
    samples = [(100.0 * draw.lognormvariate(0.0, 0.8) * (4.0 if 200 < number < 300 else 1.0), draw.randrange(10, 41)) for number in range(600)]
    gradient2, found = Gradient2(Gradient2Settings(initial=60.0, minimum=40.0)), []
    for short, in_flight in samples:
        gradient2.observe(short, in_flight)
        found.append(gradient2.estimate)
    assert found == pytest.approx(published(samples, 60.0, 40.0), rel=1e-12)
    assert min(found) == 40.0 and max(found) > 60.0


def test_a_long_answer_is_not_a_slow_one() -> None:
    plain, informed = Gradient2(), Gradient2()
    draw = random.Random(2)
    for _ in range(400):
        tokens = draw.choice((20.0, 50.0, 2000.0))
        plain.observe(100.0 + 10.0 * tokens, 20)
        informed.observe(100.0 + 10.0 * tokens, 20, tokens=tokens)
    assert informed.estimate > 40.0 and plain.estimate < 30.0


def test_what_an_answer_takes_alone_is_the_measure_where_it_is_known() -> None:
    gradient2 = Gradient2(Gradient2Settings(initial=40.0, minimum=1.0))
    for _ in range(1000):
        gradient2.observe(300.0, int(gradient2.estimate), tokens=10.0, alone=100.0)
    assert gradient2.estimate == pytest.approx(1.0, abs=1e-9)


def test_below_half_the_limit_nothing_is_changed() -> None:
    gradient2 = Gradient2()
    for latency in (100.0, 1e6, 1.0, 100.0):
        gradient2.observe(latency, 9)
    assert (gradient2.estimate, gradient2.limit) == (20.0, None)


def test_slow_answers_in_a_crowd_that_kept_no_limit_do_not_lower_it() -> None:
    gradient2 = Gradient2(Gradient2Settings(initial=20.0, minimum=1.0))
    gradient2.observe(1000.0, 60, tokens=10.0, alone=100.0)
    assert gradient2.estimate == 20.4
    gradient2.observe(1000.0, 20, tokens=10.0, alone=100.0)
    assert gradient2.estimate == pytest.approx(20.4 + 0.2 * (0.5 * 20.4 + 2.04 - 20.4))


def test_a_refusal_takes_a_tenth_once_for_all_that_left_before_it() -> None:
    gradient2 = Gradient2(Gradient2Settings(initial=100.0))
    for _ in range(5):
        gradient2.drop(started_at=0.0, now=10.0)
    assert gradient2.estimate == pytest.approx(90.0) and gradient2.limit == 90
    gradient2.drop(started_at=11.0, now=12.0)
    assert gradient2.estimate == pytest.approx(81.0)


def test_what_an_overload_is() -> None:
    said = [("429", None), ("HTTP 503", None), ("timeout", "timeout"), ("500", "provider"), ("Too Many Requests", "provider"), ("429", "client"), (None, None)]
    found = [is_overload(completed("r", 0.0, success=False, error_type=error, failure_class=kind)) for error, kind in said]
    assert found == [True, True, True, False, True, False, False]
    assert not is_overload(completed("r", 0.0, error_type="429"))


def test_it_speaks_after_ten_steps() -> None:
    gradient2 = Gradient2()
    for step in range(WARM_UP):
        assert gradient2.limit is None, step
        gradient2.observe(100.0, 20)
    assert gradient2.limit == 24


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        (Track(name="api"), (20.0, 20.0, 200.0)),
        (Track(name="api", max_concurrency=8), (8.0, 8.0, 8.0)),
        (Track(name="local"), (4.0, 1.0, 200.0)),
        (Track(name="local", max_concurrency=256), (20.0, 1.0, 200.0)),
        (Track(name="local", max_concurrency=2), (2.0, 1.0, 2.0)),
        (Track(name="gpu", uses_local_resources=True, concurrency=Concurrency(initial=3, minimum=2, maximum=6)), (3.0, 2.0, 6.0)),
    ],
)
def test_a_tracks_settings(track: Track, expected: tuple[float, float, float]) -> None:
    found = Gradient2Settings.of(track, Constraints())
    assert (found.initial, found.minimum, found.maximum) == expected


def rest(slots: int, seed: int, *, knows: bool) -> float:
    """The mean limit, after a while, on a queue with so many slots and lognormal lengths, which is offered twice what it can do and keeps to the limit."""
    draw, gradient2 = random.Random(seed), Gradient2(Gradient2Settings(initial=20.0, minimum=1.0))
    running: list[tuple[float, float, float]] = []
    free, now, found = [0.0] * slots, 0.0, list[float]()
    for number in range(4000):
        now += draw.expovariate(2.0 * slots)
        while running and running[0][0] <= now:
            end, began, tokens = heapq.heappop(running)
            gradient2.observe(end - began, len(running) + 1, tokens=tokens, alone=0.01 * tokens if knows else None)
        if len(running) < int(gradient2.estimate):
            tokens = 100.0 * draw.lognormvariate(-0.125, 0.5)
            end = max(heapq.heappop(free), now) + 0.01 * tokens
            heapq.heappush(free, end)
            heapq.heappush(running, (end, now, tokens))
        if number >= 1000:
            found.append(gradient2.estimate)
    return sum(found) / len(found)


@pytest.mark.parametrize("slots", [2, 8, 40])
def test_on_a_queue_it_rests_at_the_slots_and_a_queue_of_about_half_as_many(slots: int) -> None:
    assert slots <= rest(slots, 3, knows=True) <= 1.6 * slots + 1.0


def test_without_knowing_the_light_load_it_rests_higher_but_not_at_the_top() -> None:
    assert 8.0 <= rest(8, 4, knows=False) <= 32.0


observed = st.lists(
    st.tuples(st.floats(1e-3, 1e7), st.integers(1, 300), st.floats(0, 1e5), st.none() | st.floats(1e-3, 1e7), st.booleans()),
    max_size=80,
)


@settings(deadline=None, max_examples=100)
@given(observed, st.floats(0, 1))
def test_it_stays_within_its_bounds_and_a_snapshot_continues_alike(rows: list[tuple[float, int, float, float | None, bool]], share: float) -> None:
    own = Gradient2Settings(initial=10.0, minimum=2.0, maximum=50.0)
    cut, whole, part = int(share * len(rows)), Gradient2(own), Gradient2(own)
    for place, (latency, in_flight, tokens, alone, is_drop) in enumerate(rows):
        if place == cut:
            part = Gradient2.restore(json.loads(json.dumps(part.snapshot(), allow_nan=False)), own)
        for gradient2 in (whole, part):
            if is_drop:
                gradient2.drop(float(place), float(place))
            else:
                gradient2.observe(latency, in_flight, tokens=tokens, alone=alone)
        assert 2.0 <= whole.estimate <= 50.0
    assert part.snapshot() == whole.snapshot()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(1e-3, 1e7), st.floats(0, 1e6)), min_size=1, max_size=50), st.floats(0, 1e6))
def test_a_baseline_is_never_negative_and_grows_with_length(rows: list[tuple[float, float]], tokens: float) -> None:
    baseline = Baseline(600)
    for latency, length in rows:
        baseline.update(latency, length)
    assert 0.0 <= baseline.get(tokens) <= baseline.get(2.0 * tokens) * (1.0 + 1e-9) + 1e-6 and math.isfinite(baseline.get(tokens))


def test_the_benchmark_sets_it_beside_every_fixed_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark.main(["--requests", "150", "--seeds", "1", "--json", str(tmp_path / "rows.json")])
    found = json.loads((tmp_path / "rows.json").read_text())
    assert len(found) == 4 and all({"fixed, 4", "Gradient2, latency by length and load"} <= {row["policy"] for row in rows} for rows in found.values())
    assert "best fixed limit" in capsys.readouterr().out
