"""The live workload: rows by the scope's clock, forecasts of what is due, scaling advice, and warnings before a limit is met."""

import json
from typing import Any

import pytest
from events import START, completed, sampled, started, stream, streams, ticked
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.schemas import (
    AlertRaised,
    AlertResolved,
    AnyInput,
    ConfigChanged,
    Constraints,
    ForecastIssued,
    Forecasts,
    OptimizationConfig,
    Scaling,
    ScalingRecommended,
    ScalingScored,
    Track,
    encode,
)
from pointsman.streams.advisor import Advisor, Load
from pointsman.streams.core import Core
from pointsman.streams.live_series import Name
from pointsman.streams.workload import MOST_MINUTES, MOST_SERIES, Workload

WHOLE = 400.0  # START + 400 is the beginning of an hour's sixth of a row of every size
EVERYTHING = OptimizationConfig(
    strategy="adaptive",
    tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)),
    forecasts=Forecasts(gauges=("pending",)),
    scaling=(Scaling(track="local", start_delay_s=60.0, concurrency_per_replica=0.5), Scaling(track="api", unit="concurrency")),
)


def core(*tracks: str, **fields: Any) -> Core:
    """A core whose scope `chat` has had a tick at the beginning of a row of every size."""
    found = Core(OptimizationConfig(tracks=tuple(Track(name=name) for name in tracks or ("local",)), **fields))
    found.step(ticked(WHOLE))
    return found


def fold(folded: Core, *events: AnyInput) -> list[Any]:
    """Every output, in order; the events' times count from the tick."""
    moved = [event.model_copy(update={"occurred_at": event.occurred_at + WHOLE}) for event in events]
    return [output for event in moved for output in folded.step(event)]


def said(outputs: list[Any], of: type[Any] = ForecastIssued, **fields: Any) -> list[Any]:
    """The outputs of a type whose fields are these."""
    return [one for one in outputs if isinstance(one, of) and all(getattr(one, name) == value for name, value in fields.items())]


def last(folded: Core, metric: str, track: str | None = None, host: str | None = None) -> float | None:
    """What the last closed minute of a series was."""
    return workload(folded).series[Name(metric, track, host)].last


def workload(folded: Core) -> Workload:
    return folded.scope("chat").workload


def request(name: str, at: float, takes: float, track: str = "local", tokens: int = 0) -> list[AnyInput]:
    return [started(name, at, track), completed(name, at + takes, track, 1000.0 * takes, output_tokens=tokens)]


def in_order(*requests: list[AnyInput]) -> list[AnyInput]:
    return sorted((event for request in requests for event in request), key=lambda event: event.occurred_at)


# rows


def test_the_tick_is_at_the_beginning_of_a_row_of_every_size() -> None:
    assert (START + WHOLE) % 600.0 == 0.0


def test_a_minute_is_over_when_the_clock_reaches_its_end() -> None:
    folded = core()
    assert not said(fold(folded, started("r1", 1.0), started("r2", 59.999)))
    assert said(fold(folded, ticked(60.0)))
    assert last(folded, "arrival_rate") == 2 / 60


def test_the_event_that_ends_a_minute_counts_in_the_next() -> None:
    folded = core()
    fold(folded, started("r1", 1.0), started("r2", 60.0))
    assert last(folded, "arrival_rate") == 1 / 60
    fold(folded, ticked(120.0))
    assert last(folded, "arrival_rate") == 1 / 60


def test_a_minute_not_seen_from_its_beginning_is_left_out() -> None:
    folded = core()
    folded = Core(OptimizationConfig(tracks=(Track(name="local"),)))
    fold(folded, started("r1", 30.0), started("r2", 60.0), ticked(120.0))
    assert workload(folded).series[Name("arrival_rate")].rows == 1
    assert last(folded, "arrival_rate") == 1 / 60


def test_concurrency_is_weighted_by_time() -> None:
    folded = core()
    fold(folded, *in_order(request("r1", 0.0, 30.0), request("r2", 15.0, 30.0)), ticked(60.0))
    assert last(folded, "concurrency") == 1.0


def test_a_request_that_spans_minutes_counts_in_each() -> None:
    folded = core()
    fold(folded, *request("r1", 30.0, 60.0), ticked(119.0))
    assert last(folded, "concurrency") == 0.5
    fold(folded, ticked(120.0))
    assert last(folded, "concurrency") == 0.5


def test_tokens_count_when_they_are_there() -> None:
    folded = core()
    fold(folded, *request("r1", 0.0, 5.0, tokens=120), ticked(60.0))
    assert last(folded, "token_rate") == 2.0


def test_late_events_count_in_the_open_minute() -> None:
    folded = core()
    fold(folded, started("r1", 1.0), ticked(65.0), started("r2", 30.0))
    assert last(folded, "arrival_rate") == 1 / 60
    fold(folded, ticked(120.0))
    assert last(folded, "arrival_rate") == 1 / 60


def test_a_second_copy_is_the_tracks_and_not_the_scopes() -> None:
    folded = core("local", "api")
    fold(folded, started("r1", 1.0, "local"), started("r1", 2.0, "api"), ticked(60.0))
    assert [last(folded, "arrival_rate", track) for track in (None, "local", "api")] == [1 / 60, 1 / 60, 1 / 60]


def test_a_request_that_asked_for_its_track_counts_there_when_it_is_over() -> None:
    folded = core("local", "api")
    fold(folded, started("r1", 0.0, None), completed("r1", 30.0, "api", 30_000.0), ticked(60.0))
    assert [last(folded, "concurrency", track) for track in (None, "api")] == [0.5, 0.5]


def test_a_single_track_has_no_series_of_its_own() -> None:
    folded = core()
    fold(folded, started("r1", 1.0), ticked(60.0))
    assert {name.track for name in workload(folded).series} == {None}


def test_what_is_never_completed_runs_no_longer_than_it_is_waited_for() -> None:
    folded = core(scaling=(Scaling(track="local"),))
    outputs = fold(folded, started("r1", 0.0), ticked(3600.0))
    assert [one.demand for one in said(outputs, ScalingRecommended)] == [pytest.approx(0.0, abs=1e-3)]
    assert last(folded, "concurrency") == 0.0


# forecasts


def test_the_next_minute_is_forecast_every_minute_and_the_rest_with_a_coarse_row() -> None:
    folded = core()
    fold(folded, started("r1", 1.0))
    horizons = [[one.horizon_s for one in said(fold(folded, ticked(60.0 * n)), metric="arrival_rate")] for n in range(1, 6)]
    assert horizons == [[60.0]] * 4 + [[60.0, 600.0, 3600.0, 21_600.0]]


def test_a_target_is_the_end_of_the_row_that_is_forecast() -> None:
    folded = core()
    fold(folded, started("r1", 1.0))
    found = said(fold(folded, ticked(437.0)), metric="arrival_rate")
    assert [one.target_time - START - WHOLE for one in found] == [480.0, 900.0, 3900.0, 21_900.0]


def test_nothing_that_is_said_knows_of_what_comes_after() -> None:
    events = [event for n in range(200) for event in in_order(request(f"r{n}", 7.0 * n, 5.0))]
    events.sort(key=lambda event: event.occurred_at)
    whole = [encode(one) for one in said(fold(core(), *events))]
    part = [encode(one) for one in said(fold(core(), *events[:250]))]
    assert whole[: len(part)] == part


def test_a_median_is_inside_its_interval_and_a_rate_is_not_negative() -> None:
    found = said(fold(core("local", "api"), *[event for event in stream(91, 1500) if event.scope == "chat"]))
    assert len(found) > 100
    assert all(0.0 <= one.lower <= one.median <= one.upper for one in found)


def test_a_steady_rate_is_forecast_within_the_first_hour() -> None:
    folded = core()
    outputs = fold(folded, *(started(f"r{n}", 6.0 * n) for n in range(601)))
    rates = said(outputs, metric="arrival_rate")[-4:]
    assert [one.median for one in rates] == [pytest.approx(1 / 6, rel=0.01)] * 4


def test_a_silence_is_filled_with_zeros() -> None:
    folded = core()
    fold(folded, *(started(f"r{n}", 6.0 * n) for n in range(300)))
    before = workload(folded).series[Name("arrival_rate")].rows
    outputs = fold(folded, started("later", 1800.0 + 6 * 3600.0))
    assert workload(folded).series[Name("arrival_rate")].rows == before + 361
    assert [one.median for one in said(outputs, metric="arrival_rate", horizon_s=600.0)] == [0.0]


def test_after_more_than_three_days_of_silence_everything_begins_anew() -> None:
    folded = core()
    fold(folded, started("r1", 1.0), ticked(60.0))
    assert not said(fold(folded, started("r2", 60.0 * (MOST_MINUTES + 3))))
    assert not workload(folded).series


def test_a_named_gauge_is_forecast_per_host() -> None:
    folded = core(forecasts=Forecasts(gauges=("pending",)))
    outputs = fold(folded, *(sampled(10.0 * n, gauges={"pending": 4.0, "other": 1.0}) for n in range(31)))
    found = said(outputs, metric="pending", host="laptop")
    assert {one.median for one in found} == {4.0}
    assert not said(outputs, metric="other")


def test_a_host_that_no_longer_reports_is_forecast_no_longer() -> None:
    folded = core(forecasts=Forecasts(gauges=("pending",)))
    fold(folded, sampled(1.0, gauges={"pending": 4.0}))
    assert said(fold(folded, ticked(300.0)), host="laptop")
    assert not said(fold(folded, ticked(1000.0)), host="laptop")


def test_forecasts_can_be_switched_off() -> None:
    folded = core(forecasts=Forecasts(enabled=False), scaling=(Scaling(track="local"),))
    outputs = fold(folded, started("r1", 1.0), sampled(2.0, memory_used_mb=100.0), ticked(600.0))
    assert not said(outputs) and not said(outputs, ScalingRecommended)


def test_series_have_a_cap_and_what_finds_no_place_is_counted() -> None:
    folded = core(forecasts=Forecasts(gauges=tuple(f"g{n}" for n in range(16))))
    for host in range(4):
        fold(folded, sampled(float(host), gauges={f"g{n}": 1.0 for n in range(16)}).model_copy(update={"host": f"h{host}", "event_id": f"h{host}"}))
    assert len(workload(folded).series) == MOST_SERIES
    assert workload(folded).refused == 64 - MOST_SERIES


# time


def test_a_tick_is_wanted_when_the_open_minute_ends_but_not_by_an_idle_scope() -> None:
    folded = core()
    fold(folded, started("r1", 10.0))
    assert folded.next_due("chat") is not None
    assert workload(folded).next_due() == START + WHOLE + 60.0
    for minute in range(1, 6):
        fold(folded, ticked(60.0 * minute))
    assert workload(folded).next_due() is None


# configuration


def test_a_gauge_that_is_named_no_longer_is_dropped_and_the_rest_goes_on() -> None:
    folded = core(forecasts=Forecasts(gauges=("pending",)))
    fold(folded, started("r1", 1.0), sampled(2.0, gauges={"pending": 4.0}), ticked(60.0))
    config = OptimizationConfig(tracks=(Track(name="local"),))
    fold(folded, ConfigChanged(event_id="c", scope="chat", occurred_at=START + 61.0, config=config))
    assert [name.metric for name in workload(folded).series] == ["arrival_rate", "token_rate", "concurrency"]


def test_a_scaling_entry_that_is_as_it_was_keeps_what_it_knows() -> None:
    local, api = Scaling(track="local"), Scaling(track="api")
    folded = core("local", "api", scaling=(local, api))
    kept = workload(folded).advisors[0]
    config = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")), scaling=(local, Scaling(track="api", maximum=7)))
    fold(folded, ConfigChanged(event_id="c", scope="chat", occurred_at=START + 61.0, config=config))
    assert workload(folded).advisors[0] is kept
    assert [one.settings.maximum for one in workload(folded).advisors] == [100, 7]


# scaling


def ramp(hours: int, most: float, takes: float = 30.0) -> list[AnyInput]:
    """Requests of 30 seconds whose number grows from hour to hour up to `most` in flight."""
    found, at, number = [], 0.0, 0
    while at < 3600.0 * hours:
        found += request(f"r{number}", at, takes)
        number, at = number + 1, at + takes / (1.0 + (most - 1.0) * at / (3600.0 * hours))
    return sorted(found, key=lambda event: event.occurred_at)


def test_scaling_advice_follows_a_ramp() -> None:
    folded = core(scaling=(Scaling(track="local", concurrency_per_replica=2.0, start_delay_s=600.0, usd_per_hour=1.5),))
    advice = said(fold(folded, *ramp(3, 12.0)), ScalingRecommended)
    assert advice[0].current == 1
    assert [one.current for one in advice[1:]] == [one.desired for one in advice[:-1]]
    assert 8 <= advice[-1].desired <= 16  # 12 in flight at 80 % of 2 each take 7.5, ten minutes on, with a margin, and never more than twice
    assert advice[-1].usd_per_hour == 1.5 * advice[-1].desired
    assert advice[-1].service_time_ms == pytest.approx(30_000.0, rel=0.05)
    assert advice[-1].effective_at % 300.0 == 0.0
    assert f"{advice[-1].current} before, {advice[-1].desired} now" in advice[-1].reason


def test_advice_is_given_only_where_the_number_changes() -> None:
    folded = core(scaling=(Scaling(track="local", unit="concurrency", maximum=5),))
    advice = said(fold(folded, *ramp(1, 12.0)), ScalingRecommended)
    assert all(one.current != one.desired for one in advice[1:])
    assert advice[-1].desired == 5


def test_a_reason_names_the_bound_that_decided() -> None:
    advisor = Advisor(Scaling(track="local", unit="concurrency", maximum=5))
    advisor.close(Load(20.0, 10.0), 300.0)
    assert [fields["reason"].split("; ")[-1] for _, fields in advisor.say(300.0)] == ["1 before, 5 now, bounded by maximum"]


def test_the_record_comes_once_an_hour_and_says_what_the_advice_left_unserved() -> None:
    folded = core(scaling=(Scaling(track="local", unit="concurrency", maximum=5),))
    records = said(fold(folded, *ramp(3, 12.0)), ScalingScored)
    assert [(one.start < one.end, one.end % 3600.0) for one in records] == [(True, 0.0)] * len(records)
    assert len(records) in (2, 3)
    assert records[-1].unserved_share == pytest.approx(1.0 - 4.0 / 9.5, abs=0.05)  # 5 slots at 80 % where about 9.5 run
    assert records[-1].changes == 0


def test_no_record_of_hours_without_demand() -> None:
    folded = core(scaling=(Scaling(track="local"),))
    fold(folded, *request("r1", 1.0, 5.0), ticked(7200.0))
    assert not said(fold(folded, ticked(7200.0 + 6 * 3600.0)), ScalingScored)


# resources


def discharge(minutes: int, a_minute: float, **fields: Any) -> list[AnyInput]:
    """A battery from 60 %, sampled every ten seconds in whole per cents."""
    return [sampled(10.0 * n, battery_percent=float(int(60.0 - a_minute * n / 6.0)), **fields) for n in range(6 * minutes + 1)]


def test_an_alert_comes_well_before_the_battery_is_empty() -> None:
    outputs = fold(core(), *discharge(30, 1.0))
    raised = said(outputs, AlertRaised, kind="forecast")
    assert [(one.fingerprint, one.subject, one.expected) for one in raised] == [("laptop/battery_percent/forecast", "laptop/battery_percent", 20.0)]
    assert raised[0].occurred_at < START + WHOLE + 20 * 60.0  # it reaches 20 % after 40 minutes
    assert not said(outputs, AlertResolved, kind="forecast")


def test_the_time_to_the_limit_is_published() -> None:
    outputs = fold(core(), *discharge(20, 1.0))
    left = said(outputs, metric="battery_percent", horizon_s=60.0)[-1]
    assert left.limit == 20.0
    assert left.time_to_limit_s == pytest.approx(20.0 * 60.0, abs=120.0)
    assert not said(outputs, metric="battery_percent")[0].time_to_limit_s


def test_a_battery_that_charges_has_no_limit() -> None:
    outputs = fold(core(), *discharge(30, 1.0, battery_charging=True))
    assert not said(outputs, AlertRaised)
    assert {one.limit for one in said(outputs, metric="battery_percent")} == {None}


def test_plugging_in_the_charger_resolves_the_alert() -> None:
    folded = core()
    fold(folded, *discharge(20, 1.0))
    outputs = fold(folded, *(sampled(1201.0 + n, battery_percent=40.0, battery_charging=True) for n in range(2)))
    assert [one.kind for one in said(outputs, AlertResolved)] == ["forecast"]


def test_an_alert_is_resolved_when_the_host_reports_no_longer() -> None:
    folded = core()
    fold(folded, *discharge(20, 1.0))
    outputs = fold(folded, *(ticked(1200.0 + 600.0 * n) for n in range(1, 5)))
    assert [one.fingerprint for one in said(outputs, AlertResolved)] == ["laptop/battery_percent/forecast"]


def test_a_leak_is_foreseen_and_a_level_is_not() -> None:
    bounds = Constraints(max_memory_mb=4000.0, max_temperature_c=90.0)
    events = [sampled(10.0 * n, memory_used_mb=3000.0 + 2.0 * n, temperature_c=70.0 + n % 2) for n in range(361)]
    raised = said(fold(core(constraints=bounds), *events), AlertRaised)
    assert [(one.kind, one.fingerprint) for one in raised] == [("forecast", "laptop/memory_used_mb/forecast")]
    assert raised[0].occurred_at < START + WHOLE + 1800.0  # 4000 MB after 83 minutes


def test_heat_has_a_constraint() -> None:
    raised = said(fold(core(constraints=Constraints(max_temperature_c=90.0)), *(sampled(float(n), temperature_c=95.0) for n in range(3))), AlertRaised)
    assert [(one.kind, one.fingerprint) for one in raised] == [("constraint", "laptop/temperature_c")]


# the laws


def eventful(seed: int) -> list[AnyInput]:
    """Twenty minutes of requests with samples of everything beside them."""
    found = [event for event in stream(seed, 1200) if event.scope == "chat"]
    first = found[0].occurred_at - START
    found += [
        sampled(first + 10.0 * n, memory_used_mb=1000.0 + n, battery_percent=float(100 - n // 10), temperature_c=50.0 + n % 7, gauges={"pending": n % 5})
        for n in range(120)
    ]
    return sorted(found, key=lambda event: event.occurred_at)


EVENTS = eventful(92)


@settings(deadline=None, max_examples=3)
@given(st.integers(0, len(EVENTS)))
def test_a_snapshot_and_the_tail_equal_the_whole_with_everything_on(cut: int) -> None:
    whole, first, second = Core(EVERYTHING), Core(EVERYTHING), Core(EVERYTHING)
    outputs = [encode(one) for event in EVENTS for one in whole.step(event)]
    head = [encode(one) for event in EVENTS[:cut] for one in first.step(event)]
    if cut:
        assert second.restore("chat", first.snapshot("chat"))
    assert head + [encode(one) for event in EVENTS[cut:] for one in second.step(event)] == outputs
    assert second.snapshot("chat") == whole.snapshot("chat")


@settings(deadline=None, max_examples=6)
@given(streams(), st.floats(0, 1), st.sampled_from((0, 1, 40)))
def test_gaps_and_disorder_keep_the_law(events: list[AnyInput], share: float, gap: int) -> None:
    cut = int(share * len(events))
    moved = events[:cut] + [event.model_copy(update={"occurred_at": event.occurred_at + 10_000.0 * gap}) for event in events[cut:]]
    whole, first, second = Core(EVERYTHING), Core(EVERYTHING), Core(EVERYTHING)
    outputs = [encode(one) for event in moved for one in whole.step(event)]
    head = [encode(one) for event in moved[:cut] for one in first.step(event)]
    for scope in first.scopes():
        assert second.restore(scope, first.snapshot(scope))
    assert head + [encode(one) for event in moved[cut:] for one in second.step(event)] == outputs


def test_parts_that_did_not_change_keep_their_bytes_and_every_part_is_small() -> None:
    folded = Core(EVERYTHING)
    for event in EVENTS[:900]:
        folded.step(event)
    before = folded.snapshot("chat")
    folded.step(EVENTS[900])
    after = folded.snapshot("chat")
    assert all(before[name] == after[name] for name in before if name.startswith(("workload:far", "workload:scaling")))
    assert max(map(len, after.values())) < 256_000


def test_the_status_says_what_is_forecast_and_advised() -> None:
    folded = core(scaling=(Scaling(track="local"),))
    fold(folded, *ramp(1, 4.0))
    status = json.loads(json.dumps(folded.status("chat")["workload"]))
    assert [row["metric"] for row in status["series"]] == ["arrival_rate", "token_rate", "concurrency"]
    assert list(status["series"][0]["forecasts"]) == ["60", "600", "3600", "21600"]
    assert status["scaling"][0]["advice"]["track"] == "local"


def test_only_the_scopes_series_have_the_full_form_and_another_form_begins_them_anew() -> None:
    folded = core("local", "api", learners="full")
    fold(folded, started("r1", 1.0), started("r2", 2.0, "api"), ticked(60.0))
    assert {name.track: one.far.form for name, one in workload(folded).series.items()} == {None: "full", "local": "light", "api": "light"}
    config = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))
    fold(folded, ConfigChanged(event_id="c", scope="chat", occurred_at=START + 61.0, config=config))
    assert {name.track for name in workload(folded).series} == {"local", "api"}


def test_the_state_does_not_grow_once_a_day_is_known() -> None:
    folded, sizes = core(scaling=(Scaling(track="local"),)), []
    for day in range(1, 4):
        for hour in range(24 * day - 24, 24 * day):
            fold(folded, *(event for n in range(6) for event in request(f"r{hour}-{n}", 3600.0 * hour + 600.0 * n, 100.0 + 10.0 * (hour % 24) + n, tokens=50)))
        sizes.append(sum(len(part) for name, part in folded.snapshot("chat").items() if name.startswith("workload")))
    assert sizes[2] < 1.1 * sizes[1]
    assert sizes[2] < 400_000
