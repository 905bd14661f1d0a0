"""The embedded optimizer where things go wrong, change, or come twice."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from events import START, started

from pointsman.schemas import OptimizationConfig, Scaling, ScalingRecommended, Track, decode_output, encode
from pointsman.streams.cli import main
from pointsman.streams.dual_track import DualTrackOptimizer
from pointsman.streams.embedded import Optimizer
from pointsman.streams.journal import JournalError
from pointsman.streams.replay import replay_file
from pointsman.streams.sampler import ResourceSampler

ONE = OptimizationConfig(tracks=(Track(name="local"),))
TWO = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))


def at(seconds: float) -> Any:
    """A clock that stands still."""
    return lambda: START + seconds


def test_a_report_that_comes_again_is_a_repeat_and_another_score_is_not(tmp_path: Path) -> None:
    with Optimizer.open(str(tmp_path / "a.db"), TWO, clock=at(0)) as optimizer:
        optimizer.record_request_start("r1", scope="chat", track="local")
        done: dict[str, Any] = {"scope": "chat", "track": "local", "success": True, "latency_ms": 800.0}
        optimizer.record_request_completion("r1", **done)
        optimizer.record_request_completion("r1", **done, occurred_at=START + 5.0)
        for score in (0.2, 0.9, 0.9):
            optimizer.record_quality("r1", scope="chat", track="local", score=score, assessor="judge")
        status = optimizer.status()["chat"]
        assert (status["events"], status["duplicates"]) == (4, 2)


def test_a_new_scope_starts_on_the_configuration_in_force_and_replays_so(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Optimizer.open(str(path), ONE, clock=at(0)) as optimizer:
        optimizer.record(started("r1", 0.0))
    with Optimizer.open(str(path), TWO, clock=at(1)) as optimizer:
        assert {row.track for row in optimizer.recommend("mail", request_id="q").tracks} == {"local", "api"}
        optimizer.record(started("r2", 1.0, "api").model_copy(update={"scope": "mail"}))
        assert list(optimizer.status()["mail"]["tracks"]) == ["local", "api"]
        emitted = [line for _, line in optimizer.outputs()]
    replay_file(str(path), tmp_path / "out.jsonl", config=ONE)
    assert (tmp_path / "out.jsonl").read_bytes().splitlines() == emitted


def test_refused_events_are_kept_and_the_next_is_recorded(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    with Optimizer.open(path, ONE, clock=at(0)) as optimizer:
        optimizer.record_many([started("r1", 0.0, "nowhere"), started("r2", 0.0)])
        optimizer.record_lines([b"{", encode(started("r3", 0.0))])
        assert optimizer.status()["chat"]["in_flight"] == 2
    with Optimizer.open(path, ONE, clock=at(0)) as optimizer:
        assert [letter.reason.code for letter in optimizer.dead_letters()] == ["unknown_track", "malformed_json"]
    listed = CliRunner().invoke(main, ["dead-letters", path])
    assert [line.split("\t")[1] for line in listed.output.splitlines()] == ["unknown_track", "malformed_json"]


def test_raw_lines_are_sketched(tmp_path: Path) -> None:
    with Optimizer.open(":memory:", ONE, clock=at(0)) as optimizer:
        line = encode(started("r1", 0.0))
        optimizer.record_lines([line[:-1] + b',"query":"Summarise this mail"}'])
        assert not any(b"mail" in line for _, line in optimizer.outputs())


def test_a_second_optimizer_on_the_same_file_is_refused_and_readers_are_not(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    with Optimizer.open(path, ONE, clock=at(0)) as optimizer:
        optimizer.record(started("r1", 0.0))
        program = f"from pointsman.streams import Optimizer; Optimizer.open({path!r})"
        second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "another optimizer has it open" in second.stderr
        assert CliRunner().invoke(main, ["status", "--database", path]).exit_code == 0
    Optimizer.open(path, clock=at(0)).close()


@pytest.mark.parametrize("path", [".", "no/such/folder/a.db"])
def test_a_path_that_cannot_be_a_file_is_named(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(JournalError, match="folder"):
        Optimizer.open(path)


def test_what_is_due_is_ticked_while_nothing_else_happens() -> None:
    now = [START]
    with Optimizer.open(":memory:", TWO, clock=lambda: now[0]) as optimizer:
        optimizer.record_request_start("r1", scope="chat", track="local")
        optimizer.record_request_completion("r1", scope="chat", track="local", success=True, latency_ms=800.0)
        assert optimizer.tick_due() == 0
        now[0] += 120.0
        assert optimizer.tick_due() == 1
        kinds = [decode_output(line).TYPE for _, line in optimizer.outputs()]
        assert "window.closed/1" in kinds
        ticks = []
        for _ in range(4):  # the workload closes its minutes for five minutes after the last event
            now[0] += 60.0
            ticks.append(optimizer.tick_due())
        assert ticks == [1, 1, 1, 0]
        now[0] += 3600.0
        assert optimizer.tick_due() == 0


def test_scaling_advice_falls_by_itself_where_nothing_happens() -> None:
    now, config = [START], OptimizationConfig(tracks=(Track(name="local"),), scaling=(Scaling(track="local", start_delay_s=300.0),))
    with Optimizer.open(":memory:", config, clock=lambda: now[0]) as optimizer:
        for number in range(30):
            for copy in range(3):
                optimizer.record_request_start(f"r{number}/{copy}", scope="chat", track="local")
            now[0] += 60.0
            for copy in range(3):
                optimizer.record_request_completion(f"r{number}/{copy}", scope="chat", track="local", success=True, latency_ms=60_000.0)
        busy = [one.desired for one in advice(optimizer)]
        ticks = [tick_after(optimizer, now, 61.0) for _ in range(120)]
        assert ticks == [1] * 120
        idle = advice(optimizer)[len(busy) :]
    assert busy[-1] >= 4
    assert [one.current for one in idle] == [busy[-1], *(one.desired for one in idle[:-1])]
    assert idle[-1].desired == 1


def test_after_a_stop_of_more_than_five_minutes_the_next_event_takes_a_scope_up_again() -> None:
    now, config = [START], OptimizationConfig(tracks=(Track(name="local"),), scaling=(Scaling(track="local"),))
    with Optimizer.open(":memory:", config, clock=lambda: now[0]) as optimizer:
        optimizer.record_request_start("r1", scope="chat", track="local")
        assert [tick_after(optimizer, now, seconds) for seconds in (60.0, 299.0, 301.0, 60.0)] == [1, 1, 0, 0]
        optimizer.record_request_start("r2", scope="chat", track="local")
        assert tick_after(optimizer, now, 60.0) == 1


def tick_after(optimizer: Optimizer, now: list[float], seconds: float) -> int:
    """How many scopes were ticked once so much time has passed."""
    now[0] += seconds
    return optimizer.tick_due()


def advice(optimizer: Optimizer) -> list[ScalingRecommended]:
    """All scaling advice so far."""
    found = [decode_output(line) for _, line in optimizer.outputs()]
    return [one for one in found if isinstance(one, ScalingRecommended)]


def test_a_recommendation_says_all_that_a_router_needs() -> None:
    with Optimizer.open(":memory:", TWO, clock=at(0)) as optimizer:
        optimizer.record_request_start("r1", scope="chat", track="local")
        found = optimizer.recommend("chat", request_id="r2")
        assert (found.strategy, found.mode, found.plan, found.expires_at) == ("balanced", "apply", "single", START + 300.0)
        assert {row.track for row in found.tracks} == {"local", "api"}


@pytest.mark.parametrize(
    "change",
    [
        {"latency_ms": float("nan")},
        {"latency_ms": -1.0},
        {"track": "nowhere"},
        {"scope": "x" * 10_000},
        {"occurred_at": 1e12},
        {"quality_score": 2.0},
        {"latency_ms": None},
    ],
)
def test_what_is_not_valid_is_refused_and_nothing_is_recorded(change: dict[str, Any]) -> None:
    with Optimizer.open(":memory:", TWO, clock=at(0)) as optimizer:
        fields: dict[str, Any] = {"scope": "chat", "track": "local", "success": True, "latency_ms": 800.0} | change
        with pytest.raises(ValueError):
            optimizer.record_request_completion("r1", **fields)
        assert optimizer.status() == {} and not optimizer.dead_letters()


def test_another_start_of_the_same_request_is_kept_and_runs_once() -> None:
    with Optimizer.open(":memory:", TWO, clock=at(0)) as optimizer:
        for tokens in (10, 10, 20):
            optimizer.record_request_start("r1", scope="chat", track="local", input_tokens=tokens)
        status = optimizer.status()["chat"]
        assert (status["events"], status["duplicates"], status["tracks"]["local"]["in_flight"]) == (2, 2, 1)


def test_a_sample_that_is_refused_does_not_end_the_sampling() -> None:
    with Optimizer.open(":memory:", TWO, clock=at(0)) as optimizer:
        with ResourceSampler(optimizer, scope="chat", interval_s=60.0, measure=lambda: {"cpu_percent": 101.0}):
            pass
        assert optimizer.status() == {}


def test_the_dual_track_names_answer() -> None:
    optimizer = DualTrackOptimizer(TWO)
    optimizer.start()
    optimizer.record_request_start("r1", "Summarise this mail", {"scope": "chat"})
    optimizer.record_request_completion("r1", "local", {"latency_ms": 812.0, "output_tokens": 120}, True, None)
    advice = optimizer.get_optimization_recommendations("Summarise this mail", {"scope": "chat"})
    status = optimizer.get_optimization_status()
    optimizer.stop()
    assert advice["processing_path"] in ("local", "api") and {row["track"] for row in advice["tracks"]} == {"local", "api"}
    assert status["tracks"]["local"]["completed"] == 1
