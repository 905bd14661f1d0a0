"""The cause of a trouble: found by effect, agreement and place, never by name; and whatever the table, an answer or a sentence."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models.call_graph import CallGraph
from pointsman.models.root_cause import Measured, rank
from pointsman.streams.cli import main

EDGES = [("web", "search"), ("web", "pay"), ("search", "db"), ("pay", "bank")]
OWN = {"web": 5.0, "search": 20.0, "pay": 30.0, "db": 10.0, "bank": 40.0}
ROWS, NOTICED = 60, 55


def latencies(cause: str, seed: int = 1, extra: float = 200.0) -> dict[str, list[float]]:
    """Latency of each entity, its callees' included, with a fault from row 53 on."""
    dice, found = random.Random(seed), dict[str, list[float]]()
    for entity in ("db", "bank", "search", "pay", "web"):
        own = [OWN[entity] * (1.0 + 0.05 * dice.gauss(0.0, 1.0)) + (extra if entity == cause and row >= 53 else 0.0) for row in range(ROWS)]
        callees = [callee for caller, callee in EDGES if caller == entity]
        found[entity] = [own[row] + sum(found[callee][row] for callee in callees) for row in range(ROWS)]
    return found


def table(folder: Path, found: dict[str, list[float]], *more: str) -> Path:
    """The same in long form."""
    path = folder / "metrics.csv"
    rows = [f"{300 * row},{entity},latency,{value!r}" for entity, values in found.items() for row, value in enumerate(values)]
    path.write_text("\n".join(["time,entity,metric,value", *rows, *more]) + "\n")
    return path


def graph(folder: Path, edges: list[tuple[str, str]]) -> Path:
    """Edges as CSV."""
    path = folder / "edges.csv"
    path.write_text("source,target\n" + "".join(f"{source},{target}\n" for source, target in edges))
    return path


def run(*arguments: object) -> Result:
    """The command."""
    return CliRunner().invoke(main, ["diagnose", *map(str, arguments)])


@pytest.mark.parametrize("cause", ["db", "bank", "search", "pay"])
def test_the_cause_is_ranked_first_with_the_graph_by_the_command(tmp_path: Path, cause: str) -> None:
    result = run(table(tmp_path, latencies(cause)), "--graph", graph(tmp_path, EDGES), "--at", 300 * NOTICED, "--target", "web", "latency", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["entities"][0]["entity"] == cause and found["entities"][0]["evidence"]["deviation"] > 10
    assert {one["entity"] for one in found["entities"]} == set(OWN) and found["metrics"][0]["metric"] == "latency"


def test_the_text_names_the_cause_and_its_evidence(tmp_path: Path) -> None:
    result = run(table(tmp_path, latencies("db")), "--graph", graph(tmp_path, EDGES), "--at", "1970-01-01T04:35:00Z", "--target", "web", "latency")
    assert result.exit_code == 0 and result.output.startswith("1. db  score 0.") and "normally 10" in result.output.splitlines()[0]


def measured(found: dict[str, list[float]], scale: float = 1.0) -> Measured:
    """The trouble's last rows beside the normal ones; every other column is scaled up, the rest down."""
    columns = [(entity, "latency") for entity in found]
    values = np.asarray(np.array(list(found.values())).T * scale ** (1.0 - 2.0 * (np.arange(len(found)) % 2)), np.float64)
    return Measured(columns, np.asarray(300.0 * np.arange(45, ROWS), np.float64), values[45:], values[:45])


@settings(max_examples=25, deadline=None)
@given(st.permutations(list("abcde")), st.sampled_from([1e-12, 1.0, 1e12]))
def test_names_and_scales_play_no_part(names: list[str], scale: float) -> None:
    renamed = dict(zip(OWN, names, strict=True))
    found = latencies("db")
    plain = rank(measured(found), 300.0 * NOTICED, EDGES, ("web", "latency"))
    other = {renamed[entity]: found[entity] for entity in sorted(found, key=lambda entity: renamed[entity])}
    edges = [(renamed[source], renamed[target]) for source, target in EDGES]
    moved = rank(measured(other, scale), 300.0 * NOTICED, edges, (renamed["web"], "latency"))
    assert [renamed[one.entity] for one in plain.entities[:3]] == [one.entity for one in moved.entities[:3]]


def test_noise_at_the_target_does_not_hide_the_cause(tmp_path: Path) -> None:
    dice, found = random.Random(4), latencies("db", extra=40.0)
    found["web"] = [100.0 + 40.0 * dice.gauss(0.0, 1.0) for _ in range(ROWS)]
    result = run(table(tmp_path, found), "--graph", graph(tmp_path, EDGES), "--at", 300 * NOTICED, "--target", "web", "latency")
    assert result.output.startswith("1. db ")


def test_a_trouble_noticed_after_the_last_row_is_that_of_the_last_rows(tmp_path: Path) -> None:
    source, edges = table(tmp_path, latencies("db")), graph(tmp_path, EDGES)
    last, later = (run(source, "--graph", edges, "--at", at, "--target", "web", "latency") for at in (300 * (ROWS - 1), 10**9))
    assert later.exit_code == 0 and later.output == last.output and later.output.startswith("1. db ")


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    arguments = (table(tmp_path, latencies("pay")), "--at", 300 * NOTICED, "--json")
    assert run(*arguments).output == run(*arguments).output


def test_a_graph_of_cycles_and_of_entities_without_metrics_is_answered(tmp_path: Path) -> None:
    edges = [*EDGES, ("db", "web"), ("bank", "bank"), ("web", "ghost"), ("ghost", "phantom")]
    result = run(table(tmp_path, latencies("db")), "--graph", graph(tmp_path, edges), "--at", 300 * NOTICED, "--target", "web", "latency")
    assert result.exit_code == 0 and "2 of the graph's entities have no metrics" in result.output


def test_constant_missing_and_huge_columns_and_two_rows_at_one_time_are_answered(tmp_path: Path) -> None:
    more = [f"{300 * row},still,latency,7" for row in range(ROWS)] + [f"{300 * row},empty,latency," for row in range(ROWS)]
    more += [f"{300 * row},huge,latency,{1e300 * (1 + row % 2)!r}" for row in range(ROWS)] + ["300,web,latency,40", "300,web,latency,nan"]
    result = run(table(tmp_path, latencies("db"), *more), "--graph", graph(tmp_path, EDGES), "--at", 300 * NOTICED, "--target", "web", "latency", "--json")
    assert result.exit_code == 0 and json.loads(result.output)["entities"][0]["entity"] == "db"


def test_a_near_constant_series_of_availability_does_not_drown_the_cause(tmp_path: Path) -> None:
    more = [f"{300 * row},edge,latency,{100.0 - (1e-7 if row == 54 else 0.0)!r}" for row in range(ROWS)]
    result = run(table(tmp_path, latencies("db"), *more), "--graph", graph(tmp_path, EDGES), "--at", 300 * NOTICED, "--target", "web", "latency", "--json")
    assert json.loads(result.output)["entities"][0]["entity"] == "db"


def test_ten_thousand_entities_are_ranked() -> None:
    dice = np.random.default_rng(3)
    values = dice.normal(10.0, 1.0, (40, 10_000))
    values[36:, 1234] += 50.0
    values[36:, 0] += 50.0
    columns = [(f"n{number}", "latency") for number in range(10_000)]
    edges = [(f"n{int(dice.integers(0, number))}", f"n{number}") for number in range(1, 10_000)] + [("n0", "n1234"), ("n9999", "n0")]
    found = rank(Measured(columns, np.arange(28.0, 40.0), values[28:], values[:28]), 37.0, edges, ("n0", "latency"))
    assert len(found.entities) == 10_000 and found.entities[0].entity == "n1234"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--at", "noon"], "--at: 'noon' is no time"),
        (["--at", "-5"], "before the first row"),
        (["--at", "16500", "--target", "web", "speed"], "no metric 'speed' of 'web'"),
        (["--at", "900"], "rows are normal, at least 10 are needed"),
        (["--at", "16500", "--normal", "0", "600"], "3 rows are normal"),
        (["--at", "16500", "--normal", "90000", "99000"], "0 rows are normal"),
    ],
)
def test_a_question_that_cannot_be_answered_is_a_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = run(table(tmp_path, latencies("db")), *arguments)
    assert result.exit_code == 2 and said in result.output and len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize("text", ["", "time,entity,metric,value\n", "1,a\n", "1,a,b,c\n", 'x,"a,b,1\n', "1,a,m,\n"])
def test_a_table_that_cannot_be_read_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    result = run(tmp_path / "metrics.csv", "--at", 1)
    assert result.exit_code == 2 and str(tmp_path / "metrics.csv") in result.output


def test_what_lies_behind_an_entity_counts_once_through_cycles() -> None:
    found = CallGraph("abcd", [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("a", "d")]).behind({"a": 1.0, "c": 2.0, "d": 4.0})
    assert found == {"a": 3.0, "b": 3.0, "c": 3.0, "d": 7.0}
