"""The routing benchmarks run, on few requests and on data that need no download."""

import doctest
import json
from pathlib import Path

import pytest
from benchmarks import closed_loop, engine, failover, otel, policies, routing, workload
from benchmarks.policies import Outcome, Request


@pytest.mark.parametrize("module", [closed_loop, engine, failover, policies, routing, workload], ids=lambda module: module.__name__)
def test_their_documentation_is_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_the_fitted_engine_is_close_to_the_calm_recording() -> None:
    first = closed_loop.check(closed_loop.World()).splitlines()[1]
    simulated, _, recorded, _ = (float(part) for part in first.split(None, 1)[1].split(" / "))
    assert simulated == pytest.approx(recorded, rel=0.1)


def test_the_closed_loop_gives_a_row_per_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    closed_loop.main(["--requests", "60", "--seeds", "1", "--loads", "1", "--json", str(tmp_path / "rows.json")])
    (result,) = json.loads((tmp_path / "rows.json").read_text())
    assert {row["policy"] for row in result["baselines"]} == {"all local", "all API", "50/50", "round robin", "least busy"}
    assert "all API" in capsys.readouterr().out


def test_one_seed_gives_one_result() -> None:
    world = closed_loop.World(is_scaled=True)
    requests, answers = world.stream(50, 2.0, seed=7)
    one, other = (closed_loop.play(world, policies.LeastBusy(("local", "api")), requests, answers, "again") for _ in range(2))
    assert one == other


def endpoint(name: str, latency_s: float, failures: int) -> failover.Endpoint:
    """An endpoint with ten recorded requests."""
    return failover.Endpoint(name, (Outcome(latency_s, 0.1),) * (10 - failures), (Outcome(1.0, None, 0.0, "500"),) * failures)


def test_failover_compares_with_the_oracle_and_the_best_fixed_endpoint() -> None:
    endpoints = [endpoint("slow", 9.0, 0), endpoint("fast", 1.0, 0), endpoint("middle", 2.0, 1)]
    rows = {row["policy"]: row for row in failover.measure(failover.ranked(endpoints), 120, seeds=1)}
    assert rows["oracle of the phases"]["errors %"] <= min(row["errors %"] for row in rows.values()) + 1e-9
    assert {"always slow", "always fast", "random", "round robin", "pointsman, strategy latency"} <= set(rows)


def test_failover_says_which_data_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="llmperf_2023"):
        failover.main(["--data", str(tmp_path)])


def test_an_endpoint_that_fails_by_script_fails_for_every_policy_alike() -> None:
    endpoints = [endpoint("fast", 1.0, 0), endpoint("slow", 9.0, 0), endpoint("slower", 10.0, 0)]
    rows = failover.fates(endpoints, 60, seed=1)
    assert isinstance(rows[0][0], Request)
    assert all(bool(outcomes["fast"].error) for request, outcomes in rows if failover.phase_of(request.number, 60) == 2)


def test_routing_is_measured_beside_its_baselines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "routing.json"
    arguments = ["--data", "shipped", "--seeds", "1", "--processes", "1", "--budgets", "2.35e-4", "--only", "stationary", "--json", str(target)]
    routing.main(arguments)
    rows = {row["kind"]: row for row in json.loads(target.read_text())["stationary"]}
    assert set(rows) == {"warm", "cold", "river LinUCB, cold"}
    assert rows["cold"]["gain"] > 0.0 and rows["cold"]["worst_ratio"] < 1.1
    assert "random" in capsys.readouterr().out


def test_the_workload_benchmark_scores_what_the_core_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "servegen").mkdir()
    rows = "".join(f"{600 * row},{10 + row % 3}\n" for row in range(60))
    (tmp_path / "servegen" / workload.FILE).write_text("t,language_m-small\n" + rows)
    workload.main(["--quick", "--data", str(tmp_path), "--requests-per-row", "3", "--json", str(tmp_path / "rows.json")])
    found = json.loads((tmp_path / "rows.json").read_text())
    assert [row["horizon_s"] for row in found["forecasts"]] == [60.0, 600.0, 3600.0, 21_600.0]
    assert found["hours_scored"] >= 5
    assert "over-provisioned" in capsys.readouterr().out


def test_the_workload_benchmark_says_which_data_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="servegen"):
        workload.main(["--data", str(tmp_path)])


def test_the_adapter_of_spans_is_measured_beside_parsing_alone() -> None:
    rows = otel.run(1)
    assert [row["encoding"] for row in rows] == ["protobuf", "JSON"] * 3
    assert all(row["parse_spans_per_s"] > 0 < row["adapt_spans_per_s"] for row in rows)
