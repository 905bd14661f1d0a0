"""The weekly report: its figures are those that can be computed independently, and it is a page that can be read."""

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from events import START, completed, started
from postgres import postgres_server

from pointsman.schemas import Event, OptimizationConfig, encode
from pointsman.sinks.history import HistoryError
from pointsman.sinks.weekly import Period
from pointsman.streams.candidates import candidate
from pointsman.streams.cli import main
from pointsman.streams.evaluate import judge
from pointsman.streams.logged import read_recording

DAY = 86_400.0
PRICES = {"local": 0.0, "api": 0.01}
EXCUSED = {"success": False, "failure_class": "client"}


def traffic(days: int = 3, requests: int = 300, seed: int = 5) -> list[Event]:
    """Requests over some days on two tracks, `api` with probability 0.3."""
    draw = random.Random(seed)
    events: list[Event] = []
    for number in range(requests):
        at = days * DAY * number / requests
        track = "api" if draw.random() < 0.3 else "local"
        tokens, latency = draw.randrange(10, 1000), draw.uniform(100.0, 900.0)
        fails = {"success": draw.random() > 0.1, "failure_class": None}
        outcome: dict[str, Any] = EXCUSED if number % 50 == 7 else fails
        events.append(started(f"r{number}", at, track, propensity=0.3 if track == "api" else 0.7, input_tokens=tokens, category=draw.choice("ab")))
        cost = PRICES[track] * draw.uniform(0.5, 1.5)
        events.append(completed(f"r{number}", at + latency / 1000.0, track, latency_ms=latency, cost_usd=cost, quality_score=draw.random(), **outcome))
    return events


def figures(source: str, folder: Path, *options: str) -> dict[str, Any]:
    """The figures of a report, whose page is in the folder."""
    arguments = ["report", source, "--output", str(folder / "report.html"), "--json", str(folder / "report.json"), *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recording and its history."""
    folder = tmp_path_factory.mktemp("weekly")
    recording = folder / "in.jsonl"
    recording.write_bytes(b"".join(encode(event) + b"\n" for event in traffic()))
    runner = CliRunner()
    runner.invoke(main, ["replay", str(recording), "--output", str(folder / "out.jsonl")])
    assert runner.invoke(main, ["history", str(recording), str(folder / "out.jsonl"), str(folder / "history.db")]).exit_code == 0
    return recording, folder / "history.db"


def ended(kept: tuple[Path, Path]) -> list[dict[str, Any]]:
    """The completions of the recording."""
    lines = (json.loads(line) for line in kept[0].read_text().splitlines())
    return [line for line in lines if line["type"] == "request.completed/1"]


def test_counts_costs_and_latencies_are_those_of_the_recording(kept: tuple[Path, Path], tmp_path: Path) -> None:
    found, events = figures(str(kept[1]), tmp_path), ended(kept)
    for track in PRICES:
        own = [event for event in events if event["track"] == track]
        counted = [event["success"] for event in own if event.get("failure_class") != "client"]
        latencies = sorted(event["latency_ms"] for event in own if event["success"])
        said = found["tracks"][track]
        assert said["attempts"] == len(own) and said["cost_usd"] == pytest.approx(sum(event["cost_usd"] for event in own))
        assert said["success_share"] == pytest.approx(sum(counted) / len(counted)) and said["quality"] == pytest.approx(
            np.mean([e["quality_score"] for e in own])
        )
        assert said["latency_p95_ms"] == latencies[int(0.95 * len(latencies))]
    assert found["bucket_s"] == DAY and sum(bucket["attempts"] for bucket in found["buckets"]) == 300


def test_savings_are_those_of_the_estimators(kept: tuple[Path, Path], tmp_path: Path) -> None:
    found = figures(str(kept[1]), tmp_path)["savings"]
    lines = [("x", line) for line in kept[0].read_bytes().splitlines()]
    recording = read_recording(lines, "x", OptimizationConfig())
    policies = [candidate("fixed:api", recording), candidate("fixed:local", recording)]
    expected = {verdict.policy.replace("fixed:", "always "): verdict.metrics["cost_usd"] for verdict in judge(recording, policies)}
    for row in found["rows"][:2]:
        against = expected[row["policy"]].against_logged
        assert against is not None and row["saved_usd"] == pytest.approx([1000.0 * end for end in (against.value, against.lower, against.upper)])
    assert found["requests"] == 294 and found["left_out"] == {"hung up by the client": 6}


def test_savings_hold_the_truth(kept: tuple[Path, Path], tmp_path: Path) -> None:
    """Always `api` costs 0.01 USD a request in the mean, ours three tenths of that."""
    row = next(row for row in figures(str(kept[1]), tmp_path)["savings"]["rows"] if row["policy"] == "always api")
    ours = 1000.0 * sum(event["cost_usd"] for event in ended(kept)) / 300
    value, lower, upper = row["saved_usd"]
    assert lower < 10.0 - ours < upper and 0.0 < lower < value < upper
    page = (tmp_path / "report.html").read_text()
    assert re.search(r"Against <b>always api</b> the 294 requests saved <b class=good>\$[12]\.\d\d</b>", page)
    assert re.search(r"Against <b>always local</b> the 294 requests cost <b class=bad>\$0?[01]?\.\d\d more</b>", page)


def test_accuracy_is_that_of_the_predictions(kept: tuple[Path, Path], tmp_path: Path) -> None:
    rows = {(row["track"], row["metric"]): row for row in figures(str(kept[1]), tmp_path)["accuracy"]}
    outputs = [json.loads(line) for line in (kept[1].parent / "out.jsonl").read_text().splitlines()]
    first: dict[str, dict[str, float]] = {}
    for output in outputs:
        if output["type"] == "prediction.issued/1" and output["track"] == "local" and "latency_ms" in output:
            first.setdefault(output["request_id"], output["latency_ms"])
    done = [event for event in ended(kept) if event["track"] == "local" and event["success"]]
    pairs = [(first[event["request_id"]], event["latency_ms"]) for event in done if event["request_id"] in first and event is not done[0]]
    wape = sum(abs(said["median"] - actual) for said, actual in pairs) / sum(actual for _, actual in pairs)
    assert rows["local", "latency_ms"]["wape"] == pytest.approx(wape, rel=0.01)
    assert 0.8 < rows["local", "latency_ms"]["coverage"] <= 1.0


def test_every_kind_of_history_gives_the_same_report(kept: tuple[Path, Path], tmp_path: Path) -> None:
    expected = figures(str(kept[1]), tmp_path)
    sources = [str(kept[0]), str(kept[0].parent / "out.jsonl")]
    with postgres_server() as server:
        for target in (server.url("report"), f"parquet:{tmp_path / 'folder'}"):
            assert CliRunner().invoke(main, ["history", *sources, target]).exit_code == 0
            assert figures(target, tmp_path) == expected
    assert figures(str(kept[0]), tmp_path) == expected


def test_a_week_is_that_of_the_calendar(kept: tuple[Path, Path], tmp_path: Path) -> None:
    assert START == 1_700_000_000.0  # Tuesday of week 46 of 2023
    found = figures(str(kept[1]), tmp_path, "--week", "2023-W46")
    assert found["period"]["since"] == "2023-11-13T00:00:00+00:00" and found["total"]["attempts"] == 300
    assert figures(str(kept[1]), tmp_path, "--since", "2023-11-16", "--until", "2023-11-17")["total"]["attempts"] == 100
    assert "week 46 of 2023" not in (tmp_path / "report.html").read_text()


def test_an_empty_week_is_a_clear_page(kept: tuple[Path, Path], tmp_path: Path) -> None:
    found = figures(str(kept[1]), tmp_path, "--week", "2026-W47")
    page = (tmp_path / "report.html").read_text()
    assert found["total"]["attempts"] == 0 and "Nothing began in this period" in page and "week 47 of 2026" in page


def test_without_propensities_the_page_says_so(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in (started("a", 0.0), completed("a", 1.0))))
    figures(str(tmp_path / "in.jsonl"), tmp_path)
    assert "carries a propensity" in (tmp_path / "report.html").read_text()


def test_names_from_outside_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    events = [started("a", 0.0, evil, propensity=0.5), completed("a", 1.0, evil), started("b", 0.0, "api", propensity=0.5), completed("b", 1.0, "api")]
    (tmp_path / "in.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in events))
    figures(str(tmp_path / "in.jsonl"), tmp_path)
    assert "<script>" not in (tmp_path / "report.html").read_text()


def test_a_scope_is_reported_alone(tmp_path: Path) -> None:
    events = [started("a", 0.0), completed("a", 1.0), started("b", 0.0).model_copy(update={"scope": "mail"})]
    (tmp_path / "in.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in events))
    found = figures(str(tmp_path / "in.jsonl"), tmp_path, "--scope", "mail")
    assert found["scopes"] == ["mail"] and found["total"]["unfinished"] == 1


@pytest.mark.parametrize("options", ["--week 2026", "--week 2026-W47 --since 2026-11-16", "--since soon", "--since 2026-11-17 --until 2026-11-16"])
def test_a_period_that_is_none_is_one_line(options: str, kept: tuple[Path, Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["report", str(kept[1]), "--output", str(tmp_path / "r.html"), *options.split()])
    assert result.exit_code == 2 and len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["2025-W53", "2026-W0", "2026-W54", "9999-W52", "2026-47", "W47", "-1-W01", "2026-W-1"])
def test_a_week_that_a_year_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(HistoryError, match="not a week"):
        Period.week(name)


def test_weeks_end_where_the_next_begin_over_the_end_of_a_year() -> None:
    weeks = [Period.week(name) for name in ("2020-W53", "2021-W01", "2025-W52", "2026-W01")]
    assert [str(week)[:10] for week in weeks] == ["2020-12-28", "2021-01-04", "2025-12-22", "2025-12-29"]
    assert weeks[0].until == weeks[1].since and weeks[2].until == weeks[3].since
