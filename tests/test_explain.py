"""`pointsman explain` and `Optimizer.explain`: why a request took its track, and what would have changed that."""

import json
import math
import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner, Result
from events import START, completed, sampled, started

from pointsman.models.context import Context
from pointsman.models.counterfactual import MARGIN, best_of, counterfactuals
from pointsman.models.decision import Evaluator
from pointsman.models.explanation import doubts, explain, sizes
from pointsman.models.pacing import RESERVE, Account
from pointsman.models.sketch import FEATURES as SKETCHED
from pointsman.schemas import AnyInput, Budget, Constraints, OptimizationConfig, PolicyLoad, PolicyObjective, PolicyPublished, RequestCompleted, Track, encode
from pointsman.streams import Core, Optimizer
from pointsman.streams.cli import main

TRACKS = (Track(name="local"), Track(name="mid", cost_per_request_usd=0.001), Track(name="api", cost_per_request_usd=0.004))
CONFIG = OptimizationConfig(tracks=TRACKS)
PACED = OptimizationConfig(tracks=TRACKS, budget=Budget(usd_per_request=0.0012))
QUALITY = {"local": {"mail": 0.8, "code": 0.3}, "mid": {"mail": 0.7, "code": 0.5}, "api": {"mail": 0.75, "code": 0.95}}
COST = {"local": 0.0, "mid": 0.001, "api": 0.004}
QUERY = {"mail": "Dear Sir, please summarise this mail for me", "code": "Write a Python function that sorts a list"}


def serve(optimizer: Optimizer, requests: int, first: int = 0) -> None:
    """Requests that follow the optimizer's own decisions, mails and code in turn, three to a conversation."""
    for number in range(first, first + requests):
        draw = random.Random(number)
        name, at, category = f"r{number}", START + 5.0 * number, ("mail", "code")[number % 2]
        given: dict[str, Any] = {"conversation_id": f"c{number // 3}", "attributes": {"tier": "gold"}}
        decision = optimizer.recommend("chat", QUERY[category], name, **given)
        optimizer.record_request_start(name, scope="chat", decision=decision, occurred_at=at)
        quality = min(max(QUALITY[decision.track][category] + draw.gauss(0.0, 0.1), 0.0), 1.0)
        latency = 500.0 * draw.lognormvariate(0.0, 0.3)
        optimizer.record_request_completion(
            name,
            scope="chat",
            track=decision.track,
            success=draw.random() > 0.02,
            latency_ms=latency,
            cost_usd=COST[decision.track],
            quality_score=quality,
            occurred_at=at + 1.0,
        )


@cache
def served(config: str, requests: int) -> bytes:
    """The database of such a stream, with a configuration in JSON."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.db")
        with Optimizer.open(str(path), OptimizationConfig.model_validate_json(config), clock=lambda: START) as optimizer:
            serve(optimizer, requests)
        return path.read_bytes()


def database(path: Path, config: OptimizationConfig = CONFIG, requests: int = 200) -> Path:
    path.write_bytes(served(config.model_dump_json(), requests))
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


def explained(*arguments: object) -> dict[str, Any]:
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def last_policy(config: OptimizationConfig) -> tuple[PolicyPublished, Core]:
    """The policy in force at the end of such a stream, and its core."""
    return last(config.model_dump_json())


@cache
def last(config: str) -> tuple[PolicyPublished, Core]:
    with Optimizer.open(":memory:", OptimizationConfig.model_validate_json(config), clock=lambda: START) as optimizer:
        serve(optimizer, 200)
        policy = optimizer._core.scope("chat").policy
        assert policy is not None
        return policy, optimizer._core


def contexts() -> list[Context]:
    """Requests of every kind."""
    draw = random.Random(5)
    found = [Context(), Context(4000, 100, "mail", previous="api")]
    return found + [Context(draw.randrange(5, 3000), 200, draw.choice(("mail", "code")), draw.randbytes(SKETCHED)) for _ in range(40)]


def test_the_explanation_of_a_database_is_the_decision_that_was_made(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db")
    with Optimizer.open(str(path), clock=lambda: START) as optimizer:
        query: dict[str, Any] = {"conversation_id": "c66", "attributes": {"tier": "gold"}}
        decision = optimizer.recommend("chat", QUERY["code"], "new", **query)
        optimizer.record_request_start("new", scope="chat", decision=decision, occurred_at=START + 1000.0)
    found = explained("new", path)
    assert (found["track"], found["propensity"], found["decided_version"]) == (decision.track, decision.propensity, decision.policy_version)
    assert found["decided_by"] == "pointsman" and found["explained"]["drawn"] == decision.track
    assert {row["track"]: (row["utility"], row["propensity"]) for row in found["explained"]["tracks"]} == {
        row.track: (row.utility, row.propensity) for row in decision.tracks
    }
    known = found["request"]
    assert (known["input_tokens"], known["category"], known["script"], known["attributes"]) == (11, "code", "latin", {"tier": "gold"})


def test_every_logged_decision_is_explained_without_a_doubt(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db", PACED, 120)
    for number in range(1, 120, 7):
        found = explained(f"r{number}", path)
        assert found["explained"]["drawn"] == found["track"]
        assert not [note for note in found["notes"] if "explored" not in note]


def test_python_gives_what_the_command_line_gives_but_for_the_width_of_intervals(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db", PACED)
    with Optimizer.open(str(path), clock=lambda: START) as optimizer:
        for name in ("r5", "r100", "r199"):
            mine, folded = json.loads(optimizer.explain("chat", name).json()), explained(name, path)
            for document in (mine, folded):
                for row in document["explained"]["tracks"]:
                    for metric in ("quality", "latency_ms", "success", "cost_usd"):
                        row[metric] = row[metric]["mean"]
                for row in document["explained"]["counterfactuals"]:
                    row.pop("budget_usd")
            assert mine == folded


def test_the_text_names_every_track_the_features_and_what_would_change_the_choice(tmp_path: Path) -> None:
    text = invoke("r151", database(tmp_path / "a.db", PACED)).output
    assert all(name in text for name in ("local", "mid", "api", "input tokens 11, category code, script latin", "tier=gold", "words 0.40", "draw 0."))
    assert "is the best here. It would not be" in text and "at a shadow price" in text and "a budget of about" in text
    with Optimizer.open(str(tmp_path / "a.db"), clock=lambda: START) as optimizer:
        assert "request r151 in scope chat" in str(optimizer.explain("chat", "r151"))


@pytest.mark.parametrize("config", [CONFIG, PACED, OptimizationConfig(tracks=TRACKS, strategy="cost")])
def test_the_parts_add_up_to_the_utility_and_the_difference(config: OptimizationConfig, tmp_path: Path) -> None:
    path = database(tmp_path / "a.db", config)
    for name in ("r40", "r150", "r199"):
        found = explained(name, path)["explained"]
        utilities = {row["track"]: row["utility"] for row in found["tracks"]}
        for row in found["tracks"]:
            assert sum(row["parts"].values()) == pytest.approx(row["utility"], abs=2e-9)
            assert row["quality"]["lower"] <= row["quality"]["mean"] <= row["quality"]["upper"]
        gap = found["difference"]
        assert sum(gap["parts"].values()) == pytest.approx(utilities[gap["track"]] - utilities[gap["against"]], abs=1e-7)


def loaded(policy: PolicyPublished, track: str) -> PolicyPublished:
    """The policy with a track that takes 20 ms a token, and 2 ms more for every request in flight."""
    load = PolicyLoad(constant_s=0.1, per_token_s=0.02, per_token_running_s=0.002, running=2, limit=64.0, outcomes=500, edges=(4.0,), tokens=(20.0, 40.0))
    return policy.model_copy(update={"arms": tuple(arm.model_copy(update={"load": load}) if arm.track == track else arm for arm in policy.arms)})


def test_a_track_that_slows_down_is_explained_with_its_load() -> None:
    policy, core = last_policy(OptimizationConfig(tracks=TRACKS, strategy="latency"))
    learner = core.scope("chat").routing.learner
    traffic = learner.sample.get(), learner.sample.in_flight()
    seen = set()
    for context in contexts():
        for running in (0, 5, 200):
            for track in ("local", "api"):
                slow, asked = loaded(policy, track), replace(context, running=((track, running),))
                found = explain(slow, asked, "chat", "r", None, doubts(learner), traffic)
                for row in found.tracks:
                    assert sum(row.parts.values()) == pytest.approx(row.utility, abs=2e-9)
                    assert row.running == (running if row.track == track else None)
                assert found.difference is not None and sum(found.difference.parts.values()) == pytest.approx(found.difference.utility, abs=1e-7)
                for change in (change for change in found.counterfactuals if change.what == "running"):
                    assert change.needed is not None
                    seen.add(change.side)
                    there, before = int(change.needed), int(change.needed) + (1 if change.side == "below" else -1)
                    assert best_of(slow, replace(context, running=((track, there),))) == change.best
                    assert best_of(slow, replace(context, running=((track, before),))) == (track if change.side == "above" else found.best)
    assert seen == {"above", "below"}


def test_decisions_under_load_are_explained_with_what_was_in_flight(tmp_path: Path) -> None:
    config = OptimizationConfig(tracks=(Track(name="local"), Track(name="api", latency_ms=3000.0)), strategy="latency")
    flying: list[tuple[float, str, str, float]] = []
    draw = random.Random(7)
    with Optimizer.open(str(tmp_path / "a.db"), config, clock=lambda: START) as optimizer:
        for number in range(600):
            now = START + 0.4 * number
            flying.sort()
            while flying and flying[0][0] <= now:
                end, name, track, latency = flying.pop(0)
                optimizer.record_request_completion(name, scope="chat", track=track, success=True, latency_ms=latency, output_tokens=100, occurred_at=end)
            tokens, name = draw.randrange(50, 2000), f"r{number}"
            decision = optimizer.recommend("chat", request_id=name, input_tokens=tokens)
            optimizer.record_request_start(name, scope="chat", decision=decision, occurred_at=now)
            busy = sum(track == decision.track for _, _, track, _ in flying)
            latency = (300.0 + 0.2 * tokens * (1 + busy)) if decision.track == "local" else 3000.0 * draw.lognormvariate(0.0, 0.1)
            flying.append((now + latency / 1000.0, name, decision.track, latency))
        mine = {name: json.loads(optimizer.explain("chat", name).json()) for name in ("r300", "r450", "r595", "r599")}
    assert any(row["running"] for found in mine.values() for row in found["explained"]["tracks"])
    for name, found in mine.items():
        folded = explained(name, tmp_path / "a.db")
        for each in (found, folded):
            assert each["explained"]["drawn"] == each["track"] and not [note for note in each["notes"] if "explored" not in note]
        assert [row["running"] for row in found["explained"]["tracks"]] == [row["running"] for row in folded["explained"]["tracks"]]


def test_objectives_that_are_being_broken_have_their_part_and_change_the_choice() -> None:
    policy, core = last_policy(CONFIG)
    learner = core.scope("chat").routing.learner
    seen = set()
    for priced in (
        PolicyObjective(target="log_latency", bound=-1.4, is_floor=False, price=0.7),
        PolicyObjective(target="quality", bound=0.6, is_floor=True, price=0.7),
        PolicyObjective(target="success", bound=1.0, is_floor=True, price=0.7),
        PolicyObjective(target="log_cost", bound=math.log(0.002), is_floor=False, price=0.7),
    ):
        broken = policy.model_copy(update={"worth": policy.worth.model_copy(update={"objectives": (priced,)})})
        for context in contexts():
            found = explain(broken, context, "chat", "r", None, doubts(learner), (learner.sample.get(), learner.sample.in_flight()))
            for row in found.tracks:
                assert sum(row.parts.values()) == pytest.approx(row.utility, abs=4e-9) and row.parts["objectives"] <= 0.0
            assert found.difference is not None and sum(found.difference.parts.values()) == pytest.approx(found.difference.utility, abs=1e-7)
            seen |= {change.what for change in found.counterfactuals if change.needed is not None}
            assert any(change.what == "objectives" for change in found.counterfactuals) == (best_of(policy, context) != found.best)
    assert seen >= {"latency_ms", "shadow_price"}


@pytest.mark.parametrize("slow", [None, "local", "api"])
@pytest.mark.parametrize("config", [CONFIG, PACED])
def test_each_counterfactual_changes_the_best_track_and_a_hundredth_less_does_not(config: OptimizationConfig, slow: str | None) -> None:
    policy, _ = last_policy(config)
    policy = loaded(policy, slow) if slow else policy
    seen = set()
    for context in contexts():
        best = best_of(policy, context)
        for row in counterfactuals(policy, context):
            if row.needed is None or row.what not in ("quality", "latency_ms", "success", "shadow_price"):
                continue
            seen.add(row.what)
            if row.what == "shadow_price":
                away = 0.01 if row.side == "above" else -0.01
                worth = {"shadow_price": row.needed * (1.0 + away), "cost": 0.0}
                changed = policy.model_copy(update={"worth": policy.worth.model_copy(update=worth)})
                assert best_of(changed, context) != best_of(
                    policy.model_copy(update={"worth": policy.worth.model_copy(update=worth | {"shadow_price": row.needed * (1.0 - away)})}), context
                )
                continue
            assert row.now is not None
            weight = {"quality": policy.worth.quality, "latency_ms": -policy.worth.latency, "success": policy.worth.success}[row.what]
            better = weight * (math.log(row.needed / row.now) if row.what == "latency_ms" else row.needed - row.now)
            for share, expected in ((1.01, row.best), (0.99, best)):
                arms = (arm.model_copy(update={"penalty": arm.penalty - better * share}) if arm.track == row.track else arm for arm in policy.arms)
                assert best_of(policy.model_copy(update={"arms": tuple(arms)}), context) == expected
    assert seen >= {"latency_ms", "shadow_price"}


def test_a_budget_that_is_named_has_the_shadow_price_that_is_named() -> None:
    policy, core = last_policy(PACED)
    sample = core.scope("chat").routing.learner.sample
    traffic = sample.get(), sample.in_flight()
    found = [row for context in contexts() for row in counterfactuals(policy, context, traffic) if row.budget_usd]
    assert found
    free = Evaluator(policy.model_copy(update={"worth": policy.worth.model_copy(update={"shadow_price": 0.0})}))
    values, spreads, costs = free.tables(*traffic)
    for row in found:
        assert row.budget_usd is not None and row.needed is not None
        solved = [Account("usd_per_request", row.budget_usd * share / RESERVE).solve(values, spreads, costs, values[0] * 0.0, 1.0) for share in (0.98, 1.02)]
        assert solved[0] >= row.needed * (1.0 - 1e-2) and solved[1] <= row.needed * (1.0 + 1e-2)


def test_a_track_that_health_or_a_ceiling_holds_back_says_so() -> None:
    policy, _ = last_policy(CONFIG)
    context = Context(10, 100, "code")
    best = best_of(policy, context)
    closed = policy.model_copy(update={"arms": tuple(arm.model_copy(update={"admitted": 0.0}) if arm.track == best else arm for arm in policy.arms)})
    found = [row for row in counterfactuals(closed, context) if row.what == "admitted"]
    assert [(row.track, row.best) for row in found] == [(best, best)]
    dear = best_of(policy.model_copy(update={"worth": policy.worth.model_copy(update={"cost": 0.0, "quality": 10.0})}), context)
    rich = policy.model_copy(update={"worth": policy.worth.model_copy(update={"cost": 0.0, "quality": 10.0}), "ceiling_usd": 1e-9})
    rows = {row.what: row for row in counterfactuals(rich, context)}
    assert rows["ceiling_usd"].best == dear and rows["ceiling_usd"].now == 1e-9
    assert best_of(rich.model_copy(update={"ceiling_usd": (rows["ceiling_usd"].needed or 0.0) + MARGIN}), context) == dear


def test_the_groups_of_features_have_names() -> None:
    found = sizes(Context(100, 50, "code", bytes(range(SKETCHED))).vector())
    assert {"words", "byte_4grams", "head_words", "tail_words", "digit_share", "log_input_tokens", "category", "attribute"} <= set(found)
    assert not any(name.rsplit("_", 1)[-1].isdecimal() for name in found)


def write(path: Path, events: list[AnyInput]) -> Path:
    path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    return path


def logged(requests: int, **fields: Any) -> list[AnyInput]:
    """A stream of another policy's choices."""
    found: list[AnyInput] = []
    for number in range(requests):
        track = ("local", "api")[number % 2]
        found += [started(f"r{number}", 5.0 * number, track, **fields), completed(f"r{number}", 5.0 * number + 1.0, track, quality_score=0.5)]
    return found


def test_another_policy_and_an_unknown_version_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [*logged(40, propensity=0.5), started("odd", 300.0, "api", propensity=0.3, policy_version=9999)])
    other = explained("r20", path)
    assert other["decided_by"] == "another policy" and "another policy took local with probability 0.5" in other["notes"][0]
    assert "policy 9999 decided, which this recording and configuration do not give" in explained("odd", path)["notes"][0]


def test_a_request_decided_under_another_configuration_is_said(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db")
    (tmp_path / "c.toml").write_text("".join(f'[[tracks]]\nname = "{track.name}"\nquality = 0.1\n' for track in TRACKS))
    found = explained("r100", path, "--config", tmp_path / "c.toml")
    assert any("another configuration" in note or "do not give" in note for note in found["notes"])


def test_a_request_that_asked_is_explained_by_the_answer_it_was_given(tmp_path: Path) -> None:
    asked = started("asked", 250.0, None, category="code")
    core = Core(CONFIG)
    events = [*logged(40, propensity=0.5), asked]
    answer = next(output for event in events for output in core.step(event) if getattr(output, "request_id", None) == "asked")
    (tmp_path / "c.toml").write_text("".join(f'[[tracks]]\nname = "{track.name}"\ncost_per_request_usd = {track.cost_per_request_usd}\n' for track in TRACKS))
    found = explained("asked", write(tmp_path / "r.jsonl", events), "--config", tmp_path / "c.toml")
    assert (found["track"], found["propensity"], found["decided_version"]) == (answer.track, answer.propensity, answer.policy_version)  # type: ignore[attr-defined]
    with Optimizer.open(":memory:", CONFIG, clock=lambda: START) as optimizer:
        optimizer.record_many(events)
        assert optimizer.explain("chat", "asked").track == found["track"]


def test_the_first_request_of_all_has_no_policy_and_the_first_one_is_shown(tmp_path: Path) -> None:
    found = explained("r0", database(tmp_path / "a.db", requests=3))
    assert found["decided_by"] == "no policy yet" and found["explained"]["policy_version"] == 1


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    events = logged(30, propensity=0.5)
    mail = [event.model_copy(update={"scope": "mail"}) for event in events[:4]]
    path = write(tmp_path / "r.jsonl", [*events, *mail])
    (tmp_path / "c.toml").write_text('[[tracks]]\nname = "other"\n')
    for arguments, said in (
        (["r2x", path], "no request 'r2x': the nearest are r2"),
        (["r1", path], "'r1' is in several scopes (chat, mail): choose one with --scope"),
        (["r9", path, "--scope", "mail"], "no request 'r9' in scope 'mail': the nearest are r"),
        (["r9", path, "--scope", "nobody"], "no request 'r9' in scope 'nobody': there is no request.started in it"),
        (["r9", tmp_path / "missing.jsonl"], "missing.jsonl: no such file; give a recording"),
        (["r9", path, "--config", tmp_path / "c.toml"], "the start of 'r9' is refused under this configuration: track 'api' is not configured"),
        (["r9", write(tmp_path / "s.jsonl", [sampled(1.0, cpu_percent=1.0)])], "there is no request.started in it"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 2 and len(result.output.splitlines()) == 1 and said in result.output, result.output
    assert explained("r1", path, "--scope", "mail")["scope"] == "mail"


def test_python_says_what_is_missing(tmp_path: Path) -> None:
    with Optimizer.open(str(database(tmp_path / "a.db", requests=5)), clock=lambda: START) as optimizer:
        with pytest.raises(LookupError, match="no request 'r44' in scope 'chat': the nearest are r4"):
            optimizer.explain("chat", "r44")
        with pytest.raises(LookupError, match="scope 'mail' has had no event"):
            optimizer.explain("mail", "r1")


def test_a_configuration_that_changed_later_does_not_change_the_explanation() -> None:
    with Optimizer.open(":memory:", CONFIG, clock=lambda: START) as optimizer:
        serve(optimizer, 40)
        before = optimizer.explain("chat", "r30").explained.tracks[0].latency_ms.mean
        for bound in (9000.0, 100.0):
            changed = CONFIG.model_copy(update={"constraints": Constraints(max_latency_ms=bound)})
            optimizer.change_config(changed, scope="chat", occurred_at=START + 500.0 + bound)
        assert optimizer.explain("chat", "r30").explained.tracks[0].latency_ms.mean == before


def test_names_with_quotes_and_umlauts_are_found(tmp_path: Path) -> None:
    for name in ('a"b\\c', "größe\n1", "\u2028"):
        odd = [started(name, 300.0, "local", propensity=0.5, conversation_id=name), started("after", 301.0, "api", propensity=0.5, conversation_id=name)]
        with Optimizer.open(":memory:", CONFIG, clock=lambda: START) as optimizer:
            optimizer.record_many([*logged(10, propensity=0.5), *odd])
            assert optimizer.explain("chat", name).request_id == name
            assert optimizer.explain("chat", "after").request["conversation_track"] == "local"
        path = write(tmp_path / "r.jsonl", [*logged(10, propensity=0.5), *odd])
        assert explained(name, path)["request_id"] == name
        assert explained("after", path)["request"]["conversation_track"] == "local"


def test_explaining_changes_nothing(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db", PACED, 60)
    with Optimizer.open(str(path), clock=lambda: START) as optimizer, Optimizer.open(":memory:", PACED, clock=lambda: START) as plain:
        before = optimizer._core.snapshot("chat")
        optimizer.explain("chat", "r50")
        assert optimizer._core.snapshot("chat") == before
        serve(plain, 60)
        for each in (optimizer, plain):
            serve(each, 30, first=60)
        assert [line for _, line in optimizer.outputs()] == [line for _, line in plain.outputs()]


def test_a_completion_alone_is_no_request(tmp_path: Path) -> None:
    stray = RequestCompleted(event_id="c", scope="chat", occurred_at=START, request_id="gone", track="local", success=True, latency_ms=5.0)
    assert "no request 'gone': the nearest are" in invoke("gone", write(tmp_path / "r.jsonl", [stray, *logged(3)])).output
