"""Error budgets: what counts, windows against a plain recount, alerts where a budget burns too fast, and none where it does not."""

import json
import math
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from events import START, completed, started, stream, ticked
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.burn_budget import ErrorBudget
from pointsman.models.burn_counts import CELLS, WINDOW_CELLS, Counts
from pointsman.models.burn_rules import EVIDENCE, evidence, rules, scale
from pointsman.schemas import (
    AlertRaised,
    AlertResolved,
    AnyInput,
    ConfigChanged,
    Event,
    Objective,
    ObjectiveReported,
    OptimizationConfig,
    QualityAssessed,
    Track,
    decode_output,
    encode,
)
from pointsman.streams import Optimizer
from pointsman.streams.core import Core
from pointsman.streams.replay import replay_file

SUCCESS = Objective(metric="success", bound=1.0, share=0.99)
TRACKS = (Track(name="local"), Track(name="api"))
WINDOWS = (30.0, 120.0, 300.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0, 259_200.0)
Said = list[tuple[float, str, dict[str, Any]]]


def run(budget: ErrorBudget, outcomes: Iterator[tuple[float, bool]]) -> Said:
    """The alerts of a stream: seconds since its start, what happened, and its fields."""
    found: Said = []
    for at, is_broken in outcomes:
        for model, fields in budget.count(START + at, is_broken=is_broken):
            if model is not ObjectiveReported:
                found.append((at, f"{fields['severity']} {model.__name__}", fields))
    return found


def steady(seed: object, gap_s: float, share: float, begin: float, end: float) -> Iterator[tuple[float, bool]]:
    """Requests at exponential gaps, of which a share fails."""
    draw, at = random.Random(str(seed)), begin
    while (at := at + draw.expovariate(1.0 / gap_s)) < end:
        yield at, draw.random() < share


def config(*objectives: Objective) -> OptimizationConfig:
    return OptimizationConfig(tracks=TRACKS, objectives=objectives)


def fold(core: Core, events: list[AnyInput]) -> list[Event]:
    return [output for event in events for output in core.step(event)]


def reports(outputs: list[Event], objective: Objective) -> list[ObjectiveReported]:
    return [one for one in outputs if isinstance(one, ObjectiveReported) and one.objective == objective.name]


def burning(count: int, gap_s: float = 2.0, track: str = "local", **fields: Any) -> list[AnyInput]:
    """So many requests that fail, one after the other."""
    events: list[AnyInput] = []
    for n in range(count):
        events += [
            started(f"f{n}", gap_s * n, track, **fields),
            completed(f"f{n}", gap_s * n + 1.0, track, success=False, failure_class="provider"),
        ]
    return events


# windows


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 7.0, 61.0, 1000.0, 40_000.0, 300_000.0]), st.booleans()), min_size=1, max_size=120),
    st.floats(0, 1e6, allow_nan=False),
    st.sampled_from(["28d", "1h", "90d"]),
)
def test_a_window_holds_what_a_recount_does_up_to_one_cell(steps: list[tuple[float, bool]], shift: float, window: str) -> None:
    window_s = Objective(metric="success", bound=1, window=window).window_s
    counts, times, at = Counts(window_s), scale(window_s), START + shift
    seen: list[tuple[float, bool]] = []
    for step, is_broken in steps:
        at += step * times
        counts.advance(at)
        counts.add(is_broken=is_broken)
        seen.append((at, is_broken))
    cells = {seconds: next(width for width, cells in CELLS if seconds <= width * cells) * times for seconds in WINDOWS}
    asked = [(seconds * times, cells[seconds], counts.over(seconds * times)) for seconds in WINDOWS] + [(window_s, window_s / WINDOW_CELLS, counts.whole())]
    for seconds, cell, found in asked:
        begin = (math.floor(at / cell) - round(seconds / cell)) * cell
        assert at - seconds - cell - 1e-3 <= begin <= at - seconds + 1e-3
        assert found == (sum(moment >= begin for moment, _ in seen), sum(broken for moment, broken in seen if moment >= begin))


def test_an_objective_takes_less_than_20_kb() -> None:
    budget = ErrorBudget(SUCCESS)
    run(budget, steady("size", 1.0, 0.01, 0.0, 50_000.0))
    run(budget, steady("size", 500.0, 0.01, 50_000.0, 30 * 86_400.0))
    assert len(json.dumps(budget.snapshot())) < 20_000


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 5000), st.booleans()), max_size=200), st.integers(0, 200))
def test_a_budget_restored_goes_on_as_it_would_have(steps: list[tuple[float, bool]], cut: int) -> None:
    whole, at = ErrorBudget(SUCCESS), START
    second = ErrorBudget(SUCCESS)
    for number, (step, is_broken) in enumerate(steps):
        if number == cut:
            second = ErrorBudget.restore(json.loads(json.dumps(whole.snapshot())))
        at += step
        told = whole.count(at, is_broken=is_broken)
        if number >= cut:
            assert second.count(at, is_broken=is_broken) == told
    if cut < len(steps):
        assert second.snapshot() == whole.snapshot()


# rules


def test_a_month_has_the_workbooks_windows_and_other_windows_the_same_share_of_their_budget() -> None:
    month = [(rule.severity, rule.factor, rule.long_s, rule.short_s) for rule in rules(Objective(metric="latency_ms", bound=1500))]
    assert month == [
        ("critical", 14.4, 3600.0, 300.0),
        ("critical", 6.0, 21_600.0, 1800.0),
        ("warning", 3.0, 86_400.0, 7200.0),
        ("warning", 1.0, 259_200.0, 21_600.0),
    ]
    for window in ("30d", "1h", "7d", "90d"):
        objective = Objective(metric="latency_ms", bound=1500, window=window)
        spent = [rule.factor * rule.long_s / objective.window_s for rule in rules(objective)]
        assert spent == pytest.approx([0.02, 0.05, 0.1, 0.1])


@given(st.integers(1, 400), st.data(), st.sampled_from([0.5, 0.1, 0.01, 0.001]))
def test_the_evidence_bounds_the_probability_of_so_many(requests: int, data: st.DataObject, allowed: float) -> None:
    broken = data.draw(st.integers(0, requests))
    tail = sum(math.comb(requests, k) * allowed**k * (1.0 - allowed) ** (requests - k) for k in range(broken, requests + 1))
    assert tail <= math.exp(-evidence(requests, broken, allowed)) * (1.0 + 1e-9)


def test_one_failure_of_few_requests_tells_nobody_and_five_in_a_row_do() -> None:
    assert run(ErrorBudget(SUCCESS), iter([(0.0, False), (10.0, True), (20.0, False), (30.0, True)])) == []
    ((at, said, fields),) = run(ErrorBudget(SUCCESS), ((10.0 * n, True) for n in range(10)))
    assert (at, said) == (40.0, "critical AlertRaised")
    assert fields["observed"] == pytest.approx(100.0) and fields["metric"] == "success" and fields["kind"] == "slo_burn"


@pytest.mark.parametrize(("gap_s", "days"), [(20.0, 15), (300.0, 100), (3000.0, 500)])
def test_a_stream_that_keeps_its_objective_exactly_tells_nobody(gap_s: float, days: int) -> None:
    assert run(ErrorBudget(SUCCESS), steady(gap_s, gap_s, 0.01, 0.0, 86_400.0 * days)) == []


@pytest.mark.parametrize("share", [0.9, 0.99, 0.999])
def test_an_outage_of_steady_traffic_is_told_in_about_a_minute_and_over_soon(share: float) -> None:
    budget, allowed, fails = ErrorBudget(SUCCESS.model_copy(update={"share": share})), 1.0 - share, 2 * 86_400.0
    assert run(budget, steady("good", 10.0, 0.3 * allowed, 0.0, fails - 600.0)) == []
    assert run(budget, ((fails - 600.0 + n, False) for n in range(600))) == []
    during = run(budget, ((fails + n, True) for n in range(900)))
    assert [said for _, said, _ in during] == ["critical AlertRaised"]
    assert 0.0 < during[0][0] - fails <= 90.0
    assert abs(during[0][2]["since"] - START - fails) <= 30.0
    (over, *later) = run(budget, ((fails + 900.0 + n, False) for n in range(3600)))
    assert over[1] == "critical AlertResolved" and over[0] - fails - 900.0 <= 315.0 and later == []


def test_a_slow_burn_is_a_ticket_and_no_page() -> None:
    budget = ErrorBudget(SUCCESS)
    run(budget, steady("before", 10.0, 0.002, 0.0, 86_400.0))
    said = run(budget, steady("slow", 10.0, 0.04, 86_400.0, 3 * 86_400.0))
    assert [one for _, one, _ in said] == ["warning AlertRaised"]
    fields = said[0][2]
    assert 1.0 <= fields["expected"] <= 3.0 and 0.9 < fields["budget_left"] < 1.0 and fields["spent_at"] > START + said[0][0]


def test_an_alert_without_traffic_stands_until_its_hour_is_empty() -> None:
    core = Core(config(SUCCESS))
    raised = fold(core, burning(10, gap_s=60.0))
    assert sum(isinstance(one, AlertRaised) and one.kind == "slo_burn" for one in raised) == 1
    assert not any(isinstance(one, AlertResolved) for one in fold(core, [ticked(1200.0)]))
    due = core.next_due("chat")
    assert due is not None and due <= START + 1260.0
    (over,) = [one for one in fold(core, [ticked(600.0 * n) for n in range(3, 12)]) if isinstance(one, AlertResolved)]
    assert over.kind == "slo_burn" and START + 3600.0 < over.occurred_at <= START + 4800.0


# the budget


def test_what_is_left_is_of_the_budget_of_a_whole_window() -> None:
    hour = ErrorBudget(SUCCESS.model_copy(update={"window": "1h"}))
    run(hour, ((2.0 * n, n % 200 == 0) for n in range(3600)))
    assert hour.left(START + 7198.0) == pytest.approx(0.5, abs=0.01)
    young = ErrorBudget(SUCCESS)
    run(young, ((2.0 * n, n % 50 == 0) for n in range(43_200)))  # a day at twice what is allowed
    assert young.left(START + 86_400.0) == pytest.approx(1.0 - 2.0 / 28.0, abs=0.005)


def test_it_says_when_the_budget_will_be_spent_and_that_is_when_it_is() -> None:
    budget = ErrorBudget(SUCCESS.model_copy(update={"window": "1h"}))
    good = run(budget, ((n * 1.0, n % 400 == 0) for n in range(7200)))
    assert good == [] and budget.spent_at(START + 7200.0, 5.0) is None
    run(budget, ((7200.0 + n, n % 5 == 0) for n in range(60)))
    said = budget.spent_at(START + 7260.0, 60.0)
    assert said is not None
    run(budget, ((7260.0 + n, n % 5 == 0) for n in range(int(said - START - 7260.0))))
    assert budget.left(said) == pytest.approx(0.0, abs=0.08)
    run(budget, ((said - START + n, True) for n in range(100)))
    assert budget.left(said + 100.0) < 0.0 and budget.spent_at(said + 100.0, 60.0) == said + 100.0


# what counts


def test_failures_that_are_the_clients_own_count_for_nothing() -> None:
    core = Core(config(SUCCESS))
    fold(core, [completed(f"c{n}", float(n), success=False, failure_class="cancelled") for n in range(50)])
    assert core.status("chat")["objectives"][0]["requests"] == 0


def test_an_attempt_that_never_ends_has_broken_the_success_and_says_nothing_of_latency() -> None:
    latency = Objective(metric="latency_ms", bound=1000.0)
    core = Core(config(SUCCESS, latency))
    fold(core, [started("lost", 0.0), started("next", 90_000.0)])
    success, slow = core.status("chat")["objectives"]
    assert (success["requests"], success["broken"], slow["requests"]) == (1, 1, 0)


def test_each_metric_counts_what_says_something_of_it() -> None:
    asked = [
        Objective(metric=metric, bound=bound) for metric, bound in (("latency_ms", 1000.0), ("ttft_ms", 200.0), ("quality_score", 0.5), ("cost_usd", 0.01))
    ]
    core = Core(config(*asked))
    fold(core, [completed("a", 0.0, latency_ms=2000.0, ttft_ms=100.0, cost_usd=0.02), completed("b", 1.0, latency_ms=900.0, ttft_ms=300.0, quality_score=0.4)])
    fold(core, [completed("c", 2.0, success=False, failure_class="provider", ttft_ms=900.0)])
    assert [(row["requests"], row["broken"]) for row in core.status("chat")["objectives"]] == [(2, 1), (2, 1), (1, 1), (1, 1)]


def test_a_quality_that_is_judged_later_counts_when_it_is() -> None:
    quality = Objective(metric="quality_score", bound=0.5, share=0.9)
    core = Core(config(quality))
    fold(
        core,
        [
            started("a", 0.0),
            completed("a", 1.0),
            QualityAssessed(event_id="q", scope="chat", occurred_at=START + 600.0, request_id="a", track="local", score=0.2),
        ],
    )
    (row,) = core.status("chat")["objectives"]
    assert (row["requests"], row["broken"], row["since"]) == (1, 1, START + 600.0)


def test_an_objective_of_a_track_or_a_category_counts_only_those_also_where_the_end_comes_first() -> None:
    of_track, of_category = SUCCESS.model_copy(update={"track": "api"}), SUCCESS.model_copy(update={"category": "code"})
    core = Core(config(SUCCESS, of_track, of_category))
    fold(core, [started("a", 0.0, "api", category="code"), completed("a", 1.0, "api"), completed("b", 2.0), started("b", 1.5, category="code")])
    fold(core, [started("c", 3.0, category="mail"), completed("c", 4.0)])
    assert [row["requests"] for row in core.status("chat")["objectives"]] == [3, 1, 2]


def test_a_late_event_counts_at_the_clocks_time() -> None:
    core = Core(config(SUCCESS))
    outputs = fold(core, [completed("a", 10_000.0), completed("late", 0.0, success=False, failure_class="provider")])
    assert core.status("chat")["objectives"][0]["burns"][0]["broken"] == 1
    assert len(reports(outputs, SUCCESS)) == 1


# configuration


def changed(at: float, *objectives: Objective) -> ConfigChanged:
    return ConfigChanged(event_id=f"config-{at}", scope="chat", occurred_at=START + at, config=config(*objectives))


def test_an_objective_that_stays_keeps_its_counts_and_the_alert_of_one_that_goes_is_over() -> None:
    latency = Objective(metric="latency_ms", bound=1000.0)
    core = Core(config(SUCCESS))
    raised = [one for one in fold(core, burning(10)) if isinstance(one, AlertRaised)]
    fold(core, [changed(30.0, latency, SUCCESS)])
    assert [row["broken"] for row in core.status("chat")["objectives"]] == [0, 10]
    over = [one for one in fold(core, [changed(40.0, latency)]) if isinstance(one, AlertResolved)]
    assert [one.fingerprint for one in over] == [one.fingerprint for one in raised if one.kind == "slo_burn"]
    fold(core, [changed(50.0, SUCCESS)])
    assert core.status("chat")["objectives"][0]["requests"] == 0


def test_an_objective_of_a_track_that_is_not_there_is_refused_with_its_name() -> None:
    core = Core(config(SUCCESS))
    (refused,) = fold(core, [changed(1.0, SUCCESS.model_copy(update={"track": "nowhere"}))])
    assert "nowhere" in encode(refused).decode() and "use one of api, local" in encode(refused).decode()


@pytest.mark.parametrize("window", ["0d", "9999999999d", "28", "1w"])
def test_a_window_that_is_none_is_refused(window: str) -> None:
    with pytest.raises(ValueError, match="window"):
        Objective(metric="success", bound=1.0, window=window)


# through the doors


def test_a_snapshot_and_the_tail_equal_the_whole_with_objectives() -> None:
    asked = config(SUCCESS, Objective(metric="latency_ms", bound=1000.0, share=0.5, window="1h"), SUCCESS.model_copy(update={"track": "api", "window": "90d"}))
    events = stream(5, 150)
    whole, first, second = Core(asked), Core(asked), Core(asked)
    head = fold(first, events[:200])
    for scope in first.scopes():
        assert second.restore(scope, first.snapshot(scope))
    assert [encode(one) for one in head + fold(second, events[200:])] == [encode(one) for one in fold(whole, events)]
    assert all(second.snapshot(scope) == whole.snapshot(scope) for scope in whole.scopes())


def test_replay_writes_alerts_with_what_is_left_and_reports_each_five_minutes(tmp_path: Path) -> None:
    recording, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = [event for n in range(600) for event in (started(f"r{n}", 2.0 * n), completed(f"r{n}", 2.0 * n + 1.0))]
    bad = [event.model_copy(update={"occurred_at": event.occurred_at + 1300.0}) for event in burning(100)]
    recording.write_bytes(b"".join(encode(event) + b"\n" for event in [*good, *bad]))
    replay_file(str(recording), out, config=config(SUCCESS))
    outputs = [decode_output(line) for line in out.read_bytes().splitlines()]
    (raised,) = [one for one in outputs if isinstance(one, AlertRaised) and one.kind == "slo_burn"]
    assert raised.severity == "critical" and raised.subject == "success 99% 28d" and raised.observed >= raised.expected
    assert raised.budget_left is not None and raised.budget_left < 1.0
    assert raised.spent_at is not None and raised.spent_at > raised.occurred_at
    told = reports(outputs, SUCCESS)
    assert any(one.occurred_at == raised.occurred_at for one in told)
    assert all(after.occurred_at - before.occurred_at >= 300.0 for before, after in pairwise(told) if after.occurred_at != raised.occurred_at)
    last = told[-1]
    expected = 0.01 * last.requests * last.window_s / (last.occurred_at - last.since)
    assert last.budget_left == pytest.approx(1.0 - last.broken / expected, abs=1e-5)


def test_an_embedded_optimizer_tells_of_its_objectives(tmp_path: Path) -> None:
    with Optimizer.open(str(tmp_path / "p.db"), config(SUCCESS)) as optimizer:
        for event in burning(10):
            optimizer.record(event)
        (row,) = optimizer.status("chat")["chat"]["objectives"]
    assert (row["objective"], row["requests"], row["broken"]) == ("success 99% 28d", 10, 10)
    assert row["price"] > 0.0 and row["held"] < 1.0


def test_the_evidence_asked_for_is_as_the_documentation_says() -> None:
    assert {severity: math.exp(-nats) for severity, nats in EVIDENCE.items()} == pytest.approx({"critical": 1e-9, "warning": 1e-6})
