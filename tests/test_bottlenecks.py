"""Where the time of slow requests goes: reports, their advice, and the doors by which they are seen."""

import json
from pathlib import Path
from typing import Any

import pytest
from browsing import chromium, opened
from click.testing import CliRunner
from events import completed, started, ticked
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect
from serving import TOKEN, serving
from staged import asked, staged

from pointsman.models.bottleneck import Bottlenecks
from pointsman.models.bottleneck_sample import Group, Row
from pointsman.models.bottleneck_stages import is_named, parts, seen
from pointsman.schemas import AnyInput, BottleneckReported, OptimizationConfig, RequestCompleted, Signals, Track, decode, encode
from pointsman.streams import Optimizer
from pointsman.streams.cli import main
from pointsman.streams.core import Core

CONFIG = OptimizationConfig(tracks=tuple(Track(name=name) for name in ("local", "api", "agent", "search", "model")), learners="light")
PLAIN = {"search": "s1", "queue": "s2", "model": "s3", "tool": "s4"}


def reports(events: list[AnyInput], config: OptimizationConfig = CONFIG) -> list[BottleneckReported]:
    """Every report of a fold that ends half an hour after the last event."""
    core = Core(config)
    late = ticked(events[-1].occurred_at - events[0].occurred_at + 3600.0)
    return [output for event in [*events, late] for output in core.step(event) if isinstance(output, BottleneckReported)]


def whole(events: list[AnyInput], track: str = "local") -> BottleneckReported:
    """The last report of the whole of a track."""
    return [report for report in reports(events) if report.track == track and report.category is None][-1]


@pytest.mark.parametrize("slow", ["search", "model", "tool"])
def test_the_stage_that_makes_slow_requests_slow_is_first(slow: str) -> None:
    report = whole(staged(slow=slow, load=0.05))
    assert report.stages[0].stage == slow and report.stages[0].share > 0.7
    assert report.stages[0].slow_ms > 4.0 * report.stages[0].typical_ms


@pytest.mark.parametrize("queue", ["queue", "s7"])
def test_waiting_is_told_from_service_by_its_name_and_without(queue: str) -> None:
    report = whole(staged(load=0.97, requests=600, names={"queue": queue}))
    assert report.stages[0].stage == queue and [stage.stage for stage in report.stages if stage.is_queueing] == [queue]
    assert report.queueing_ms > report.service_ms
    assert any(advice.action.startswith("limit local to") and advice.costs == "configuration" for advice in report.advice)


def test_a_stage_that_shares_its_server_waits_by_what_it_takes_beyond_its_quiet_rate() -> None:
    group = Group(0.0)
    for number in range(200):
        tokens, flying = 50 + 37 * number % 400, number % 10
        ms = tokens * (10.0 + 5.0 * flying)
        group.add(Row(ms + 90.0, flying, None, tokens, None, ()), {"s1": ms, "s2": 90.0})
    decode = seen(group).columns[0]
    assert decode.is_queueing
    assert all(0.0 <= waits <= 0.82 * ms for waits, ms in zip(decode.waiting_ms, decode.ms, strict=True))


def test_advice_is_cheapest_first_and_its_gain_is_within_the_latency() -> None:
    advice = whole(staged(load=0.97, requests=600)).advice
    ranks = [("nothing", "configuration", "money").index(one.costs) for one in advice]
    assert ranks == sorted(ranks) and len(set(ranks)) == 2
    assert all(0.05 <= one.gain_share <= 1.0 for one in advice)


def test_nothing_is_said_of_few_requests_nor_where_all_take_about_the_same() -> None:
    assert not reports(staged(requests=40, slow="tool"))
    assert not reports(
        [event for number in range(200) for event in (started(f"r{number}", number), completed(f"r{number}", number + 0.9, latency_ms=800.0 + number % 9))]
    )


def test_a_category_is_reported_beside_its_track_and_routed_to_the_faster_one() -> None:
    slow, other, fast = staged(1, 200, slow="tool", category="code"), staged(3, 50, category="mail"), staged(2, 200, "api", category="code")
    events = sorted([*slow, *other, *fast], key=lambda event: event.occurred_at)
    found = {(report.track, report.category): report for report in reports(events)}
    assert ("local", "code") in found and ("local", None) in found and ("api", None) not in found
    first = found["local", "code"].advice[0]
    assert first.action.startswith("send them to api") and first.costs == "nothing"
    assert not any(advice.action.startswith("send") for advice in found["local", None].advice)  # the mix of categories may be another there


def test_a_track_with_one_category_is_reported_once() -> None:
    assert [report.category for report in reports(staged(requests=150, slow="tool", load=0.05, category="code"))] == ["code"]


def test_without_stages_the_first_token_and_the_rest_are_the_stages() -> None:
    events: list[AnyInput] = []
    for number in range(200):
        tokens = 900 if number % 12 == 0 else 100 + number % 5
        latency = 200.0 + 10.0 * tokens
        events += [
            started(f"r{number}", 20.0 * number),
            completed(f"r{number}", 20.0 * number + latency / 1000.0, latency_ms=latency, ttft_ms=200.0, output_tokens=tokens),
        ]
    report = whole(events)
    assert [stage.stage for stage in report.stages][:2] == ["generation", "first_token"]
    assert report.critical_path == ("first_token", "generation")
    assert any(advice.action.startswith("cap max_output_tokens at 104") and advice.gain_share > 0.8 for advice in report.advice)


def test_stages_that_overlap_are_shortened_to_the_latency_and_time_without_a_stage_is_other() -> None:
    group = Group(0.0)
    for number in range(60):
        group.add(Row(1000.0 + number, 0, None, None, None, ()), {"a": 1000.0 + number, "b": 1000.0 + number} if number % 2 else {"a": 250.0})
    found = seen(group)
    assert all(sum(column.ms[place] for column in found.columns) == pytest.approx(row.latency_ms) for place, row in enumerate(found.rows))
    assert {part.name for part in parts(found)} == {"a", "b", "other"}


def test_the_path_of_a_slow_request_goes_through_what_it_called() -> None:
    report = whole(asked(200), "agent")
    assert report.critical_path == ("agent", "search", "agent", "model", "agent")
    assert report.stages[0].stage == "model" and report.stages[0].share > 0.9


def test_groups_are_bounded_and_what_goes_is_counted() -> None:
    room = Bottlenecks(CONFIG)
    for number in range(100):
        event = completed(f"r{number}", number, f"t{number}")
        room.completed(event, None, event.occurred_at)
    assert (len(room.groups), room.evicted) == (32, 68)


def test_a_group_keeps_twelve_stages_and_the_rest_is_other() -> None:
    group = Group(0.0)
    for number in range(30):
        group.add(Row(100.0 + number, None, None, None, None, ()), {f"s{place}": 2.0 for place in range(32)})
    assert len(group.names) == 12 and len(group.typical.rows) + len(group.slow.rows) == 10


@pytest.mark.parametrize(("name", "waits"), [("QUEUE", True), ("kv-wait.ms", True), ("rescheduled", False), ("scheduledTime", True), ("waitress", False)])
def test_names_that_say_waiting(name: str, waits: bool) -> None:
    assert is_named(name) is waits


@pytest.mark.parametrize("stages", [{"a": 0.0}, {"a": 1e10, "b": 1e10}, {"other": 500.0}, {f"s{place}": 1e-9 for place in range(32)}])
@pytest.mark.parametrize("latency", [0.0, 1e-9, 1000.0, 1e10])
def test_odd_durations_do_no_harm(stages: dict[str, float], latency: float) -> None:
    events: list[AnyInput] = []
    for number in range(80):
        events += [
            started(f"r{number}", 2.0 * number),
            completed(f"r{number}", 2.0 * number + 1, latency_ms=latency * (1.0 + (number % 9 == 0)) / 2.0, stages=stages),
        ]
    for report in reports(events):
        assert decode_again(report) == report


def decode_again(report: BottleneckReported) -> Any:
    return BottleneckReported.model_validate_json(encode(report))


@pytest.fixture(scope="module")
def plainly() -> BottleneckReported:
    """What is reported of stages with plain names."""
    return whole(staged(slow="tool", requests=200, names=PLAIN))


@pytest.mark.parametrize("names", [("s2", "s3", "s4", "s1"), ("s4", "s3", "s2", "s1"), ("z", "s1", "a", "s2")])
def test_names_are_only_names(names: tuple[str, ...], plainly: BottleneckReported) -> None:
    other: dict[str, str] = dict(zip(PLAIN, names, strict=True))
    back, one, two = {other[name]: PLAIN[name] for name in PLAIN}, plainly, whole(staged(slow="tool", requests=200, names=other))
    assert [(back[stage.stage], stage.share, stage.slow_ms) for stage in two.stages] == [(stage.stage, stage.share, stage.slow_ms) for stage in one.stages]


@settings(deadline=None, max_examples=4)
@given(st.floats(0, 1), st.integers(0, 99))
def test_a_snapshot_and_the_tail_equal_the_whole(share: float, seed: int) -> None:
    config = CONFIG.model_copy(update={"signals": Signals(bottleneck_s=60)})
    events = sorted([*staged(seed, 120, slow="tool", category="code"), *asked(40, every=2.0)], key=lambda event: event.occurred_at)
    events = [decode(encode(event)) for event in events]
    cut = int(share * len(events))
    whole_core, first, second = Core(config), Core(config), Core(config)
    head = [encode(output) for event in events[:cut] for output in first.step(event)]
    if cut:
        assert second.restore("chat", first.snapshot("chat"))
    tail = [encode(output) for event in events[cut:] for output in second.step(event)]
    assert head + tail == [encode(output) for event in events for output in whole_core.step(event)]
    assert second.snapshot("chat") == whole_core.snapshot("chat")


def test_failures_are_left_out_but_timeouts_are_slow() -> None:
    room = Bottlenecks(CONFIG)
    for number in range(40):
        room.completed(ended(number, success=False, failure_class="timeout" if number % 2 else "provider"), None, float(number))
    assert len(room.groups["local", None].usual) == 20


def ended(number: int, **fields: Any) -> RequestCompleted:
    return completed(f"r{number}", number, **fields)


# doors


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes whose slow requests wait."""
    path = tmp_path_factory.mktemp("staged") / "staged.jsonl"
    events = staged(load=0.97, requests=600)
    path.write_bytes(b"".join(encode(event) + b"\n" for event in [*events, ticked(4000.0)]))
    return path


def run(*words: str) -> str:
    """What a command says."""
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_replay_writes_reports_and_the_terminal_reads_them(recording: Path, tmp_path: Path) -> None:
    outputs = str(tmp_path / "out.jsonl")
    run("replay", str(recording), "--output", outputs)
    said = run("bottlenecks", outputs)
    assert "chat: local" in said and "queue (waiting)" in said and "costs configuration: limit local to" in said
    assert json.loads(run("bottlenecks", outputs, "--json"))[0]["stages"][0]["stage"] == "queue"
    assert run("bottlenecks", outputs, "--json", "--scope", "mail") == "[]\n"
    assert "nothing was reported of scope 'mail'" in run("bottlenecks", outputs, "--scope", "mail")


def test_the_terminal_reads_a_database(recording: Path, tmp_path: Path) -> None:
    database = str(tmp_path / "kept.db")
    with Optimizer.open(database, CONFIG) as optimizer:
        optimizer.record_many([decode(line) for line in recording.read_bytes().splitlines()])
        assert optimizer.status()["chat"]["signals"]["calls"][0] == ["local", "local/model"]
    assert "queue (waiting)" in run("bottlenecks", database)


def test_the_server_shows_them_on_the_board_the_stream_and_the_page(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(config=CONFIG) as client:
        client.post("/v1/events", content=recording.read_bytes(), headers={"content-type": "application/x-ndjson"}, timeout=60).raise_for_status()
        board = client.get("/v1/status").json()["chat"]["board"]["bottlenecks"]
        assert [(one["track"], one["stages"][0]["stage"]) for one in board] == [("local", "queue")]
        monkeypatch.setenv("POINTSMAN_TOKEN", TOKEN)
        assert "queue (waiting)" in run("bottlenecks", str(client.base_url))
        said: list[str] = []
        with chromium() as browser, opened(browser, said=said) as page:
            page.goto(f"{client.base_url}/#token={TOKEN}")
            expect(page.locator("#bottlenecks li.bottleneck[data-track=local]")).to_contain_text("queue (waiting)", timeout=20_000)
            expect(page.locator("#bottlenecks")).to_contain_text("limit local to")
        assert not said
