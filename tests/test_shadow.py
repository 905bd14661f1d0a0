"""Shadow mode: a second policy watches, its gain is estimated beside the active one, and it may be promoted."""

import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from events import START, completed, started

from pointsman.schemas import AnyInput, Budget, ConfigChanged, OptimizationConfig, QualityAssessed, Track, decode, encode
from pointsman.streams import Optimizer
from pointsman.streams.cli import main
from pointsman.streams.evaluate import evaluate
from pointsman.streams.ledger import MEMORY
from pointsman.streams.shadow import Shadow

TRACKS = (Track(name="local"), Track(name="api"))
ACTIVE = OptimizationConfig(tracks=TRACKS, strategy="quality")
QUALITY = {"local": {"mail": 0.8, "code": 0.3}, "api": {"mail": 0.7, "code": 0.9}}
OTHER_TOML = 'strategy = "quality"\n[[tracks]]\nname = "local"\n[[tracks]]\nname = "api"\n'


def events(requests: int, first: int = 0, scope: str = "chat") -> list[AnyInput]:
    """A log whose policy takes either track by the throw of a coin; code is better on the API, mail a little on the local track."""
    found: list[AnyInput] = []
    for number in range(first, first + requests):
        draw = random.Random(number)
        name, at, category = f"r{number}", 5.0 * number, ("mail", "code")[number % 2]
        track = draw.choice(("local", "api"))
        quality = min(max(QUALITY[track][category] + draw.gauss(0.0, 0.1), 0.0), 1.0)
        latency = {"local": 400.0, "api": 900.0}[track] * draw.lognormvariate(0.0, 0.2)
        found += [
            started(name, at, track, propensity=0.5, category=category, input_tokens=200),
            completed(name, at + 2.0, track, latency, cost_usd={"local": 0.0, "api": 0.004}[track], quality_score=quality),
        ]
    return [event.model_copy(update={"scope": scope}) for event in found]


def write(path: Path, stream: list[AnyInput]) -> Path:
    path.write_bytes(b"".join(encode(event) + b"\n" for event in stream))
    return path


def opened(path: Path | str, config: OptimizationConfig | None = ACTIVE, shadow: OptimizationConfig | None = ACTIVE, at: float = 1e5) -> Optimizer:
    return Optimizer.open(str(path), config, clock=lambda: START + at, shadow=shadow)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def kept(path: Path) -> dict[str, list[Any]]:
    """Everything in a database that is the active policy's."""
    with sqlite3.connect(path) as connection:
        tables = {name: list(connection.execute(f"SELECT * FROM {name}")) for name in ("journal", "outputs", "snapshots", "dead_letters")}
        return tables | {"saved": [row for row in connection.execute("SELECT * FROM saved") if row[0] != "shadow"]}


def test_a_shadow_that_learns_is_better_than_a_coin_and_its_interval_says_so() -> None:
    with opened(":memory:") as optimizer:
        optimizer.record_many(events(400))
        said = optimizer.status()["chat"]["shadow"]
    assert said["gain"]["lower"] > 0.0
    quality = said["metrics"]["quality"]
    truth = (0.8 + 0.9) / 2.0  # the better track for each kind of request
    assert quality["dr"]["value"] > said["logged"]["quality"] + 0.08
    assert quality["dr"]["lower"] <= truth and quality["effective_requests"] > 100
    assert set(said["metrics"]) == {"quality", "cost_usd", "latency_ms", "success", "utility"}


def test_a_shadow_that_wants_what_is_cheap_saves_money_and_loses_quality() -> None:
    with opened(":memory:", shadow=OptimizationConfig(strategy="cost")) as optimizer:
        optimizer.record_many(events(400))
        said = optimizer.status()["chat"]["shadow"]
    assert said["strategy"] == "quality"  # the measure is the active one's
    assert said["metrics"]["cost_usd"]["against_logged"]["upper"] < 0.0


def test_the_active_policy_is_the_same_byte_for_byte_with_a_shadow(tmp_path: Path) -> None:
    stream = [*events(150), started("odd", 2000.0, "nobody", propensity=0.5), *events(50, 500, "mail")]
    for name, shadow in (("plain.db", None), ("shadowed.db", OptimizationConfig(strategy="cost", tracks=(*TRACKS, Track(name="nobody"))))):
        for part in (stream[:200], stream[200:]):
            with opened(tmp_path / name, shadow=shadow) as optimizer:
                optimizer.record_many(part)
                answer = optimizer.recommend("chat", "Hello", "next", category="code")
        assert answer.policy_version > 0
    assert kept(tmp_path / "plain.db") == kept(tmp_path / "shadowed.db")


def test_the_figures_are_those_of_evaluate(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", events(150))
    (tmp_path / "c.toml").write_text(OTHER_TOML)
    name = str(tmp_path / "c.toml")
    verdict = next(found for found in evaluate(str(path), [name], config=ACTIVE).policies if found.policy == name)
    said = json.loads(invoke("shadow", path, "--config", name, "--json").output)["chat"]
    for metric, figures in verdict.metrics.items():
        assert figures.dr is not None and figures.snips is not None and figures.against_logged is not None
        assert said["metrics"][metric]["dr"]["value"] == pytest.approx(figures.dr.value, rel=1e-5)
        assert said["metrics"][metric]["snips"]["upper"] == pytest.approx(figures.snips.upper, rel=1e-5)
        assert said["metrics"][metric]["against_logged"]["lower"] == pytest.approx(figures.against_logged.lower, rel=1e-4, abs=1e-6)
    assert said["gain"] == said["metrics"]["utility"]["against_logged"]


def test_what_the_shadow_does_with_a_request_does_not_depend_on_what_comes_later() -> None:
    shadow, stream = Shadow(ACTIVE), events(60)
    for event in stream:
        shadow.step(event)
    before = [choice.target for choice in shadow._ledgers["chat"].done.values()]
    for event in events(60, 60):
        shadow.step(event)
    assert [choice.target for choice in shadow._ledgers["chat"].done.values()][:60] == before


@pytest.mark.parametrize("cut", [1, 77, 150])
def test_a_shadow_is_the_same_after_a_restart_after_a_gap_and_from_a_snapshot(tmp_path: Path, cut: int) -> None:
    stream = events(100)
    with opened(":memory:") as optimizer:
        optimizer.record_many(stream)
        whole = optimizer.status()
    for name, middle in (("restart.db", ACTIVE), ("gap.db", None)):
        for part, shadow in ((stream[:cut], ACTIVE), (stream[cut:180], middle), (stream[180:], ACTIVE)):
            with opened(tmp_path / name, shadow=shadow) as optimizer:
                optimizer.record_many(part)
                found = optimizer.status()
        assert found == whole
    one, two = Shadow(ACTIVE), Shadow(ACTIVE)
    for event in stream[:cut]:
        one.step(event)
    parts = one.snapshot("chat")
    assert all(len(part) < 256_000 for part in parts.values()) and two.restore("chat", parts)
    for event in stream[cut:]:
        one.step(event)
        two.step(event)
    assert one.snapshot("chat") == two.snapshot("chat")
    assert not Shadow(OptimizationConfig()).restore("chat", parts) and not Shadow(ACTIVE).restore("chat", {"head": b"?"})


def test_another_shadow_starts_from_the_journals_beginning(tmp_path: Path) -> None:
    other = OptimizationConfig(tracks=TRACKS, strategy="cost")
    with opened(tmp_path / "a.db", shadow=other) as optimizer:
        optimizer.record_many(events(80))
        direct = optimizer.status()
    for shadow in (ACTIVE, other):
        with opened(tmp_path / "a.db", shadow=shadow) as optimizer:
            found = optimizer.status()
    assert found == direct


def test_promotion_is_a_config_changed_in_every_scope_and_holds_from_then_on(tmp_path: Path) -> None:
    other = OptimizationConfig(tracks=TRACKS, strategy="cost")
    with opened(tmp_path / "a.db", shadow=other) as optimizer:
        optimizer.record_many([*events(40), *events(40, 100, "mail")])
        assert optimizer.status()["chat"]["strategy"] == "quality"
        optimizer.promote()
        found = optimizer.status()
        assert [found[scope]["strategy"] for scope in ("chat", "mail")] == ["cost", "cost"] and "shadow" not in found["chat"]
        optimizer.record_many(events(1, 900, "new"))
        assert optimizer.status()["new"]["strategy"] == "cost"
        with pytest.raises(ValueError, match="there is no shadow to promote: give one to"):
            optimizer.promote()
    changes = [event for _, _, line in kept(tmp_path / "a.db")["journal"] if isinstance(event := decode(line), ConfigChanged)]
    assert [(change.scope, change.config) for change in changes] == [("chat", other), ("mail", other), ("new", other)]
    with opened(tmp_path / "a.db", None, None) as optimizer:
        assert optimizer.status()["chat"]["strategy"] == "cost"


def test_after_a_promotion_the_old_policy_may_be_the_shadow(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db", shadow=OptimizationConfig(tracks=TRACKS, strategy="cost")) as optimizer:
        optimizer.record_many(events(60))
        optimizer.promote()
    with opened(tmp_path / "a.db", None, ACTIVE) as optimizer:
        said = optimizer.status()["chat"]["shadow"]
    assert said["strategy"] == "cost" and said["remembered"] == 60


def test_a_configuration_adopted_before_the_first_event_is_the_measure() -> None:
    with opened(":memory:") as optimizer:
        optimizer.adopt(OptimizationConfig(tracks=TRACKS, strategy="latency"))
        optimizer.record_many(events(20))
        assert optimizer.status()["chat"]["shadow"]["strategy"] == optimizer.status()["chat"]["strategy"] == "latency"


def test_the_command_line_says_the_same_and_promotes(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('strategy = "cost"\n' + OTHER_TOML.partition("\n")[2])
    with opened(tmp_path / "a.db", shadow=OptimizationConfig(tracks=TRACKS, strategy="cost")) as optimizer:
        optimizer.record_many(events(120))
        told = optimizer.status()["chat"]["shadow"]
    result = invoke("shadow", tmp_path / "a.db", "--config", tmp_path / "c.toml", "--json")
    assert json.loads(result.output) == {"chat": told}
    text = invoke("shadow", tmp_path / "a.db", "--config", tmp_path / "c.toml").output
    assert "scope chat: 120 logged choices" in text and "utility: strategy quality" in text and "the shadow is worse" in text
    assert "c.toml is in force in chat" in invoke("promote", tmp_path / "a.db", "--config", tmp_path / "c.toml").output
    with opened(tmp_path / "a.db", None, None) as optimizer:
        assert optimizer.status()["chat"]["strategy"] == "cost"


def test_memory_is_bounded_and_what_is_left_out_is_counted() -> None:
    shadow = Shadow(ACTIVE)
    for event in [started("plain", 0.0, "local"), started("asked", 0.0, None), *events(4, 1)]:
        shadow.step(event)
    ledger = shadow._ledgers["chat"]
    template = ledger.done["r1"]
    for number in range(MEMORY + 50):
        name = f"x{number}"
        ledger.observe(started(name, 30.0 + 0.01 * number, "local", propensity=0.5), {"local": 1.0}, template.x.astype(float))
        ledger.observe(completed(name, 30.0 + 0.01 * number, "local", quality_score=0.5), None, None)
    assert len(ledger.done) == MEMORY and "x50" in ledger.done and "x49" not in ledger.done
    assert shadow.report("chat").left_out == {"without propensity": 2}
    assert all(len(part) < 256_000 for part in ledger.snapshot().values())


def test_late_judgements_lost_requests_and_hang_ups_count_as_in_evaluate(tmp_path: Path) -> None:
    judged = QualityAssessed(event_id="j", scope="chat", occurred_at=START + 60.0, request_id="r0", track=events(1)[0].track, score=0.123)  # type: ignore[union-attr]
    lost = started("lost", 7.0, "local", propensity=0.5)
    hung: list[AnyInput] = [started("hung", 8.0, "api", propensity=0.5), completed("hung", 9.0, "api", success=False, failure_class="client")]
    swapped: list[AnyInput] = [completed("early", 10.0, "api", quality_score=0.6), started("early", 10.5, "api", propensity=0.5)]
    stream: list[AnyInput] = [*events(30), lost, *hung, *swapped, judged, *events(1, 400), started("running", 2001.0, "api", propensity=0.5)]
    path = write(tmp_path / "r.jsonl", stream)
    (tmp_path / "c.toml").write_text(OTHER_TOML)
    said = json.loads(invoke("shadow", path, "--config", tmp_path / "c.toml", "--json").output)["chat"]
    logged = next(found for found in evaluate(str(path), config=ACTIVE).policies if found.policy == "logged")
    for metric, figures in logged.metrics.items():
        assert figures.dr is not None and said["logged"][metric] == pytest.approx(figures.dr.value)
    assert said["left_out"] == {"hung up by the client": 1, "still running": 1}


def test_a_shadow_that_breaks_leaves_the_active_policy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(":memory:") as optimizer:
        optimizer.record_many(events(5))

        def broken(event: AnyInput) -> None:
            raise ArithmeticError("broken")

        assert optimizer._shadow is not None
        monkeypatch.setattr(optimizer._shadow, "step", broken)
        optimizer.record_many(events(5, 5))
        found = optimizer.status()["chat"]
    assert found["events"] == 20 and "shadow" not in found


def test_too_little_and_tracks_that_never_ran_are_said(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(OTHER_TOML + '[[tracks]]\nname = "other"\n')
    text = invoke("shadow", write(tmp_path / "r.jsonl", events(60)), "--config", tmp_path / "c.toml").output
    assert "to other, which never ran: shared out among the others here" in text
    text = invoke("shadow", write(tmp_path / "s.jsonl", events(1)), "--config", tmp_path / "c.toml").output
    assert "nothing can be said yet" in text


def test_a_shadow_with_a_budget_and_one_without_tracks_are_folded() -> None:
    for config in (OptimizationConfig(budget=Budget(usd_per_request=0.001)), OptimizationConfig()):
        shadow = Shadow(config)
        for event in events(60):
            shadow.step(event)
        assert shadow.report("chat").remembered >= 59


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shadow", "r.jsonl"], "give the shadow's configuration with --config"),
        (["shadow", "r.jsonl", "--config", "missing.toml"], "missing.toml: No such file or directory"),
        (["shadow", "missing.jsonl", "--config", "c.toml"], "missing.jsonl: no such file"),
        (["shadow", "r.jsonl", "--config", "c.toml", "--scope", "nobody"], "scope 'nobody' has had no event"),
        (["shadow", "empty.jsonl", "--config", "c.toml"], "empty.jsonl: no event in it"),
        (["promote", "r.jsonl", "--config", "c.toml"], "not an SQLite file"),
        (["promote", "missing.db", "--config", "c.toml"], "missing.db: no such database"),
        (["promote", "missing.db"], "give the configuration to promote with --config"),
    ],
)
def test_a_wrong_argument_is_one_sentence(tmp_path: Path, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("r.jsonl"), events(5))
    Path("empty.jsonl").write_text("")
    Path("c.toml").write_text(OTHER_TOML)
    result = invoke(*arguments)
    assert result.exit_code == 2 and said in result.output.splitlines()[-1], result.output
