"""Models side by side: how they are weighed, cared for, named, changed and reported."""

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from events import START, completed, started, stream
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model, optim
from test_laws import fold, state

from pointsman.models.care import Standing
from pointsman.models.conformal_light import LightConformal
from pointsman.models.coverage import Coverage
from pointsman.models.members import Linear, Said, Smoothed, View
from pointsman.models.named import LARGEST, ModelRefusedError, Named, check
from pointsman.models.outlook import Outlook
from pointsman.models.predictor import Predictor
from pointsman.models.situation import Situation
from pointsman.models.structure import UnknownStructureError, dump, load
from pointsman.schemas import (
    AlertRaised,
    AnyInput,
    ConfigChanged,
    EventRejected,
    ModelChoice,
    ModelsReported,
    OptimizationConfig,
    PredictionIssued,
    Track,
    encode,
)
from pointsman.streams import Optimizer
from pointsman.streams.cli import main
from pointsman.streams.core import Core

LOCAL = (Track(name="local"),)
CHOICES = (
    ModelChoice(metric="latency_ms", model="river.tree.HoeffdingTreeRegressor"),
    ModelChoice(metric="ttft_ms", model="river.forest.ARFRegressor", parameters={"n_models": 2}),
    ModelChoice(metric="latency_ms", model="river.linear_model.PARegressor", track="api"),
)
ACTIVE = frozenset({"moody"})


def attempts(count: int, seed: int = 0, spread: float = 0.3, gap_s: float = 2.0) -> list[AnyInput]:
    """Requests of `local` one after the other, latency about 800 ms."""
    draw = random.Random(seed)
    events: list[AnyInput] = []
    for number in range(count):
        at = gap_s * number
        events += [started(f"r{number}", at, input_tokens=100), completed(f"r{number}", at + 0.5 * gap_s, latency_ms=800.0 * draw.lognormvariate(0.0, spread))]
    return events


class Moody(Smoothed):
    """Says what it is told to say."""

    name = "moody"

    def __init__(self) -> None:
        super().__init__()
        self.mood: Any = None

    def predict(self, view: View) -> Said | None:
        """What it was told, or ln 101."""
        if isinstance(self.mood, Exception):
            raise self.mood
        return Said(4.615 if self.mood is None else self.mood)


def moody(outcomes: int = 40) -> tuple[Predictor, Moody]:
    """A predictor of latencies around 100 ms, with one model that is well so far."""
    predictor = Predictor("latency_ms", 2000.0, 50, {"moody": Moody})
    live(predictor, outcomes)
    member = predictor.members["moody"]
    assert isinstance(member, Moody)
    return predictor, member


def live(predictor: Predictor, outcomes: int, latency_ms: float = 100.0) -> None:
    """Requests one after the other, of latencies that differ a little."""
    for number in range(outcomes):
        saying = predictor.issue(View({}), ACTIVE, (), 0, float(number), is_full=False)
        predictor.learn(View({}), latency_ms + number % 3, saying, ACTIVE, float(number))


@pytest.mark.parametrize("mood", [ValueError("broken"), float("nan"), float("inf"), 80.0])
def test_a_model_that_throws_or_is_not_finite_rests_and_the_simplest_answers_at_once(mood: Any) -> None:
    predictor, member = moody()
    member.mood = mood
    saying = predictor.issue(View({}), ACTIVE, (), 0, 77.0, is_full=False)
    assert saying is not None and predictor.interval(saying).median == pytest.approx(101.0, abs=1.0)
    standing = predictor.standings["moody"]
    assert (standing.is_resting, standing.version, standing.resets, standing.since) == (True, 1, 1, 77.0)
    assert predictor.members["moody"] is not member


def test_a_model_at_rest_learns_in_shadow_and_comes_back_after_fifty_good_outcomes() -> None:
    predictor, member = moody()
    member.mood = float("nan")
    predictor.issue(View({}), ACTIVE, (), 0, 77.0, is_full=False)
    live(predictor, 49)
    assert predictor.standings["moody"].is_resting
    live(predictor, 1)
    assert not predictor.standings["moody"].is_resting
    live(predictor, 3)
    assert predictor.shares["moody"] > 0.0


def test_a_model_that_diverges_rests_for_that_metric() -> None:
    predictor, member = moody()
    member.mood = 12.0
    live(predictor, 30)
    assert predictor.standings["moody"].resets >= 1


def test_what_a_model_said_before_it_was_made_anew_does_not_count_for_the_new_one() -> None:
    predictor, member = moody()
    before = predictor.issue(View({}), ACTIVE, (), 0, 76.0, is_full=False)
    member.mood = float("nan")
    predictor.issue(View({}), ACTIVE, (), 0, 77.0, is_full=False)
    predictor.learn(View({}), 100.0, before, ACTIVE, 78.0)
    assert predictor.standings["moody"].outcomes == 0


def test_each_rest_doubles_what_has_to_be_proved() -> None:
    standing = Standing()
    for _ in range(2):
        standing.rest(1.0)
    for _ in range(99):
        standing.observe(0.1, 1.0, 1.1)
    standing.judge(0.1, 5.0)
    assert standing.is_resting
    standing.observe(0.1, 1.0, 1.1)
    standing.judge(0.1, 5.0)
    assert not standing.is_resting


def test_a_coverage_that_leaves_its_bounds_is_told_and_ends_only_well_within_them() -> None:
    coverage = Coverage()
    for number in range(500):
        coverage.observe(0.0, 1.0, 2.0 if number % 100 < 15 else 0.5)
    assert (coverage.share, coverage.is_off()) == (0.85, True)
    for _ in range(8):
        coverage.observe(0.0, 1.0, 0.5)
    assert (coverage.share, coverage.is_off(), coverage.is_off(0.01)) == (0.866, False, True)


def test_a_value_that_repeats_covers_without_making_intervals_too_wide() -> None:
    coverage = Coverage()
    for _ in range(300):
        coverage.observe(1.0, 1.0, 1.0)
    assert (coverage.share, coverage.is_off()) == (1.0, False)


def test_an_alert_says_that_intervals_do_not_hold() -> None:
    core = Core(OptimizationConfig(tracks=LOCAL, learners="light"))
    events = [*attempts(100), *(started(f"b{n}", 300.0) for n in range(300)), *(completed(f"b{n}", 310.0, latency_ms=9000.0) for n in range(300))]
    told = [one for event in events for one in core.step(event) if isinstance(one, AlertRaised) and one.fingerprint == "local/latency_ms/coverage"]
    assert [(one.kind, one.subject) for one in told] == [("drift", "local/latency_ms")]


def test_a_load_that_was_never_lived_through_is_told() -> None:
    core = Core(OptimizationConfig(tracks=LOCAL, learners="light"))
    for event in attempts(40):
        core.step(event)
    told = [one for n in range(8) for one in core.step(started(f"b{n}", 100.0)) if isinstance(one, AlertRaised) and one.fingerprint == "local/load/unknown"]
    assert [(one.kind, one.observed) for one in told] == [("drift", 6.0)]


def test_reports_come_at_most_once_a_minute_and_only_with_something_new() -> None:
    core = Core(OptimizationConfig(tracks=LOCAL))
    events = [*attempts(200), *(started(f"late{n}", 1000.0 + 60.0 * n) for n in range(3))]
    reports = [one for event in events for one in core.step(event) if isinstance(one, ModelsReported) and one.metric == "latency_ms"]
    assert len(reports) == 7
    assert all(later.occurred_at - earlier.occurred_at >= 60.0 for earlier, later in pairwise(reports))
    last = reports[-1]
    assert sum(model.weight for model in last.models) == pytest.approx(1.0, abs=1e-5)
    assert [model.role for model in last.models].count("champion") == 1
    assert (last.learners, last.coverage_outcomes) == ("full", 197)


@pytest.mark.parametrize("learners", ["light", "full", "auto"])
def test_a_snapshot_and_the_tail_equal_the_whole_with_every_model(learners: Any) -> None:
    config = OptimizationConfig(learners=learners, tracks=(Track(name="local"), Track(name="api")), models=CHOICES)
    events = stream(3, 150)
    cut = len(events) // 2
    whole, first, second = Core(config), Core(config), Core(config)
    head = fold(first, events[:cut])
    for scope in first.scopes():
        assert second.restore(scope, first.snapshot(scope))
    assert head + fold(second, events[cut:]) == fold(whole, events)
    assert state(second) == state(whole)


def test_models_change_without_a_restart_and_the_rest_goes_on() -> None:
    core = Core(OptimizationConfig(tracks=LOCAL, learners="full"))
    for event in attempts(100):
        core.step(event)
    before = core.scope("chat").tracks["local"]
    config = OptimizationConfig(tracks=LOCAL, learners="light", models=CHOICES[:1])
    core.step(ConfigChanged(event_id="c", scope="chat", occurred_at=started("x", 300.0).occurred_at, config=config))
    track = core.scope("chat").tracks["local"]
    predictor = track.outlook.predictors["latency_ms"]
    assert track is before
    assert list(predictor.standings) == ["windowed", "linear", "river.tree.HoeffdingTreeRegressor"]
    assert [standing.outcomes for standing in predictor.standings.values()] == [97, 97, 0]
    assert len(predictor.coverage) == 97


def test_auto_is_light_while_a_track_is_busy() -> None:
    outlook = Outlook(Track(name="local"), OptimizationConfig())
    said = []
    for number in range(4000):
        outlook.issue(f"r{number}", Situation(number / 100.0))
        said.append(outlook.learners)
    assert (said[0], said[-1]) == ("full", "light")
    outlook.issue("later", Situation(100.0))
    assert outlook.learners == "full"


def test_a_track_that_was_light_for_a_while_is_full_again_with_what_it_had_learned() -> None:
    outlook, draw, now = Outlook(LOCAL[0], OptimizationConfig(learners="auto")), random.Random(8), 0.0
    forms, keyed = "", list[Any]()
    for number in range(5000):
        now += 0.01 if 1000 <= number < 4500 else 1.0
        x, sayings = outlook.issue(f"r{number}", Situation(now, draw.randrange(900), attributes={"kind": draw.choice("abcd")}))
        if forms[-1:] != outlook.learners[0]:
            forms += outlook.learners[0]
            predictor = outlook.predictors["latency_ms"]
            if forms == "fl":
                keyed = predictor.standings["keyed"].snapshot()
            if forms == "flf":
                assert predictor.standings["keyed"].snapshot() == keyed
                assert "keyed" in sayings["latency_ms"].said and predictor.intervals.keys() == {False, True}
        event = completed(f"r{number}", now, latency_ms=draw.lognormvariate(6.0, 0.2))
        outlook.ended(f"r{number}", event, now)
        outlook.learn(event, x, sayings, now)
    assert forms == "flf" and keyed
    assert outlook.predictors["latency_ms"].standings["windowed"].outcomes == 4997
    assert 1000 < outlook.predictors["latency_ms"].standings["keyed"].outcomes < 4000


def test_a_question_changes_nothing() -> None:
    core = Core(OptimizationConfig(tracks=LOCAL, learners="full", models=CHOICES[:1]))
    for event in attempts(60):
        core.step(event)
    before = core.snapshot("chat")
    core.status("chat")
    assert core.snapshot("chat") == before


@pytest.mark.parametrize("learners", ["light", "full"])
def test_a_question_is_answered_as_the_request_will_be(learners: Any) -> None:
    outlook, draw, agreed = Outlook(LOCAL[0], OptimizationConfig(learners=learners)), random.Random(3), 0
    for number in range(300):
        attributes = {"size": draw.choice((1, 2, 300)), "kind": draw.choice("abcdefgh"), "once": number, **({"new": 1.5} if number > 250 else {})}
        situation = Situation(10.0 * number, draw.randrange(900), attributes=attributes, in_flight=number % 3)
        before = json.dumps(outlook.snapshot())
        asked = outlook.expectation(situation)[0]
        assert json.dumps(outlook.snapshot()) == before
        x, sayings = outlook.issue(f"r{number}", situation)
        told = outlook.intervals(sayings)
        assert all(getattr(asked, metric) == interval for metric, interval in told.items())
        agreed += len(told)
        took = 100.0 * float(attributes["size"]) + 9.0 * draw.randrange(90)
        event = completed(f"r{number}", 10.0 * number + 5.0, latency_ms=took, ttft_ms=0.1 * took, output_tokens=int(took), cost_usd=1e-6 * took)
        outlook.ended(f"r{number}", event, 10.0 * number + 5.0)
        outlook.learn(event, x, sayings, 10.0 * number + 5.0)
    assert agreed == 4 * 297 and (learners == "light" or outlook.predictors["latency_ms"].standings["engine"].outcomes > 200)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("river.tree.Nothing", "river has no such class"),
        ("river.linear_model.LogisticRegression", "is not a regressor"),
        ("river.ensemble.BaggingRegressor", "can't be made with these parameters"),
        ("river.linear_model.BayesianLinearRegression", "does not go on exactly"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_with_a_sentence(model: str, said: str) -> None:
    choice = ModelChoice(metric="latency_ms", model=model)
    with pytest.raises(ModelRefusedError, match=said):
        check(choice)
    config = OptimizationConfig(models=(choice,))
    with pytest.raises(ValueError, match=said):
        Core(config)
    told = Core().step(ConfigChanged(event_id="c", scope="chat", occurred_at=START, config=config))
    assert isinstance(told[0], EventRejected) and told[0].reason.code == "unusable_model"


def test_a_named_model_that_grows_beyond_its_bound_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LARGEST == 1_000_000
    monkeypatch.setattr("pointsman.models.named.LARGEST", 1000)
    named = Named(CHOICES[0])
    with pytest.raises(RuntimeError, match="beyond 1000 bytes"):
        for number in range(512):
            named.learn(View({"in_flight": number / 512.0}), None, 1.0)


@pytest.mark.parametrize(
    "rows",
    [
        [{"at": 1}, {"new": "subprocess:Popen", "arguments": []}],
        [{"at": 1}, {"call": "builtins:eval", "arguments": ["1"]}],
        [{"name": "os:system"}],
        [{"at": 1}, {"call": "river.base.base:importlib", "arguments": []}],
        [{"pickle": "x"}],
    ],
)
def test_a_written_state_can_name_only_what_models_are_made_of(rows: list[Any]) -> None:
    with pytest.raises(UnknownStructureError):
        load(rows)


def test_a_thing_that_is_no_model_is_not_written() -> None:
    with pytest.raises(UnknownStructureError):
        dump([Path("x")])


def test_shared_parts_stay_shared() -> None:
    part = [1.0]
    found = load(json.loads(json.dumps(dump({"a": part, "b": part, "c": (float("inf"), {3, 1})}))))
    assert found == {"a": [1.0], "b": [1.0], "c": (float("inf"), {1, 3})}
    assert found["a"] is found["b"]


def test_predictions_come_before_outcomes_with_intervals_around_their_medians() -> None:
    core = Core(OptimizationConfig(tracks=LOCAL))
    issued = [one for event in attempts(300) for one in core.step(event) if isinstance(one, PredictionIssued) and one.latency_ms]
    assert len(issued) == 297
    assert all(one.latency_ms and one.latency_ms.lower <= one.latency_ms.median <= one.latency_ms.upper for one in issued)


def test_models_are_listed_from_inputs_outputs_and_a_database(tmp_path: Path) -> None:
    events, core = attempts(100), Core(OptimizationConfig())
    (tmp_path / "in.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in events))
    (tmp_path / "out.jsonl").write_bytes(fold(core, events))
    with Optimizer.open(str(tmp_path / "own.db"), OptimizationConfig()) as optimizer:
        optimizer.record_many(events)
        assert optimizer.status()["chat"]["tracks"]["local"]["models"]["latency_ms"]["learners"] == "full"
    said = [CliRunner().invoke(main, ["models", str(tmp_path / name), "--scope", "chat"]).output for name in ("in.jsonl", "out.jsonl", "own.db")]
    assert all("chat local latency_ms: full, coverage" in one and "champion" in one for one in said)
    assert said[0] == said[2]
    rows = json.loads(CliRunner().invoke(main, ["models", str(tmp_path / "in.jsonl"), "--json"]).output)
    assert rows[0]["models"][0]["name"] == "windowed"


def test_state_of_five_tracks_stays_within_its_limits() -> None:
    for learners, limit, requests in (("light", 128_000, 1800), ("full", 2_000_000, 600)):
        core = Core(OptimizationConfig.model_validate({"learners": learners, "tracks": [{"name": f"t{n}"} for n in range(5)]}))
        draw = random.Random(2)
        for number in range(requests):
            at, track = 1.0 * number, f"t{number % 5}"
            core.step(started(f"r{number}", at, track, input_tokens=draw.randrange(2000), attributes={"kind": draw.choice("abcdef")}))
            tokens = draw.randrange(1, 900)
            core.step(
                completed(
                    f"r{number}",
                    at + 0.5,
                    track,
                    latency_ms=100.0 + 9.0 * tokens,
                    ttft_ms=draw.uniform(50.0, 90.0),
                    output_tokens=tokens,
                    cost_usd=1e-5 * tokens,
                )
            )
        parts = core.snapshot("chat")
        routed = sum(len(part) for name, part in parts.items() if learners == "full" or not name.startswith(("workload", "signals")))
        assert routed < limit  # of the light one what routes; forecasts and signals count apart
        assert max(map(len, parts.values())) < 256_000


def test_the_linear_model_says_what_rivers_does() -> None:
    draw, ours = random.Random(5), Linear()
    rivers = linear_model.LinearRegression(optimizer=optim.SGD(0.05), intercept_lr=0.05, clip_gradient=3.0)
    for _ in range(300):
        x = {"input": draw.uniform(0.0, 2.0), "queue": draw.choice((0.0, 1.0)), "drift": draw.uniform(-2.0, 2.0)}
        said = ours.predict(View(x, centre=6.0))
        assert said is not None and abs(said.log - 6.0 - rivers.predict_one(x)) < 1e-9  # type: ignore[no-untyped-call]
        log = 6.0 + draw.gauss(0.5 * x["input"], 2.0)
        ours.learn(View(x, centre=6.0), said, log)
        rivers.learn_one(x, max(-3.0, min(3.0, log - 6.0)))


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(0, 400), values=st.lists(st.floats(0.0, 1e6), min_size=5, max_size=40), is_share=st.booleans())
def test_light_intervals_go_on_from_their_state(cut: int, values: list[float], is_share: bool) -> None:
    one = other = LightConformal(is_share)
    for number in range(420):
        if number == cut:
            other = LightConformal.restore(json.loads(json.dumps(one.snapshot())), is_share)
        value = values[number % len(values)] / (1e6 if is_share else 1.0)
        bands = [light.issue(value, (), number % 50) for light in (one, other)]
        assert bands[0] == bands[1] and bands[0].lower <= bands[0].upper
        one.observe(bands[0], values[(7 * number) % len(values)] / (1e6 if is_share else 1.0))
        if other is not one:
            other.observe(bands[1], values[(7 * number) % len(values)] / (1e6 if is_share else 1.0))
    assert json.dumps(one.snapshot()) == json.dumps(other.snapshot())


def test_light_intervals_hold_nine_times_of_ten() -> None:
    draw, light, held = random.Random(6), LightConformal(), 0
    for _ in range(3000):
        median = draw.lognormvariate(5.0, 1.0)
        band, actual = light.issue(median), median * draw.lognormvariate(0.0, 0.6)
        held += band.lower <= actual <= band.upper
        light.observe(band, actual)
    assert 0.885 < held / 3000 < 0.915
