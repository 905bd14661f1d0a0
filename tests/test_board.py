"""The board: what it shows equals figures computed by other means, it is the same after a restart, and it stays small."""

import argparse
import json
import math
import random
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import troubles
from benchmarks import board as benchmark
from events import START, sampled, stream
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.schemas import (
    AlertRaised,
    AlertResolved,
    Budget,
    Event,
    ForecastIssued,
    Interval,
    ModelsReported,
    Objective,
    OptimizationConfig,
    PredictionIssued,
    RecommendationIssued,
    RequestCompleted,
    ResourceSampled,
    Track,
    WindowClosed,
    dead_letter,
    decode,
)
from pointsman.schemas.outputs import Reason
from pointsman.sinks.board import Board
from pointsman.streams import Optimizer
from pointsman.streams.boards import RECALLED, newest, status
from pointsman.streams.core import Core
from pointsman.streams.demo import CONFIG, RECORDING
from pointsman.streams.recording import read_lines

BOUNDED = OptimizationConfig(
    tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)),
    budget=Budget(usd_per_hour=2.0, usd_per_request=0.01),
    objectives=(Objective(metric="latency_ms", bound=5000.0, share=0.9),),
)


def window(track: str, start: float, count: int = 10, *, scope: str = "chat", size: float = 60.0, **fields: Any) -> WindowClosed:
    """A closed window, `start` seconds after the start of the stream."""
    begin = START + start
    envelope: dict[str, Any] = {"event_id": f"{scope}/{track}/{start}", "caused_by": "-", "scope": scope, "occurred_at": begin + size + 5.0, "track": track}
    given: dict[str, Any] = {"success_share": 1.0, "latency_p50_ms": 800.0, "latency_p95_ms": 900.0, "latency_p99_ms": 1000.0} | fields
    return WindowClosed(**envelope, start=begin, end=begin + size, count=count, rate_per_s=count / size, **given)


def predicted(request: str, at: float, latency_ms: float, track: str = "local", scope: str = "chat") -> PredictionIssued:
    """A prediction, `at` seconds after the start of the stream."""
    interval = Interval(median=latency_ms, lower=0.5 * latency_ms, upper=2.0 * latency_ms)
    envelope: dict[str, Any] = {"event_id": f"{scope}/{request}/0", "caused_by": request, "scope": scope, "occurred_at": START + at}
    return PredictionIssued(**envelope, request_id=request, track=track, latency_ms=interval)


def alert(at: float, model: type[AlertRaised | AlertResolved] = AlertRaised, fingerprint: str = "local/p95", **fields: Any) -> Any:
    """An alert that is raised or resolved."""
    envelope: dict[str, Any] = {"event_id": f"{fingerprint}/{at}", "caused_by": "-", "scope": "chat", "occurred_at": START + at}
    given: dict[str, Any] = {
        "kind": "constraint",
        "severity": "warning",
        "subject": fingerprint.split("/")[0],
        "observed": 3.0,
        "expected": 2.0,
        "since": START,
    }
    return model(**envelope, **given | fields, fingerprint=fingerprint)


def foreseen(at: float, target: float, value: float, **fields: Any) -> ForecastIssued:
    """A forecast of the next minute."""
    envelope: dict[str, Any] = {"event_id": f"f/{at}", "caused_by": "-", "scope": "chat", "occurred_at": START + at}
    given: dict[str, Any] = {"metric": "arrival_rate", "horizon_s": 60.0} | fields
    return ForecastIssued(**envelope, target_time=target, median=value, lower=0.0, upper=2.0 * value, **given)


def board_of(*events: Event) -> Board:
    """A board that has heard these events."""
    board = Board()
    for event in events:
        board.hear(event)
    return board


@pytest.fixture(scope="module")
def told() -> tuple[list[Event], Board]:
    """The outputs of the demo's recording, and the board that heard them and the inputs."""
    core, board = Core(CONFIG), Board()
    outputs: list[Event] = []
    for _, line in read_lines(RECORDING):
        event = decode(line)
        caused = core.step(event)
        for heard in (event, *caused):
            board.hear(heard)
        outputs += caused
    return outputs, board


def test_shares_rates_and_money_are_those_of_the_windows(told: tuple[list[Event], Board]) -> None:
    outputs, board = told
    view = board.view("demo")
    windows = [one for one in outputs if isinstance(one, WindowClosed) and one.end > view["clock"] - 300.0]
    span = max(one.end for one in windows) - min(one.start for one in windows)
    total = sum(one.count for one in windows)
    assert (view["completed"], view["rate_per_s"]) == (total, round(total / span, 6))
    assert view["cost_usd_per_hour"] == pytest.approx(3600.0 * sum(one.cost_usd for one in windows) / span, abs=1e-6)
    for track in view["tracks"]:
        own = [one for one in windows if one.track == track["track"]]
        assert track["share"] == pytest.approx(sum(one.count for one in own) / total, abs=1e-6)
        assert track["tokens_per_s"] == pytest.approx(sum(one.output_tokens for one in own) / span, abs=1e-3)


def test_latencies_of_several_windows_are_estimated_from_theirs(told: tuple[list[Event], Board]) -> None:
    _, board = told
    view = board.view("demo")
    begin, end = view["tracks"][0]["window_end"] - 300.0, view["tracks"][0]["window_end"]
    done = [event for _, line in read_lines(RECORDING) if isinstance(event := decode(line), RequestCompleted) and begin < event.occurred_at <= end]
    for name in ("local", "api"):
        latencies = sorted(event.latency_ms for event in done if event.track == name and event.latency_ms is not None)
        found = next(track for track in view["tracks"] if track["track"] == name)
        assert found["latency_p95_ms"] == pytest.approx(latencies[int(0.95 * len(latencies))], rel=0.1)
        assert found["latency_p50_ms"] == pytest.approx(latencies[len(latencies) // 2], rel=0.4)  # p50 of a changing load: benchmarks.board has the errors


def test_recommendation_coverage_forecasts_and_alerts_are_the_newest(told: tuple[list[Event], Board]) -> None:
    outputs, board = told
    view = board.view("demo")
    advice = [one for one in outputs if isinstance(one, RecommendationIssued) and one.segment == "all"][-1]
    assert view["recommended"] | {"since": 0} == {
        "since": 0,
        **{name: getattr(advice, name) for name in ("track", "propensity", "plan", "strategy", "mode", "policy_version", "expires_at")},
        "reasons": list(advice.reasons),
    }
    for track in view["tracks"]:
        newest = {one.metric: one.coverage for one in outputs if isinstance(one, ModelsReported) and one.track == track["track"]}
        assert track["coverage"] == newest
    raised: dict[str, bool] = {}
    for one in outputs:
        if isinstance(one, AlertRaised | AlertResolved):
            raised[one.fingerprint] = isinstance(one, AlertRaised)
    assert {one["fingerprint"] for one in view["alerts"]} == {name for name, is_active in raised.items() if is_active}
    forecasts = {(one.metric, one.track, one.host, one.horizon_s): one.median for one in outputs if isinstance(one, ForecastIssued)}
    assert {(one["metric"], one["track"], one["host"], one["horizon_s"]): one["median"] for one in view["forecasts"]} == forecasts


def test_the_series_has_every_window_and_what_was_predicted_in_it(told: tuple[list[Event], Board]) -> None:
    outputs, board = told
    series = board.series("demo")
    for name, columns in series["tracks"].items():
        windows = [one for one in outputs if isinstance(one, WindowClosed) and one.track == name]
        assert columns["start"] == [one.start for one in windows]
        assert columns["latency_p95_ms"] == [one.latency_p95_ms for one in windows]
        assert len({len(column) for column in columns.values()}) == 1
    in_minute: dict[float, list[float]] = defaultdict(list)
    for one in outputs:
        if isinstance(one, PredictionIssued) and one.track == "api" and one.latency_ms is not None:
            in_minute[one.occurred_at // 60.0 * 60.0].append(one.latency_ms.median)
    api = series["tracks"]["api"]
    expected = [median(in_minute[start]) if in_minute[start] else None for start in api["start"]]
    assert api["predicted_median_ms"] == pytest.approx(expected)


def test_what_was_forecast_stands_beside_what_came(told: tuple[list[Event], Board]) -> None:
    outputs, board = told
    near = next(one for one in board.series("demo")["forecasts"] if (one["metric"], one["track"], one["horizon_s"]) == ("arrival_rate", "local", 60.0))
    starts = [one.occurred_at for one in outputs if isinstance(one, PredictionIssued) and one.track == "local"]
    for target, actual in list(zip(near["target_time"], near["actual"], strict=True))[3:-1]:
        assert actual == pytest.approx(sum(target - 60.0 <= at < target for at in starts) / 60.0, abs=1e-6)
    assert near["actual"][-1] is None


def test_it_is_the_same_from_an_embedded_optimizer_and_after_a_restart(tmp_path: Path, told: tuple[list[Event], Board]) -> None:
    events = [decode(line) for _, line in read_lines(RECORDING)][:3000]
    live, again, core, other = Board(), Board(), Core(CONFIG), Board()
    with Optimizer.open(str(tmp_path / "demo.db"), CONFIG, clock=lambda: START) as optimizer:
        optimizer.witness(live.hear, RECALLED)
        optimizer.record_many(events)
        optimizer.record_lines([b"{", b'{"type": "request.started/1", "scope": "demo"}'])
    for event in events:
        for heard in (event, *core.step(event)):
            other.hear(heard)
    with Optimizer.open(str(tmp_path / "demo.db"), CONFIG, clock=lambda: START) as optimizer:
        optimizer.witness(again.hear, RECALLED)
        (name,), left_out = newest(optimizer, again)
        found = status(optimizer, again, name)
    assert live.view("demo") == again.view("demo")
    assert live.series("demo") == again.series("demo") == other.series("demo")
    assert live.view("demo") | {"dead_letters": 0} == other.view("demo")
    assert (found["board"]["outputs"], left_out) == (live.view("demo")["outputs"], 0)


def test_refused_inputs_are_dead_letters_and_nothing_else(tmp_path: Path) -> None:
    board = Board()
    with Optimizer.open(str(tmp_path / "a.db"), BOUNDED, clock=lambda: START) as optimizer:
        optimizer.witness(board.hear)
        optimizer.record_lines([b'{"type":"request.started/1","event_id":"a","scope":"chat","occurred_at":1700000000,"request_id":"r","track":"nowhere"}'])
        assert board.scopes() == []
        optimizer.record(sampled(0.0, cpu_percent=3.0))
    assert board.view("chat")["dead_letters"] == 1
    assert board.view("chat")["resources"] == [{"host": "laptop", "gauge": "cpu_percent", "unit": "%", "limit": None, "value": 3.0, "at": START}]


def test_budgets_objectives_and_what_is_in_flight_come_from_the_core() -> None:
    board = Board()
    with Optimizer.open(":memory:", BOUNDED, clock=lambda: START) as optimizer:
        optimizer.witness(board.hear)
        optimizer.record_many(event for event in stream(1, 100) if event.scope == "chat")
        said = optimizer.status("chat")["chat"]
        view = status(optimizer, board, "chat")["board"]
    assert {track["track"]: track["in_flight"] for track in view["tracks"]} == {name: track["in_flight"] for name, track in said["tracks"].items()}
    by_hour = next(row for row in view["budgets"] if row["name"] == "usd_per_hour")
    assert by_hour["limit"] == 2.0
    assert by_hour["spent"] == pytest.approx(2.0 * said["budgets"]["usd_per_hour"]["spent_share"])
    assert [row["metric"] for row in view["objectives"]] == ["latency_ms"]


def test_numbers_of_now_are_of_five_minutes_and_of_longer_windows_the_last() -> None:
    old, new = window("local", 0.0, 50), window("api", 1200.0, 10)
    view = board_of(old, new).view("chat")
    assert (view["completed"], [track["share"] for track in view["tracks"]]) == (10, [1.0, 0.0])
    assert board_of(window("local", 0.0, 3600, size=3600.0)).view("chat")["rate_per_s"] == 1.0


def test_the_same_window_twice_counts_once_and_a_late_one_takes_its_place() -> None:
    board = board_of(window("local", 60.0), window("local", 0.0), window("local", 60.0))
    assert board.series("chat")["tracks"]["local"]["start"] == [START, START + 60.0]


def test_a_window_without_latencies_has_none() -> None:
    view = board_of(window("local", 0.0, 5, success_share=0.0, latency_p50_ms=None, latency_p95_ms=None, latency_p99_ms=None)).view("chat")
    assert (view["success_share"], view["latency_p50_ms"], view["tracks"][0]["quality"]) == (0.0, None, None)


def test_quantiles_of_one_window_are_its_own() -> None:
    view = board_of(window("local", 0.0)).view("chat")
    assert (view["latency_p50_ms"], view["latency_p95_ms"], view["tracks"][0]["latency_p99_ms"]) == (800.0, 900.0, 1000.0)


def test_predictions_are_those_of_the_last_minute() -> None:
    board = board_of(predicted("r1", 0.0, 100.0), predicted("r2", 90.0, 300.0), predicted("r3", 100.0, 500.0))
    latency = board.view("chat")["tracks"][0]["predicted"]["latency_ms"]
    assert latency == {"median": 400.0, "lower": 200.0, "upper": 800.0}


def test_an_alert_stands_until_it_is_resolved_and_both_are_remembered() -> None:
    board = board_of(alert(0.0), alert(1.0, fingerprint="api/p95"), alert(2.0, AlertResolved))
    assert [one["fingerprint"] for one in board.view("chat")["alerts"]] == ["api/p95"]
    assert [one["type"] for one in board.series("chat")["alerts"]] == ["alert.resolved/1", "alert.raised/1", "alert.raised/1"]


def test_incidents_that_stand_come_first_each_with_its_course() -> None:
    view = board_of(troubles.opened(1), troubles.opened(2, "incident-2"), troubles.updated(3, at=30.0), troubles.resolved(4, "incident-2", 60.0)).view("chat")
    first, second = view["incidents"]
    assert (first["incident"], first["is_open"], first["reason"], second["incident"], second["is_open"]) == (
        "incident-1",
        True,
        "20 more requests",
        "incident-2",
        False,
    )
    assert first["course"] == [{"at": START, "said": "opened"}, {"at": START + 30.0, "said": "20 more requests"}]
    assert first["suspects"][0]["name"] == "local" and not {"event_id", "scope"} & set(first)


def test_the_limit_of_a_gauge_is_what_its_forecast_or_its_alert_says() -> None:
    board = board_of(
        sampled(0.0, cpu_percent=97.0, memory_used_mb=3000.0),
        foreseen(0.0, START + 60.0, 3000.0, metric="memory_used_mb", host="laptop", limit=4096.0),
        alert(1.0, fingerprint="laptop/cpu_percent", expected=80.0),
    )
    assert {row["gauge"]: row["limit"] for row in board.view("chat")["resources"]} == {"cpu_percent": 80.0, "memory_used_mb": 4096.0}


def test_samples_of_a_quarter_minute_are_one_point() -> None:
    board = board_of(*(sampled(float(second), cpu_percent=float(second)) for second in range(30)))
    (cpu,) = board.series("chat")["resources"]
    assert cpu["value"] == [9.0, 24.0, 29.0]  # the stream starts 5 s after a quarter minute


def test_dead_letters_of_a_scope_are_counted_whether_it_is_known_yet_or_not() -> None:
    letter = dead_letter("here", b"{", Reason(code="x", message="y"), scope="chat")
    board = board_of(letter, window("local", 0.0), letter)
    assert board.view("chat")["dead_letters"] == 2


def test_the_scopes_heard_of_last_are_kept_and_the_others_counted() -> None:
    board = board_of(*(window("local", 0.0, scope=f"scope {number}") for number in range(10_000)))
    assert (len(board.scopes()), board.evicted, board.scopes()[0]) == (64, 9936, "scope 9999")
    with pytest.raises(LookupError, match="scope 0"):
        board.view("scope 0")


def test_ten_thousand_tracks_hosts_gauges_and_alerts_stay_within_the_caps() -> None:
    board = Board()
    for number in range(10_000):
        board.hear(window(f"track {number}", float(number)))
        board.hear(predicted(f"r{number}", float(number), 100.0, track=f"track {number}"))
        board.hear(sampled(float(number), gauges={f"g{number % 500}": 1.0}).model_copy(update={"host": f"host {number}"}))
        board.hear(alert(float(number), fingerprint=f"track {number}/p95"))
        board.hear(foreseen(float(number), START + number, 1.0, track=f"track {number}"))
    view, series = board.view("chat"), board.series("chat")
    assert (len(view["tracks"]), len({row["host"] for row in view["resources"]}), len(view["alerts"])) == (64, 64, 256)
    assert (len(series["tracks"]), len(series["resources"]), len(series["alerts"]), len(series["forecasts"])) == (64, 64, 100, 1024)
    assert view["evicted"] > 30_000


def test_rings_have_240_windows_and_fewer_where_many_tracks_share_them() -> None:
    alone = board_of(*(window("local", 60.0 * number) for number in range(500)))
    assert len(alone.series("chat")["tracks"]["local"]["start"]) == 240
    many = board_of(*(window(f"track {number % 64}", 60.0 * number) for number in range(10_000)))
    assert sum(len(columns["start"]) for columns in many.series("chat")["tracks"].values()) == 4096


def test_many_predictions_of_a_window_are_thinned_evenly() -> None:
    board = board_of(*(predicted(f"r{number}", 60.0 * number / 20_000, 1.0 + number) for number in range(20_000)), window("local", -20.0, size=100.0))
    found = board.series("chat")["tracks"]["local"]["predicted_median_ms"][0]
    assert found == pytest.approx(10_000.0, rel=0.02)


@pytest.fixture(scope="module")
def pieces(told: tuple[list[Event], Board]) -> list[Event]:
    """Events of every type, and some that are odd."""
    outputs, _ = told
    kept: dict[type[Event], list[Event]] = defaultdict(list)
    for one in outputs:
        kept[type(one)].append(one)
    odd = [window("\x00 ünïcode 💥", 1e5, 0), window("local", 0.0, size=0.001), window("local", 0.0, latency_p50_ms=0.0)]
    return [one for found in kept.values() for one in found[:3] + found[-3:]] + odd + [sampled(0.0, battery_charging=True, gauges={"g": -1.0})]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_order_of_events_raises_and_the_same_order_gives_the_same(pieces: list[Event], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(pieces), max_size=60))
    scopes = data.draw(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3))
    events = [event.model_copy(update={"scope": scopes[place % len(scopes)]}) for place, event in enumerate(chosen)]
    one, two = board_of(*events), board_of(*events)
    for scope in one.scopes():
        found = one.view(scope), one.series(scope)
        json.dumps(found, allow_nan=False)
        assert found == (two.view(scope), two.series(scope))
        assert all(math.isfinite(track["share"]) for track in found[0]["tracks"] if track["share"] is not None)


def test_a_shuffled_stream_has_the_same_windows(told: tuple[list[Event], Board]) -> None:
    outputs, board = told
    windows = [one for one in outputs if isinstance(one, WindowClosed)]
    random.Random(1).shuffle(windows)
    shuffled = board_of(*windows).series("demo")["tracks"]
    for name, columns in board.series("demo")["tracks"].items():
        assert shuffled[name]["latency_p50_ms"] == columns["latency_p50_ms"]


def test_other_inputs_are_passed_over() -> None:
    board = Board()
    for event in stream(1, 50):
        if not isinstance(event, ResourceSampled):
            board.hear(event)
    assert board.scopes() == []


def test_the_benchmark_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark.main(argparse.Namespace(quick=True, json=tmp_path / "board.json"))
    assert json.loads((tmp_path / "board.json").read_text())["hear"]["prediction.issued/1"]["events"] > 0
    assert "µs an event" in capsys.readouterr().out
