"""What watches the series of a scope: quiet where nothing is wrong, quick where something is, and the same in any unit."""

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watching import START, Change, outcomes, raised, samples

from pointsman.models.findings import Told
from pointsman.models.watch import Watch
from pointsman.models.watch_minutes import Minutes
from pointsman.schemas import AlertRaised, AlertResolved, OptimizationConfig, RequestCompleted, ResourceSampled, Track
from pointsman.streams import Optimizer
from pointsman.streams.core import Core

CONFIG = OptimizationConfig()


def times(factor: float) -> Change:
    return lambda event, _, draw: event.model_copy(update={"latency_ms": factor * (event.latency_ms or 0.0)})


def failing(share: float) -> Change:
    return lambda event, _, draw: event.model_copy(update={"success": False, "failure_class": "provider"}) if draw.random() < share else event


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_a_stream_without_a_fault_raises_nothing(correlation: float) -> None:
    assert raised(outcomes(4000, correlation=correlation)) == []


def test_a_latency_twice_as_long_is_found_once_it_has_lasted_a_quarter_of_a_minute() -> None:
    number, fingerprint = raised(outcomes(700, change=times(2.0), at=600))[0]
    assert fingerprint == "api/latency_ms/anomaly"
    assert 600 <= number <= 616


def test_longer_answers_are_a_change_of_length_and_none_of_latency() -> None:
    def longer(event: RequestCompleted, _: int, draw: random.Random) -> RequestCompleted:
        tokens = 6 * (event.output_tokens or 0)
        noise = math.exp(draw.gauss(0.0, 0.25))
        return event.model_copy(update={"output_tokens": tokens, "latency_ms": (200.0 + 10.0 * tokens) * noise, "cost_usd": 1e-6 * tokens})

    assert {fingerprint for _, fingerprint in raised(outcomes(800, change=longer, at=600))} == {"api/output_tokens/anomaly"}


def test_errors_that_were_not_there_are_found_and_one_is_no_alarm() -> None:
    number, fingerprint = raised(outcomes(700, change=failing(0.3), at=600))[0]
    assert fingerprint == "api/error/anomaly"
    assert number <= 615
    single: Change = lambda event, place, _: event.model_copy(update={"success": False}) if place == 0 else event  # noqa: E731
    assert raised(outcomes(1200, change=single, at=600)) == []


def test_a_price_that_doubles_and_a_quality_that_falls_are_found() -> None:
    dearer: Change = lambda event, _, draw: event.model_copy(update={"cost_usd": 2.0 * (event.cost_usd or 0.0)})  # noqa: E731
    worse: Change = lambda event, _, draw: event.model_copy(update={"quality_score": 0.6})  # noqa: E731
    assert raised(outcomes(650, change=dearer, at=600))[0][1] == "api/cost_usd/anomaly"
    assert raised(outcomes(650, change=worse, at=600))[0][1] == "api/quality_score/anomaly"


def test_a_latency_that_creeps_is_found() -> None:
    def creeping(event: RequestCompleted, place: int, _: random.Random) -> RequestCompleted:
        return event.model_copy(update={"latency_ms": (event.latency_ms or 0.0) * 1.01 ** (place / 10.0)})

    found = raised(outcomes(1500, change=creeping, at=600))
    assert {fingerprint.rsplit("/", 1)[0] for _, fingerprint in found} == {"api/latency_ms"}
    assert found[0][0] < 1150


def test_an_alarm_says_since_when_and_is_resolved_once_all_is_well() -> None:
    watch = Watch(CONFIG)
    told: list[tuple[float, list[Told]]] = []
    for event in [*outcomes(600), *outcomes(200, change=times(3.0), seed=2), *outcomes(300, seed=3)]:
        now = START + len(told)
        told.append((now, watch.completed(event.model_copy(update={"occurred_at": now}), None, now)))
    alerts = [(now, model, fields) for now, said in told for model, fields in said]
    assert [model for _, model, _ in alerts] == [AlertRaised, AlertResolved]
    (_, _, fields), (resolved_at, _, _) = alerts
    assert abs(fields["since"] - (START + 600)) <= 5.0
    assert fields["score"] > 0.5
    assert fields["observed"] > fields["upper"] > fields["expected"] > fields["lower"]
    assert START + 800 < resolved_at < START + 900


def test_what_is_off_below_the_alarm_shows_among_the_deviations() -> None:
    watch = Watch(CONFIG)
    raised(outcomes(604, change=times(2.5), at=600), watch)
    found = {one.metric: one for one in watch.deviations(START + 604)}
    assert found["latency_ms"].effect > 2.0
    assert watch.recent()[-1].deviations["latency_ms"] > 2.0


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e3])
def test_the_unit_of_values_does_not_matter(scale: float) -> None:
    assert raised(outcomes(700, scale=scale, change=times(2.0), at=600)) == raised(outcomes(700, change=times(2.0), at=600))


def test_values_of_all_sizes_zeros_and_constants_are_taken() -> None:
    draw = random.Random(4)
    watch = Watch(CONFIG)
    for event in outcomes(600):
        value = draw.choice([0.0, 1e-300, 1e-12, 1.0, 1e12, 1e300])
        watch.completed(event.model_copy(update={"latency_ms": value, "cost_usd": 0.0, "output_tokens": 7, "ttft_ms": 5.0}), None, event.occurred_at)
    assert all(math.isfinite(one.effect) and math.isfinite(one.observed) for one in watch.deviations(START))
    json.dumps(watch.snapshot(), allow_nan=False)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 899), st.integers(0, 2**16))
def test_a_snapshot_and_the_tail_equal_the_whole(cut: int, seed: int) -> None:
    events = list(outcomes(900, seed=seed, change=times(3.0), at=400))
    sampled = [one for one in samples(900) if one is not None]
    whole, first, second = Watch(CONFIG), Watch(CONFIG), Watch(CONFIG)

    def feed(watch: Watch, begin: int, end: int) -> list[Any]:
        return [
            (watch.advance(event.occurred_at), watch.completed(event, None, event.occurred_at), watch.sampled(sample, 3, event.occurred_at))
            for event, sample in zip(events[begin:end], sampled[begin:end], strict=True)
        ]

    said = feed(first, 0, cut)
    second.restore(json.loads(json.dumps(first.snapshot(), allow_nan=False)))
    assert said + feed(second, cut, 900) == feed(whole, 0, 900)
    assert second.snapshot() == whole.snapshot()


def hosted(events: list[ResourceSampled | None]) -> list[tuple[int, str]]:
    """At which sample each alert of the host was raised; a request ends at each."""
    watch, found = Watch(CONFIG), []
    for number, (event, outcome) in enumerate(zip(events, outcomes(len(events)), strict=True)):
        now = START + 2.0 * number
        said = watch.completed(outcome, None, now) + (watch.sampled(event, 5, now) if event is not None else [])
        found += [(number, str(fields["fingerprint"])) for model, fields in said if model is AlertRaised]
    return found


def test_a_host_without_a_fault_raises_nothing() -> None:
    assert hosted(list(samples(3000))) == []


def test_a_gauge_that_sticks_is_found() -> None:
    def stuck(event: ResourceSampled, _: int) -> ResourceSampled:
        return event.model_copy(update={"gauges": {"running": 12.0, "pending": 0.0}})

    ((number, fingerprint),) = hosted(list(samples(600, stuck, at=500)))
    assert (fingerprint, number <= 530) == ("gpu/running/anomaly", True)


def test_a_host_that_is_throttled_hotter_or_silent_is_found() -> None:
    throttled = list(samples(520, lambda event, _: event.model_copy(update={"throttled": True}), at=500))
    hotter = list(samples(560, lambda event, _: event.model_copy(update={"temperature_c": 15.0 + (event.temperature_c or 0.0)}), at=500))
    silent = list(samples(600, lambda event, _: None, at=500))
    assert [hosted(events)[0][1] for events in (throttled, hotter, silent)] == [f"gpu/{name}/anomaly" for name in ("throttled", "temperature_c", "reports")]


def test_a_surge_of_arrivals_is_found_in_its_minute_and_the_daily_rise_is_not() -> None:
    minutes, draw, rows = Minutes(), random.Random(5), []
    for number in range(3 * 1440):
        now = START + 60.0 * number
        usual = 100.0 + 60.0 * math.sin(2.0 * math.pi * number / 1440.0)
        for row in minutes.close(now, 1.0) if minutes.due(now) else ():
            rows.append((number, row.key, row.step))
        minutes.count(("scope", "scope", "arrival_rate"), round(usual + draw.gauss(0.0, 5.0)) + (300.0 if 4000 <= number < 4030 else 0.0))
    assert [(key, step) for _, key, step in rows] == [(("scope", "scope", "arrival_rate"), "raised"), (("scope", "scope", "arrival_rate"), "resolved")]
    assert 4000 < rows[0][0] <= 4002


def test_alerts_come_out_of_the_core_and_stay_off_where_signals_are_off() -> None:
    def alerts(config: OptimizationConfig) -> set[str]:
        core = Core(config)
        said = [output for event in outcomes(700, change=times(3.0), at=600) for output in core.step(event)]
        return {output.fingerprint for output in said if isinstance(output, AlertRaised) and output.kind == "anomaly"}

    tracks = (Track(name="api"),)
    assert alerts(OptimizationConfig(tracks=tracks, learners="light")) == {"api/latency_ms/anomaly"}
    off = OptimizationConfig.model_validate({"tracks": tracks, "learners": "light", "signals": {"enabled": False}})
    assert alerts(off) == set()


def test_an_embedded_optimizer_says_what_stands() -> None:
    with Optimizer.open(":memory:", OptimizationConfig(tracks=(Track(name="api"),), learners="light"), clock=lambda: START) as optimizer:
        optimizer.record_many(outcomes(640, change=times(4.0), at=600))
        assert optimizer.status()["chat"]["signals"]["watch"]["standing"] == ["api/latency_ms/anomaly"]
