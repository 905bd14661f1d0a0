"""Objectives where people look: board, page, terminal, metrics, history and weekly report all say what `objective.reported/1` says."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from browsing import chromium, opened
from click.testing import CliRunner
from events import completed, started
from playwright.sync_api import expect
from rich.console import Console
from serving import TOKEN, serving

from pointsman.schemas import AlertRaised, AnyInput, Event, Objective, ObjectiveReported, OptimizationConfig, Track, encode
from pointsman.sinks.board import Board
from pointsman.sinks.prometheus import Gauges
from pointsman.streams.cli import main
from pointsman.streams.core import Core
from pointsman.streams.status_picture import Picture
from pointsman.streams.status_screen import Screen

SUCCESS = Objective(metric="success", bound=1.0, share=0.99)
SLOW = Objective(metric="latency_ms", bound=1500.0, share=0.9, track="local", window="1h")
CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")), objectives=(SUCCESS, SLOW), learners="light")


def requests() -> list[AnyInput]:
    """An hour of good requests, then twenty that fail."""
    events: list[AnyInput] = []
    for n in range(380):
        is_good = n < 360
        fields: dict[str, Any] = {"success": is_good, "failure_class": None if is_good else "provider"}
        events += [started(f"r{n}", 10.0 * n), completed(f"r{n}", 10.0 * n + 1.0, latency_ms=1000.0 if n % 20 else 2000.0, **fields)]
    return events


@pytest.fixture(scope="module")
def outputs() -> list[Event]:
    core = Core(CONFIG)
    return [output for event in requests() for output in core.step(event)]


def heard(outputs: list[Event]) -> Board:
    board = Board()
    for output in outputs:
        board.hear(output)
    return board


def newest(outputs: list[Event], objective: Objective) -> ObjectiveReported:
    return [one for one in outputs if isinstance(one, ObjectiveReported) and one.objective == objective.name][-1]


def test_the_board_has_the_newest_report_of_each_from_events_alone(outputs: list[Event]) -> None:
    rows = {row["objective"]: row for row in heard(outputs).view("chat")["objectives"]}
    assert set(rows) == {SUCCESS.name, SLOW.name}
    last = newest(outputs, SUCCESS)
    assert (rows[SUCCESS.name]["budget_left"], rows[SUCCESS.name]["broken"]) == (last.budget_left, last.broken)
    assert any(isinstance(one, AlertRaised) and one.kind == "slo_burn" for one in outputs)


def test_an_older_report_changes_nothing(outputs: list[Event]) -> None:
    first = next(one for one in outputs if isinstance(one, ObjectiveReported) and one.objective == SUCCESS.name)
    assert heard([*outputs, first]).view("chat")["objectives"] == heard(outputs).view("chat")["objectives"]


def test_metrics_have_what_is_left_and_the_burn_rates_by_window(outputs: list[Event]) -> None:
    gauges, last = Gauges(), newest(outputs, SUCCESS)
    for output in outputs:
        gauges.add(output)
    labels = {"scope": "chat", "objective": SUCCESS.name, "metric": "success", "track": "", "category": ""}
    assert gauges.registry.get_sample_value("pointsman_objective_budget_left_ratio", labels) == last.budget_left
    hour = next(burn.rate for burn in last.burns if burn.window_s == 3600.0)
    assert gauges.registry.get_sample_value("pointsman_objective_burn_rate", labels | {"window": "1h"}) == hour


def test_the_terminal_shows_the_burning_one_first(outputs: list[Event]) -> None:
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(Screen(Picture("chat", {"board": heard(outputs).view("chat")})))
    lines = console.export_text().splitlines()
    (title,) = [number for number, line in enumerate(lines) if line == "objectives"]
    assert lines[title + 1].startswith(f"  {SUCCESS.name}") and "% left" in lines[title + 1] and "spent in" in lines[title + 1]
    assert any("burns its error budget" in line for line in lines)


def test_a_history_keeps_the_reports_and_the_weekly_report_shows_them(outputs: list[Event], tmp_path: Path) -> None:
    recording = tmp_path / "in.jsonl"
    recording.write_bytes(b"".join(encode(event) + b"\n" for event in [*requests(), *outputs]))
    arguments = ["report", str(recording), "--output", str(tmp_path / "r.html"), "--json", str(tmp_path / "r.json")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    rows = {row["objective"]: row for row in json.loads((tmp_path / "r.json").read_text())["objectives"]}
    last = newest(outputs, SUCCESS)
    assert (rows[SUCCESS.name]["broken"], rows[SUCCESS.name]["budget_left"]) == (last.broken, pytest.approx(last.budget_left))
    assert rows[SUCCESS.name]["least_left"] <= last.budget_left
    page = (tmp_path / "r.html").read_text()
    assert "Objectives and their error budgets" in page and SUCCESS.name in page


def test_the_page_shows_what_is_left_and_when_it_is_spent() -> None:
    said: list[str] = []
    with serving(config=CONFIG) as client, chromium() as browser:
        lines = b"\n".join(encode(event) for event in requests())
        client.post("/v1/events", content=lines, headers={"content-type": "application/x-ndjson"}, timeout=120).raise_for_status()
        with opened(browser, said=said) as page:
            page.goto(f"{client.base_url}/#token={TOKEN}")
            row = page.locator("#objectives .objective").first
            expect(row).to_have_attribute("data-severity", "critical", timeout=20_000)
            expect(row).to_contain_text("99\u202f% succeed in 28\u202fd")
            expect(row).to_contain_text("20 of 380 broke it, at this pace it is spent in")
            expect(row.locator(".burns span").first).to_contain_text("in 1\u202fh")
            expect(page.locator("#objectives .objective")).to_have_count(2)
    assert said == []
