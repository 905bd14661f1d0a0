"""`pointsman evaluate`: what other policies would have done, through the command line."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from events import completed, sampled, started

from pointsman.schemas import AnyInput, ConfigChanged, OptimizationConfig, QualityAssessed, RequestCompleted, RequestStarted, Track, encode
from pointsman.streams import Optimizer
from pointsman.streams.candidates import configured
from pointsman.streams.cli import main
from pointsman.streams.logged import read_recording
from pointsman.streams.replay import source_lines

QUALITY = {"local": {"mail": 0.8, "code": 0.3}, "api": {"mail": 0.7, "code": 0.9}}
COST = {"local": 0.0, "api": 0.004}
LATENCY = {"local": 400.0, "api": 900.0}


def outcome(request: str, at: float, track: str, category: str, draw: random.Random) -> AnyInput:
    """What a track gives for a request of a category, with some noise."""
    quality = min(max(QUALITY[track][category] + draw.gauss(0.0, 0.1), 0.0), 1.0)
    return completed(request, at + 2.0, track, LATENCY[track] * draw.lognormvariate(0.0, 0.2), cost_usd=COST[track], quality_score=quality)


def events(requests: int, *, is_full: bool = False, seed: int = 3, floor: float = 0.2) -> list[AnyInput]:
    """A stream whose policy sends code to the API more often than mail; with `is_full` the other track runs every request as well."""
    draw, found = random.Random(seed), list[AnyInput]()
    for number in range(requests):
        name, at, category = f"r{number}", 5.0 * number, ("mail", "code")[number % 2]
        share = 1.0 - floor if category == "code" else floor
        tracks = ["api", "local"] if draw.random() < share else ["local", "api"]
        propensity = share if tracks[0] == "api" else 1.0 - share
        found.append(started(name, at, tracks[0], propensity=propensity, category=category, input_tokens=200))
        if is_full:
            found.append(started(name, at, tracks[1], category=category, input_tokens=200))
        found += [outcome(name, at, track, category, draw) for track in tracks[: 2 if is_full else 1]]
    return found


def write(path: Path, stream: list[AnyInput]) -> Path:
    path.write_bytes(b"".join(encode(event) + b"\n" for event in stream))
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def figures(recording: Path, *arguments: object) -> dict[str, Any]:
    """The JSON document of an evaluation, with the policies by name."""
    found = recording.with_suffix(".json")
    result = invoke(recording, "--json", found, *arguments)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(found.read_text())
    return document | {"by_name": {row["policy"]: row for row in document["policies"]}}


def test_the_estimate_of_each_track_holds_its_truth(tmp_path: Path) -> None:
    found = figures(write(tmp_path / "r.jsonl", events(600)))["by_name"]
    for track, truth in (("local", 0.55), ("api", 0.8)):
        estimate = found[f"fixed:{track}"]["metrics"]["quality"]["dr"]
        assert estimate["lower"] <= truth <= estimate["upper"]
        assert estimate["upper"] - estimate["lower"] < 0.15


def test_a_full_recording_has_the_truth_beside_the_estimates_and_a_logged_one_has_none(tmp_path: Path) -> None:
    full = figures(write(tmp_path / "full.jsonl", events(600, is_full=True)))
    metrics = full["by_name"]["fixed:api"]["metrics"]
    assert full["full_information"] and metrics["cost_usd"]["truth"] == pytest.approx(0.004)
    for name in ("quality", "latency_ms", "utility"):
        assert metrics[name]["dr"]["lower"] <= metrics[name]["truth"] <= metrics[name]["dr"]["upper"]
    partial = figures(write(tmp_path / "part.jsonl", events(60)))
    assert not partial["full_information"] and partial["by_name"]["random"]["metrics"]["quality"]["truth"] is None


def test_the_logged_policy_is_what_happened(tmp_path: Path) -> None:
    stream = events(100)
    happened = [event.quality_score for event in stream if isinstance(event, RequestCompleted)]
    logged = figures(write(tmp_path / "r.jsonl", stream))["by_name"]["logged"]["metrics"]["quality"]
    assert logged["dr"]["value"] == pytest.approx(sum(value or 0.0 for value in happened) / 100)
    assert logged["effective_requests"] == 100


def test_the_baselines_are_always_there_and_named_by_what_they_chose(tmp_path: Path) -> None:
    found = figures(write(tmp_path / "r.jsonl", events(400)), "--policy", "fixed:api")["by_name"]
    assert list(found) == ["logged", "random", "best (api)", "cheapest (local)", "fixed:api"]


def test_a_configuration_is_asked_before_it_sees_an_outcome(tmp_path: Path) -> None:
    stream = events(200)
    turned = [
        event.model_copy(update={"quality_score": 0.0}) if isinstance(event, RequestCompleted) and place > 240 else event for place, event in enumerate(stream)
    ]
    config, targets = OptimizationConfig(strategy="quality"), []
    for name, recorded in (("as_it_was", stream), ("turned", turned)):
        recording = read_recording(source_lines(str(write(tmp_path / f"{name}.jsonl", recorded))), name)
        targets.append(configured(name, config, recording).target)
    changed = np.any(targets[0] != targets[1], axis=1)
    assert changed.any() and not changed[:121].any()  # the first turned outcome is that of request 120
    assert targets[0][101, 0] > 0.8  # code to the API, once it has seen both


def test_a_configuration_learns_from_the_logged_attempts_only_and_keeps_its_own_settings(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('strategy = "quality"\n')
    full = events(200, is_full=True)
    logged = {event.request_id: event.track for event in full if isinstance(event, RequestStarted) and event.propensity is not None}
    partial = [event for event in full if isinstance(event, RequestStarted | RequestCompleted) and event.track == logged[event.request_id]]
    change = ConfigChanged(event_id="change", scope="chat", occurred_at=full[0].occurred_at, config=OptimizationConfig(strategy="cost"))
    name = str(tmp_path / "c.toml")
    one = figures(write(tmp_path / "full.jsonl", full), "--policy", name)["by_name"][name]["metrics"]["quality"]
    other = figures(write(tmp_path / "part.jsonl", [change, *partial]), "--policy", name)["by_name"][name]["metrics"]["quality"]
    assert one["dr"] == other["dr"] and one["truth"] is not None


def test_the_last_judgement_of_a_request_is_its_quality(tmp_path: Path) -> None:
    stream = [event.model_copy(update={"quality_score": None}) for event in events(20)]
    judged = [
        QualityAssessed(
            event_id=f"{event.event_id}-{score}", scope="chat", occurred_at=event.occurred_at, request_id=event.request_id, track=event.track, score=score
        )
        for event in stream
        if isinstance(event, RequestCompleted)
        for score in (0.9, 0.25)
    ]
    assert figures(write(tmp_path / "r.jsonl", [*stream, *judged]))["by_name"]["logged"]["metrics"]["quality"]["dr"]["value"] == 0.25


def test_attempts_without_an_end_have_failed_once_their_time_is_over(tmp_path: Path) -> None:
    stream = events(40)
    lost = started("lost", 0.0, "local", propensity=0.5)
    running = started("running", 199.0, "local", propensity=0.5)
    found = figures(write(tmp_path / "r.jsonl", [lost, *stream, running, sampled(900.0, cpu_percent=5.0)]))
    assert found["by_name"]["logged"]["metrics"]["success"]["dr"]["value"] == pytest.approx(40 / 42)
    assert figures(write(tmp_path / "s.jsonl", [*stream, running]))["left_out"] == {"still running": 1}


def test_what_carries_no_propensity_is_reported_and_not_used(tmp_path: Path) -> None:
    odd: list[AnyInput] = [started("odd", 1.0, "local"), completed("odd", 2.0, "local", quality_score=0.0), started("asked", 3.0, None)]
    path = write(tmp_path / "r.jsonl", [*odd, *events(50)])
    path.write_bytes(path.read_bytes() + b"{nonsense\n")
    found = figures(path)
    assert found["left_out"] == {"rejected lines": 1, "without propensity": 2} and found["requests"] == 50


def test_thin_support_is_said(tmp_path: Path) -> None:
    assert "warning: fixed:local: rests on" in invoke(write(tmp_path / "r.jsonl", events(60))).output
    often = [event for event in events(200, floor=0.5) if getattr(event, "track", "") == "api"] + events(1)
    (tmp_path / "c.toml").write_text('[[tracks]]\nname = "other"\n')
    said = invoke(write(tmp_path / "often.jsonl", often), "--policy", tmp_path / "c.toml").output
    assert "which never ran: shared out among the others here" in said


def test_an_embedded_database_is_evaluated_with_its_own_configuration(tmp_path: Path) -> None:
    config = OptimizationConfig(strategy="cost", tracks=(Track(name="local"), Track(name="api")))
    with Optimizer.open(str(tmp_path / "a.db"), config) as optimizer:
        optimizer.record_many(events(50))
    assert "strategy cost" in invoke(tmp_path / "a.db").output


def test_one_scope_is_evaluated_alone(tmp_path: Path) -> None:
    stream = events(60)
    mixed: list[AnyInput] = [event.model_copy(update={"scope": "mail"}) if number < 40 else event for number, event in enumerate(stream)]
    assert figures(write(tmp_path / "r.jsonl", mixed), "--scope", "mail")["requests"] == 20


@pytest.mark.parametrize("ending", ["svg", "html"])
def test_the_plot_names_every_policy(tmp_path: Path, ending: str) -> None:
    plot = tmp_path / f"plot.{ending}"
    assert invoke(write(tmp_path / "r.jsonl", events(60, is_full=True)), "--plot", plot).exit_code == 0
    text = plot.read_text()
    assert all(f">{name}</text>" in text for name in ("logged", "random", "fixed:api")) and "diamond: truth" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "fixed:gpt"], "--policy fixed:gpt: no request of the recording ran on 'gpt'; its tracks are api, local"),
        (["--policy", "clever"], "--policy clever: not a policy; give fixed:TRACK"),
        (["--policy", "missing.toml"], "missing.toml: No such file or directory; give a readable TOML file"),
        (["--policy", "broken.toml"], "broken.toml: not TOML"),
        (["--scope", "nobody"], "no event in scope 'nobody' in it"),
        (["--plot", "plot.png"], "plot.png: a plot is written as .svg or .html"),
        (["--metric", "success", "--plot", "plot.svg"], "nothing to plot"),
    ],
)
def test_a_wrong_argument_is_one_sentence(tmp_path: Path, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.toml").write_text("strategy = [")
    result = invoke(write(tmp_path / "r.jsonl", events(30)), *arguments)
    assert result.exit_code == 2 and said in result.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ([], "no event in it"),
        ([sampled(1.0)], "no request.started in it"),
        ([started("r1", 1.0), completed("r1", 2.0)], "none of its starts (1) carries a propensity"),
        ([started("r1", 1.0, propensity=0.5)], "no request with a propensity has a completion"),
        ([started("r1", 1.0, propensity=0.5), completed("r1", 2.0)], "one request with a propensity and a completion: an estimate needs two"),
    ],
)
def test_a_recording_that_says_too_little_is_one_sentence(tmp_path: Path, stream: list[AnyInput], said: str) -> None:
    result = invoke(write(tmp_path / "r.jsonl", stream))
    assert result.exit_code == 2 and said in result.output and len(result.output.splitlines()) == 1
