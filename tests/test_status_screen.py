"""The terminal's status: the same numbers as the board's, at any size of the console."""

import io
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from events import stream
from rich.console import Console
from serving import TOKEN, serving
from troubles import SUSPECTS

from pointsman.schemas import OptimizationConfig, Track
from pointsman.streams import Optimizer
from pointsman.streams.cli import main
from pointsman.streams.status_figures import duration, figure, money, share
from pointsman.streams.status_picture import Picture
from pointsman.streams.status_screen import Screen
from pointsman.streams.status_source import DatabaseSource, HttpSource

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)), learners="light")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("status") / "a.db"
    with Optimizer.open(str(path), CONFIG) as optimizer:
        optimizer.record_many(stream(61, 400))
    return path


@pytest.fixture(scope="module")
def picture(database: Path) -> Picture:
    source = DatabaseSource(database)
    return source.picture(source.look()[0])


def drawn(picture: Picture, width: int, height: int | None = None, **options: Any) -> list[str]:
    """The lines of a screen on a recorded console."""
    console = Console(file=io.StringIO(), record=True, width=width, height=height or 25, **options)
    console.print(Screen(picture, height=height))
    return console.export_text().splitlines()


@pytest.mark.parametrize(("width", "height"), [(40, 12), (80, 24), (100, 30), (140, 50), (220, 70)])
def test_a_screen_fits_its_console(picture: Picture, width: int, height: int) -> None:
    lines = drawn(picture, width, height)
    assert len(lines) <= height and max(map(len, lines)) <= width
    assert picture.scope in lines[0]


@pytest.mark.parametrize("width", [80, 140])
def test_a_track_shows_the_numbers_of_the_board(picture: Picture, width: int) -> None:
    lines = drawn(picture, width)
    for track in picture.board["tracks"]:
        line = next(line for line in lines if line.startswith(track["track"]))
        for text in (share(track["share"]), figure(track["rate_per_s"]), duration(track["latency_p50_ms"]), duration(track["latency_p95_ms"])):
            assert text in line
        assert width == 80 or money(track["cost_usd"]) in line


def test_the_headline_and_the_recommendation_are_the_boards(picture: Picture) -> None:
    board, lines = picture.board, drawn(picture, 140)
    assert lines[1].startswith(f"{figure(board['rate_per_s'])}/s  {share(board['success_share'])} ok  p50 {duration(board['latency_p50_ms'])}")
    assert lines[2].startswith(f"→ {board['recommended']['track']} {share(board['recommended']['propensity'])}")


def test_a_console_without_unicode_gets_bars_of_ascii(picture: Picture) -> None:
    console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace"), record=True, width=140)
    console.print(Screen(picture))
    assert not set("▁▂▃▄▅▆▇█") & set(console.export_text())


def test_names_of_events_do_not_steer_the_terminal(picture: Picture) -> None:
    board = picture.board | {"tracks": [picture.board["tracks"][0] | {"track": "a\x1b[2Jb"}]}
    assert "a?[2Jb" in "\n".join(drawn(Picture("s\x1b]0;x\x07", {"board": board}), 100))


def test_budgets_alerts_scaling_and_resources_are_listed() -> None:
    incident = {"severity": "critical", "since": 40.0, "requests": 120, "suspects": SUSPECTS}
    board = {
        "clock": 100.0,
        "incidents": [
            {**incident, "incident": "incident-1", "is_open": True, "title": "latency of local"},
            {**incident, "incident": "incident-0", "is_open": False, "title": "over"},
        ],
        "budgets": [{"name": "usd_per_hour", "limit": 2.0, "spent": 1.5, "pace": 1.2}],
        "alerts": [{"severity": "critical", "kind": "budget", "subject": "chat", "observed": 3.0, "expected": 2.0, "since": 40.0}],
        "resources": [{"host": "gpu", "gauge": "memory", "value": 12.0, "limit": 10.0, "unit": "MB", "at": 99.0}],
        "scaling": [{"track": "local", "current": 1, "desired": 3, "unit": "replicas", "reason": "more is coming"}],
        "forecasts": [
            {"metric": "arrival_rate", "track": None, "host": None, "horizon_s": 600.0, "target_time": 700.0, "median": 3.0, "lower": 1.0, "upper": 5.0}
        ],
    }
    text = "\n".join(drawn(Picture("chat", {"board": board}), 100))
    assert "incident-0" not in text and "critical  incident-1  120 requests, for 1 min: latency of local" in text and "suspected: track local 81 %" in text
    for said in ("$1.50 of $2.00, pace 120 %", "critical  budget chat: 3 instead of 2, for 1 min", "12 MB of 10 MB", "1 → 3 replicas", "10 min 3 (1–5)"):
        assert said in text


def test_a_scope_of_which_nothing_is_known_is_drawn() -> None:
    assert "no recommendation yet" in "\n".join(drawn(Picture("new", {"board": None}), 80, 24))


def test_a_database_is_followed_while_it_is_written(tmp_path: Path) -> None:
    events = list(stream(62, 200))
    with Optimizer.open(str(tmp_path / "a.db"), CONFIG) as optimizer:
        optimizer.record_many(events[:200])
        source = DatabaseSource(tmp_path / "a.db")
        [scope] = source.look()[:1]
        before = source.picture(scope).board["outputs"]
        optimizer.record_many(events[200:])
        source.look()
        assert source.picture(scope).board["outputs"] > before


def test_a_servers_numbers_are_its_status(tmp_path: Path) -> None:
    with serving(tmp_path / "a.db", CONFIG) as client:
        client.post("/v1/events", json=[event.model_dump(mode="json", exclude_none=True) for event in stream(63, 100)])
        source = HttpSource(str(client.base_url), TOKEN)
        for scope in source.look():
            assert source.picture(scope).status == client.get("/v1/status").json()[scope]


def test_status_is_printed_once_where_nobody_looks(database: Path) -> None:
    result = CliRunner().invoke(main, ["status", str(database), "--watch"])
    assert result.exit_code == 0 and "track" in result.output and "\x1b" not in result.output


def test_what_is_wrong_with_a_place_is_one_line(tmp_path: Path, database: Path) -> None:
    with serving(tmp_path / "a.db", CONFIG) as client:
        wrong = CliRunner(env={"POINTSMAN_TOKEN": "another"}).invoke(main, ["status", str(client.base_url)])
    gone = CliRunner().invoke(main, ["status", "http://127.0.0.1:9"])
    unknown = CliRunner().invoke(main, ["status", str(database), "--scope", "nobody"])
    sqlite3.connect(tmp_path / "other.db").executescript("CREATE TABLE t (a)")
    other = CliRunner().invoke(main, ["status", str(tmp_path / "other.db")])
    said = ("wrong one: set POINTSMAN_TOKEN", "is `pointsman serve` running there?", "nothing was heard of scope 'nobody'", "another program")
    for result, text in zip((wrong, gone, unknown, other), said, strict=True):
        assert result.exit_code == 2 and text in result.output and len(result.output.splitlines()) == 1
