"""The forecast benchmark: what it draws, how it scores, and that it runs on data that need no download."""

import doctest
import gzip
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from benchmarks import forecasts, two_weeks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven days of clients with seasons, noise and bursts, written as the recording is."""
    path, dice = tmp_path_factory.mktemp("data"), random.Random(0)
    (path / "servegen").mkdir()
    day = [1.0 + 0.45 * math.sin(2.0 * math.pi * row / 144) for row in range(1008)]
    rates = [[20.0 * level * math.exp(dice.gauss(0.0, 0.25)) for level in day] for _ in range(6)]
    with gzip.open(path / "servegen" / "m-small_clients_days1-7.csv.gz", "wt") as file:
        file.write("client,t_s,rate,cv\n")
        file.writelines(f"{client},{600 * row},{rate},0\n" for client, rows in enumerate(rates) for row, rate in enumerate(rows))
    with (path / "servegen" / "aggregate_rate_10min_days1-7.csv").open("w") as file:
        file.write("t,language_m-small,language_m-large\n")
        file.writelines(f"{600 * row},{rates[0][row]},{rates[1][row]}\n" for row in range(1008))
    return path


@pytest.mark.parametrize("module", [forecasts, two_weeks], ids=lambda module: module.__name__)
def test_their_documentation_is_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_one_seed_gives_one_list_of_bursty_weeks(folder: Path) -> None:
    (one,), (again,) = (two_weeks.two_weeks(folder, 1, seed=3) for _ in range(2))
    assert one.rows.tolist() == again.rows.tolist()
    assert 0.08 <= two_weeks.change(one.rows[two_weeks.WEEK :], 1) <= 0.16


def test_no_baseline_looks_ahead() -> None:
    rows = np.random.default_rng(0).gamma(4.0, 25.0, 500)
    changed = np.concatenate([rows[:400], rows[400:] * 3.0])
    for method in (forecasts.last_value, forecasts.seasonal_naive, forecasts.by_river(forecasts.holt_winters)):
        one, other = (forecasts.with_trailing_quantiles(some, method(some)) for some in (rows, changed))
        assert one[:400].tolist() == other[:400].tolist()


def test_the_last_value_scores_what_changes() -> None:
    series = two_weeks.Series("saw", np.tile([1.0, 3.0], 600), 144)
    found = forecasts.with_trailing_quantiles(series.rows, forecasts.last_value(series.rows))
    scored = forecasts.score(series, found, 0)
    assert (round(scored["WAPE %"]), round(scored["first"], 1), scored["coverage"]) == (100, 1.0, 1.0)


def test_a_miss_costs_twenty_times_its_size() -> None:
    one = np.array([1.0])
    assert forecasts.winkler(np.array([4.0]), one, one * 3.0) == 22.0


def test_the_quick_benchmark_prints_a_table_for_each_horizon(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = two_weeks.Series("few", two_weeks.recorded(folder)[0].rows[:200], 144)
    monkeypatch.setattr(forecasts, "two_weeks", lambda *_: [few])
    monkeypatch.setattr(forecasts, "recorded", lambda *_: [few])
    forecasts.main(["--quick", "--data", str(folder), "--json", str(tmp_path / "rows.json")])
    said = json.loads((tmp_path / "rows.json").read_text())
    assert {row["policy"] for row in said["Two weeks"]} == {"last value", "seasonal naive", "pointsman, light", "pointsman, full"}
    printed = capsys.readouterr().out
    assert all(f"{name} ahead" in printed for name in forecasts.NAMES.values())


def test_it_says_which_data_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="servegen"):
        forecasts.main(["--data", str(tmp_path)])
