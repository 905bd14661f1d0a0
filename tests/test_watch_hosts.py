"""What a host says beside what is usual under such a load: faults are told in time, and what is no fault is not told."""

import json
import math
import random
from collections.abc import Callable

import pytest
from watching import START, outcomes

from pointsman.models.false_alarms import Alarms
from pointsman.models.watch import Watch
from pointsman.models.watch_minutes import MOST_SERIES, Key, Minutes
from pointsman.models.watch_shift import Shift
from pointsman.schemas import AlertRaised, AlertResolved, MaintenanceScheduled, OptimizationConfig, ResourceSampled, Track
from pointsman.streams.core import Core

Said = tuple[int, str, str]
Edit = Callable[[dict[str, float]], dict[str, float]]


def load(number: int) -> int:
    """Requests that run, up and down within some hundred samples, with a limit of 64 that are served at once."""
    return round(60.0 + 50.0 * math.sin(number / 40.0))


def gauges(number: int, draw: random.Random) -> dict[str, float]:
    """What an engine would say under that load."""
    running = min(load(number), 64)
    throughput = 40.0 * running / (1.0 + running / 40.0) * math.exp(draw.gauss(0.0, 0.15))
    return {"running": float(running), "waiting": float(max(load(number) - 64, 0)), "tokens_per_s": throughput, "limit": 64.0, "swapped": 0.0}


def told(edit: Edit | None = None, at: int = 400, until: int = 10**9, count: int = 500, step_s: float = 2.0, scale: float = 1.0) -> list[Said]:
    """Which alerts a host raises and resolves at which sample."""
    watch, draw, found = Watch(OptimizationConfig()), random.Random(3), list[Said]()
    for number in range(count):
        now, said = START + step_s * number, {name: scale * value for name, value in gauges(number, draw).items()}
        if edit is not None and at <= number < until:
            said = edit(said)
        event = ResourceSampled(event_id=str(number), scope="chat", occurred_at=now, host="gpu", gauges=said, cpu_percent=min(100.0, 40.0 + load(number)))
        for model, fields in watch.sampled(event, load(number), now):
            found.append((number, fields["metric"], "raised" if model is AlertRaised else "resolved"))
    return found


def test_load_limits_constants_zeros_and_saturation_raise_nothing() -> None:
    assert told(count=1500) == []


def test_idle_times_duplicates_and_another_rate_of_sampling_raise_nothing() -> None:
    shift, draw = Shift(), random.Random(4)
    steps = []
    for number in range(2000):
        idle, step_s = number % 500 >= 400, 1.0 if number < 1000 else 5.0
        sampled = 0.0 if idle else 100.0 + draw.gauss(0.0, 5.0)
        for _ in range(1 + number % 2):
            steps.append(shift.observe(START + step_s * number, sampled, 0 if idle else 8))
    assert set(steps) == {None}


@pytest.mark.parametrize("factor", [0.25, 3.0])
def test_a_throughput_that_leaves_its_place_is_told_within_thirty_samples_both_ways(factor: float) -> None:
    ((number, metric, step),) = told(lambda said: said | {"tokens_per_s": factor * said["tokens_per_s"]})
    assert (metric, step) == ("tokens_per_s", "raised")
    assert number < 430


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_unit_of_a_gauge_does_not_matter(scale: float) -> None:
    edit: Edit = lambda said: said | {"tokens_per_s": 0.25 * said["tokens_per_s"]}  # noqa: E731
    assert told(edit, scale=scale) == told(edit)


def test_a_gauge_that_is_back_is_resolved_and_one_spike_is_no_alarm() -> None:
    edit: Edit = lambda said: said | {"tokens_per_s": 0.2 * said["tokens_per_s"]}  # noqa: E731
    assert [(metric, step) for _, metric, step in told(edit, until=440)] == [("tokens_per_s", "raised"), ("tokens_per_s", "resolved")]
    assert told(lambda said: said | {"tokens_per_s": 100.0 * said["tokens_per_s"]}, until=402) == []


def test_a_shift_says_how_far_and_since_when_in_the_unit_of_the_gauge() -> None:
    shift, draw = Shift(), random.Random(1)
    for number in range(440):
        shift.observe(START + 2.0 * number, (100.0 if number < 400 else 40.0) + draw.gauss(0.0, 4.0), 8)
    away = shift.away()
    assert away is not None
    assert 35.0 < away.observed < 45.0 < away.lower < away.expected < away.upper < 125.0
    assert START + 800.0 <= away.since <= START + 820.0
    assert away.effect < -4.0


def test_a_host_that_first_speaks_of_throttling_once_it_is_throttled_is_told_at_once() -> None:
    watch, found = Watch(OptimizationConfig()), list[tuple[int, str]]()
    for number in range(210):
        now = START + 2.0 * number
        event = ResourceSampled(event_id=str(number), scope="chat", occurred_at=now, host="gpu", throttled=True if number >= 200 else None)
        found += [(number, fields["metric"]) for _, fields in watch.sampled(event, 3, now)]
    assert found == [(201, "throttled")]


def test_snapshots_of_a_shift_and_the_tail_equal_the_whole() -> None:
    whole, draw = Shift(), random.Random(2)
    values = [(100.0 if number < 300 else 30.0) * math.exp(draw.gauss(0.0, 0.1)) for number in range(600)]
    values[450:] = [one / 0.3 for one in values[450:]]
    for cut in (0, 7, 310, 330, 460, 599):
        whole, half = Shift(), Shift()
        expected = [whole.observe(START + 2.0 * number, value, number % 20) for number, value in enumerate(values)]
        said = [half.observe(START + 2.0 * number, value, number % 20) for number, value in enumerate(values[:cut])]
        other = Shift.restore(json.loads(json.dumps(half.snapshot(), allow_nan=False)))
        said += [other.observe(START + 2.0 * number, values[number], number % 20) for number in range(cut, 600)]
        assert said == expected
        assert other.snapshot() == whole.snapshot()
    assert "raised" in expected


def test_a_host_that_reports_in_maintenance_is_there_and_what_it_says_is_not_learned() -> None:
    core = Core(OptimizationConfig(tracks=(Track(name="api"),), learners="light"))
    ends = list(outcomes(600))
    begin, end, raised = START + 200.0, START + 500.0, list[str]()
    work = MaintenanceScheduled(event_id="m", scope="chat", occurred_at=begin, hosts=("gpu",), start=begin, end=end, by="ana")
    for number, outcome in enumerate(ends):
        now = START + float(number)
        said = core.step(work) if now == begin else []
        hot = 90.0 if begin <= now < end else 60.0
        sample = ResourceSampled(event_id=f"h{number}", scope="chat", occurred_at=now, host="gpu", temperature_c=hot + number % 3, throttled=hot > 80.0)
        said = [*said, *core.step(outcome), *core.step(sample)]
        raised += [one.fingerprint for one in said if isinstance(one, AlertRaised | AlertResolved) and one.host == "gpu"]
    assert raised == []


def test_the_busiest_series_are_watched_by_the_minute_where_there_are_more_than_places() -> None:
    minutes, late = Minutes(), ("track", "late", "latency_ms")
    keys: list[Key] = [("track", f"t{number}", "latency_ms") for number in range(MOST_SERIES)]
    for number in range(125):
        now = START + 60.0 * number
        for _ in minutes.close(now, 1.0) if minutes.due(now) else ():
            pass
        for key in keys:
            minutes.count(key, 1.0)
        for _ in range(9):
            minutes.count(late, 1.0)
    watched = [tuple(key) for key, _ in minutes.snapshot()["watch_minutes"]["series"]]
    assert len(watched) == MOST_SERIES
    assert late in watched
    assert minutes.refused > 0
    other = Minutes()
    other.restore(json.loads(json.dumps(minutes.snapshot())))
    assert other.snapshot() == minutes.snapshot()


def test_a_spike_of_a_minute_is_told_before_the_first_day_is_over_and_a_young_series_says_nothing() -> None:
    def raised(at: int) -> list[int]:
        minutes, draw, found = Minutes(), random.Random(5), list[int]()
        for number in range(600):
            now = START + 60.0 * number
            found += [number for row in (minutes.close(now, 1.0) if minutes.due(now) else ()) if row.step == "raised"]
            minutes.count(("track", "api", "latency_ms"), draw.gauss(100.0, 5.0) + (400.0 if number == at else 0.0))
        return found

    assert raised(90) == []
    assert raised(500) == [501]


def test_an_alarm_of_a_young_series_needs_more_than_one_of_an_old() -> None:
    young, old = Alarms(per_month=8.0), Alarms(per_month=8.0)
    assert [young.raises(1.0, 300.0) for _ in range(100)][-1] is [old.raises(1.0, 300.0) for _ in range(3000)][-1] is False
    assert (young.raises(3.5, 300.0), old.raises(3.5, 300.0)) == (False, True)
