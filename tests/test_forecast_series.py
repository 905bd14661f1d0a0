"""`pointsman forecast`: rows in, forecasts out, nothing read ahead."""

import csv
import os
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pointsman.models.forecast import SeriesForecaster
from pointsman.streams.cli import main
from pointsman.streams.series import SeriesError, read_series, seconds_of


def run(tmp_path: Path, text: str, *arguments: str) -> tuple[Result, list[dict[str, str]]]:
    """The command on a series of this text, and the rows it wrote."""
    source, output = tmp_path / "series.csv", tmp_path / "out" / "forecasts.csv"
    source.write_text(text)
    result = CliRunner().invoke(main, ["forecast", str(source), "--output", str(output), "--step", "10m", *arguments])
    return result, list(csv.DictReader(output.open())) if output.exists() else []


def grid(count: int) -> str:
    """Rows of ten minutes."""
    return "timestamp,value\n" + "".join(f"{600 * row},{row % 7}\n" for row in range(count))


def test_every_row_has_a_forecast_for_each_horizon(tmp_path: Path) -> None:
    result, rows = run(tmp_path, grid(5))
    assert result.exit_code == 0 and result.output.strip() == "5 rows"
    assert [(row["issued_at"], row["horizon_s"], row["target_time"]) for row in rows[:3]] == [
        ("0", "600", "600"),
        ("0", "3600", "3600"),
        ("0", "21600", "21600"),
    ]
    assert len(rows) == 15 and all(float(row["lower"]) <= float(row["median"]) <= float(row["upper"]) for row in rows)


def test_it_is_the_forecaster_itself(tmp_path: Path) -> None:
    _, rows = run(tmp_path, grid(30), "--horizons", "20m", "--form", "light")
    forecaster = SeriesForecaster((2,), 144, "light")
    for row, written in enumerate(rows):
        forecaster.learn_one(float(row % 7))
        assert written["median"] == f"{forecaster.forecast()[0].median:.10g}"


def test_a_longer_series_only_appends(tmp_path: Path) -> None:
    _, short = run(tmp_path, grid(40))
    _, long = run(tmp_path, grid(60))
    assert long[: len(short)] == short


@pytest.mark.parametrize(
    ("first", "target"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:10:00Z"),
        ("2024-01-01 00:00:00", "2024-01-01 00:10:00"),
        ("2024-01-01T23:55:00+02:00", "2024-01-02T00:05:00+02:00"),
        ("1704067200.5", "1704067800.5"),
    ],
)
def test_times_are_written_as_the_series_has_them(tmp_path: Path, first: str, target: str) -> None:
    _, rows = run(tmp_path, f"{first},3\n", "--horizons", "10m")
    assert (rows[0]["issued_at"], rows[0]["target_time"]) == (first, target)


def test_missing_rows_are_unknown_rows(tmp_path: Path) -> None:
    text = "".join(f"{600 * row},{row % 7}\n" for row in range(40) if row not in (20, 21))
    _, rows = run(tmp_path, text, "--horizons", "10m")
    forecaster = SeriesForecaster((1,), 144)
    for row in range(40):
        forecaster.learn_one(None if row in (20, 21) else float(row % 7))
    assert len(rows) == 38 and rows[-1]["median"] == f"{forecaster.forecast()[0].median:.10g}"


def test_a_gap_of_years_takes_no_years(tmp_path: Path) -> None:
    result, rows = run(tmp_path, "0,1\n600,2\n900000000,3\n", "--form", "light")
    assert result.exit_code == 0 and len(rows) == 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,1\n600,abc\n", "series.csv:2: 'abc' is no finite number"),
        ("0,1\n600,nan\n", "series.csv:2: 'nan' is no finite number"),
        ("0,1\nyesterday,2\n", "series.csv:2: 'yesterday' is no timestamp"),
        ("0,1\n600\n", "series.csv:2: 1 columns"),
        ("600,1\n0,2\n", "series.csv:2: 0 is not after the row before it"),
        ("600,1\n600,2\n", "series.csv:2: 600 is not after the row before it"),
        ("0,1\n100,2\n", "series.csv:2: 100 s after the row before it, less than half the step"),
        ("timestamp,value\n", "no rows"),
        ('0,1\n"600,2\n', "series.csv:2: "),
    ],
)
def test_a_bad_row_is_named_and_what_came_before_it_is_kept(tmp_path: Path, text: str, said: str) -> None:
    result, rows = run(tmp_path, text, "--horizons", "10m")
    assert result.exit_code == 2 and said in result.output and len(result.output.strip().splitlines()) == 1
    assert len(rows) == (0 if said == "no rows" else 1)


@pytest.mark.parametrize("arguments", [["--horizons", "15m"], ["--horizons", "soon"], ["--step", "2d"], ["--step", "0s"]])
def test_durations_that_do_not_fit_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    assert run(tmp_path, grid(3), *arguments)[0].exit_code == 2


def test_columns_are_found_by_name_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    source = tmp_path / "series.csv"
    source.write_text("\ufeffvalue,host,timestamp\n\n5,a,0\n")
    (row,) = read_series(source)
    assert (row.at, row.value, row.line) == (0.0, 5.0, 3)


def test_a_row_is_read_only_after_the_forecasts_of_the_one_before_it_are_written(tmp_path: Path) -> None:
    source, output = tmp_path / "pipe", tmp_path / "f.csv"
    os.mkfifo(source)
    worker = threading.Thread(target=CliRunner().invoke, args=(main, ["forecast", str(source), "--output", str(output), "--step", "10m"]), daemon=True)
    worker.start()
    with source.open("w") as pipe:
        for row in range(3):
            pipe.write(f"{600 * row},5\n")
            pipe.flush()
            while not output.exists() or len(output.read_text().splitlines()) < 1 + 3 * (row + 1):
                pass
    worker.join()
    assert len(output.read_text().splitlines()) == 10


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("1d", 86_400.0), ("2w", 1_209_600.0), ("90", 90.0)])
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_a_duration_without_sense_is_an_error() -> None:
    with pytest.raises(SeriesError, match="write 30s"):
        seconds_of("10 minutes")
