"""The routing recording that ships: what it holds, what `evaluate` finds in it, and what the demo shows."""

import gzip
import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pointsman.schemas import RequestCompleted, RequestStarted, decode
from pointsman.schemas.settings import load
from pointsman.streams.cli import main
from pointsman.streams.demo_routing import BUDGETS, CONFIG, RECORDING
from pointsman.streams.live_routing import play
from pointsman.streams.logged import read_recording
from pointsman.streams.recording import read_lines
from pointsman.streams.replay import source_lines
from pointsman.streams.static_mix import StaticMix

TRACKS = ("llama-8b", "mistral-large", "gemini-pro")


def run(*arguments: object) -> str:
    """Run a command; what it printed."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Policies on the recording by name, with their metrics."""
    document = tmp_path_factory.mktemp("evaluate") / "figures.json"
    policies = [flag for policy in (*(f"fixed:{track}" for track in TRACKS), CONFIG) for flag in ("--policy", policy)]
    run("evaluate", RECORDING, *policies, "--metric", "quality", "--metric", "cost_usd", "--json", document)
    found = json.loads(document.read_text())
    assert found["full_information"] and found["requests"] == 900 and not found["left_out"]
    return {verdict["policy"].split()[0]: verdict["metrics"] for verdict in found["policies"]}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the demo printed, and the folder it wrote to."""
    folder = tmp_path_factory.mktemp("demo")
    return run("demo", "--output", folder / "demo.html"), folder


def test_the_recording_has_one_logged_choice_a_request_and_every_model_beside_it() -> None:
    events = [decode(line) for _, line in read_lines(RECORDING)]
    starts = [event for event in events if isinstance(event, RequestStarted)]
    assert len(starts) == 2700 and sum(event.propensity is not None for event in starts) == 900
    assert {event.track for event in starts if event.propensity} == set(TRACKS)
    assert {event.latency_ms for event in events if isinstance(event, RequestCompleted)} == {1000.0}
    assert all(event.sketch is not None and event.scope == "assistant" for event in starts)


def test_the_recording_comes_with_its_origin_and_is_small() -> None:
    folder = files("pointsman.streams") / "recordings"
    assert "routing.jsonl.gz" in (folder / "ORIGINS.md").read_text()
    assert "ParetoBandit Authors" in (folder / "LICENSE-ParetoBandit").read_text()
    assert len((folder / "routing.jsonl.gz").read_bytes()) < 400_000


def test_estimates_hold_the_truth_of_what_is_always_the_same(figures: dict[str, dict[str, Any]]) -> None:
    for policy in ("random", "cheapest", *(f"fixed:{track}" for track in TRACKS)):
        for metric in figures[policy].values():
            assert metric["dr"]["lower"] <= metric["truth"] <= metric["dr"]["upper"]


def test_the_configuration_keeps_its_budget_and_beats_the_cheapest(figures: dict[str, dict[str, Any]]) -> None:
    ours, cheapest = figures[str(CONFIG)], figures["cheapest"]
    assert ours["cost_usd"]["truth"] <= 1.05 * 0.0003
    assert ours["quality"]["truth"] > cheapest["quality"]["truth"] + 0.05
    assert ours["quality"]["dr"]["value"] == pytest.approx(ours["quality"]["truth"], abs=0.04)


def test_the_demo_keeps_every_budget_and_is_above_the_fixed_mix_where_there_is_something_to_choose(played: tuple[str, Path]) -> None:
    rows = re.findall(r"at most (\d\.\d\d): quality|Pointsman, at most (\d\.\d\d) │ +([\d.]+) │ +([\d.]+) │[^│]+│ +([\d.]+)", played[0])
    found = {float(row[1]): tuple(map(float, row[2:])) for row in rows if row[1]}
    assert list(found) == [1000.0 * budget for budget in BUDGETS]
    assert all(cost <= 1.05 * budget for budget, (_, cost, _) in found.items())
    assert found[0.3][0] > found[0.3][2] + 0.01
    assert found[0.1][0] < found[0.3][0] < found[1.0][0]
    assert "saved; 0.001 USD was worth" in " ".join(played[0].split())


def test_the_demo_draws_it_and_leaves_what_it_played(played: tuple[str, Path]) -> None:
    page = (played[1] / "demo.html").read_text()
    assert "What that saves" in page and "without learning" in page and "mistral-large" in page
    assert page.count("what was predicted when it started: median (line) and 90 % interval (band)") == 4, "a heading and a label for each of two tracks"
    assert "worst 500 in a row" in page and page.count("<td>ttft_ms</td>") == 2
    assert sorted(path.name for path in played[1].iterdir()) == ["demo.html", "routing-live.jsonl.gz", "routing.jsonl.gz", "routing.toml"]


def test_the_journal_of_the_demos_own_run_can_be_evaluated(played: tuple[str, Path]) -> None:
    folder = played[1]
    said = run("evaluate", folder / "routing-live.jsonl.gz", "--config", folder / "routing.toml", "--metric", "quality", "--policy", "fixed:mistral-large")
    assert said.startswith("900 requests with a propensity") and "every track ran" not in said


def test_a_converted_recording_has_sketches_and_no_text(tmp_path: Path) -> None:
    arms = {"meta-llama/llama-3.1-8b-instruct": {"reward": 0.5, "cost": 1e-5}, "someone/other-model": {"reward": 1.0, "cost": 2e-4}}
    with gzip.open(tmp_path / "val.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"prompt": f"Translate sentence {number} to French", "arms": arms}) + "\n" for number in range(12))
    for name in ("a", "b"):
        run("convert", "routing", tmp_path / "val.jsonl.gz", "--count", 10, "--seed", 7, "--output", tmp_path / f"{name}.jsonl.gz")
    text = b"".join(line for _, line in read_lines(tmp_path / "a.jsonl.gz"))
    assert text == b"".join(line for _, line in read_lines(tmp_path / "b.jsonl.gz"))
    assert b"sentence" not in text and b'"category":"translation"' in text
    assert run("evaluate", tmp_path / "a.jsonl.gz", "--metric", "quality").startswith("10 requests with a propensity; tracks llama-8b, other-model")


def test_a_live_run_is_the_same_each_time(tmp_path: Path) -> None:
    whole = read_recording(source_lines(str(RECORDING)), str(RECORDING))
    begun, config = replace(whole, requests=whole.requests[:120]), load(CONFIG).optimization()
    first, again = (play(begun, config, 0.0003, tmp_path / f"{name}.db") for name in ("a", "b"))
    assert first.chosen.tolist() == again.chosen.tolist() and first.policies == again.policies
    assert len(set(first.chosen.tolist())) > 1


def test_a_track_below_the_line_between_others_is_in_no_best_mix() -> None:
    mix = StaticMix(np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, 0.6, 0.9]]))
    assert mix.corners == [(1.0, 0.5), (3.0, 0.9)] and mix.shares_at(2.0) == [0.5, 0.0, 0.5]
    assert mix.cost_of(0.95) is None and mix.shares_at(9.0) == [0.0, 0.0, 1.0]
