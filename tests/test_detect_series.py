"""`pointsman detect`: rows in, scores out, nothing read ahead, whatever the order of the rows."""

import csv
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pointsman.models.detector import SeriesDetector
from pointsman.streams.cli import main


def run(tmp_path: Path, text: str) -> tuple[Result, list[dict[str, str]]]:
    """The command on a series of this text, and the rows it wrote."""
    source, output = tmp_path / "series.csv", tmp_path / "out" / "scores.csv"
    source.write_text(text)
    result = CliRunner().invoke(main, ["detect", str(source), "--output", str(output)])
    return result, list(csv.DictReader(output.open())) if output.exists() else []


def grid(count: int, odd: int = -1) -> str:
    """Rows of five minutes, one of them far off."""
    return "timestamp,value\n" + "".join(f"{300 * row},{100 if row == odd else row % 12}\n" for row in range(count))


def test_every_row_has_a_score_and_the_odd_one_the_highest(tmp_path: Path) -> None:
    result, rows = run(tmp_path, grid(1000, 900))
    scores = [float(row["anomaly_score"]) for row in rows]
    assert result.exit_code == 0 and result.output == "1000 rows\n" and list(rows[0]) == ["timestamp", "value", "anomaly_score"]
    assert scores.index(max(scores)) == 900 and max(scores) > 0.5 and all(0.0 <= score <= 1.0 for score in scores)


def test_an_operator_is_told_of_the_odd_row_only(tmp_path: Path) -> None:
    source = tmp_path / "series.csv"
    source.write_text("\n".join(f"{300 * row},{500 if row == 1900 else row % 12 + 7919 * row % 13 / 3!r}" for row in range(2000)))
    command = ["detect", str(source), "--output", str(tmp_path / "s.csv"), "--alarms", str(tmp_path / "a.csv"), "--per-month", "0.5"]
    result = CliRunner().invoke(main, command)
    (row,) = csv.DictReader((tmp_path / "a.csv").open())
    assert result.output == "2000 rows, 1 alarms\n" and (row["timestamp"], row["value"]) == ("570000", "500.0")
    assert float(row["surprise"]) > 3.0 and float(row["lower"]) < float(row["expected"]) < float(row["upper"]) < 100.0


def test_it_is_the_detector_itself(tmp_path: Path) -> None:
    _, rows = run(tmp_path, grid(400, 350))
    detector = SeriesDetector()
    for row, written in enumerate(rows):
        assert written["anomaly_score"] == f"{detector.step(300.0 * row, 100.0 if row == 350 else float(row % 12)).score:.9g}"


def test_rows_that_are_missing_repeated_late_or_without_a_value_are_normal(tmp_path: Path) -> None:
    lines = ["timestamp,value", *(f"{300 * row},{row % 12 + 7919 * row % 13 / 3!r}" for row in range(600))]
    lines[300:303] = [lines[301], lines[300], lines[300], lines[302], "90000,", "90000,NaN"]
    del lines[400]
    result, rows = run(tmp_path, "\n".join(lines))
    assert result.exit_code == 0 and result.output == "602 rows, 2 without a value\n" and len(rows) == 602
    assert {row["anomaly_score"] for row in rows if not row["value"]} == {"0"} and max(float(row["anomaly_score"]) for row in rows) < 0.5


@pytest.mark.parametrize("text", ["0,5\n", "".join(f"{row},0\n" for row in range(300)), "0,0\n300,1e300\n600,-1e300\n900,1e-300\n"])
def test_one_row_all_zeros_and_huge_values_are_scored(tmp_path: Path, text: str) -> None:
    result, rows = run(tmp_path, text)
    assert result.exit_code == 0 and len(rows) == len(text.splitlines()) and all(0.0 <= float(row["anomaly_score"]) <= 1.0 for row in rows)


def scored(tmp_path: Path, values: list[float], start: float = 0.0) -> list[float]:
    """The scores that the command writes for values five minutes apart."""
    result, rows = run(tmp_path, "".join(f"{start + 300 * row!r},{value!r}\n" for row, value in enumerate(values)))
    assert result.exit_code == 0 and len(rows) == len(values)
    return [float(row["anomaly_score"]) for row in rows]


def noisy(count: int, seed: int = 2) -> list[float]:
    """Values about ten, without a season."""
    dice = random.Random(seed)
    return [dice.gauss(10.0, 1.0) for _ in range(count)]


def test_each_rare_dip_of_a_near_constant_availability_is_told_and_nothing_else(tmp_path: Path) -> None:
    dips = (1000, 1400, 1800)
    scores = scored(tmp_path, [99.0 if row in dips else 99.95 for row in range(2000)])
    assert [row for row, score in enumerate(scores) if score > 0.5] == list(dips)


@pytest.mark.parametrize("value", [0.0, 7.0, 99.95, 1e-300, -1e300])
def test_equal_values_are_no_anomaly(tmp_path: Path, value: float) -> None:
    assert max(scored(tmp_path, [value] * 1000)) < 0.1


@pytest.mark.parametrize("far", [1e6, -1e300])
def test_one_value_far_off_does_not_hide_the_next_anomaly(tmp_path: Path, far: float) -> None:
    values = noisy(2000)
    values[1000], values[1500] = far, 40.0
    scores = scored(tmp_path, values)
    assert scores[1000] > 0.9 and scores[1500] > 0.5


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_an_anomaly_after_zeros_at_the_start_is_told_in_any_unit(tmp_path: Path, scale: float) -> None:
    values = [0.0] * 700 + [scale * value for value in noisy(1500)]
    values[1800] = 40.0 * scale
    scores = scored(tmp_path, values)
    assert scores[700] > 0.5 and scores[1800] > 0.5 and sum(score > 0.5 for score in scores) <= 5


def test_a_shift_in_time_that_is_no_multiple_of_a_bin_changes_nothing(tmp_path: Path) -> None:
    assert scored(tmp_path, noisy(800)) == pytest.approx(scored(tmp_path, noisy(800), start=1_700_000_123.0), abs=1e-6)


def test_a_series_comes_from_a_pipe(tmp_path: Path) -> None:
    output = tmp_path / "s.csv"
    command = [sys.executable, "-m", "pointsman.streams.cli", "detect", "-", "--output", str(output)]
    done = subprocess.run(command, input="timestamp,value\n0,1\n300,2\n", text=True, capture_output=True, timeout=60, check=True)
    assert done.stdout == "2 rows\n" and output.read_text() == "timestamp,value,anomaly_score\n0,1.0,0\n300,2.0,0\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,1\n600,abc\n", "series.csv:2: 'abc' is no finite number"),
        ("0,1\n600,inf\n", "series.csv:2: 'inf' is no finite number"),
        ("0,1\nyesterday,2\n", "series.csv:2: 'yesterday' is no timestamp"),
        ("0,1\n600\n", "series.csv:2: 1 columns"),
        ("timestamp,value\n", "no rows"),
    ],
)
def test_a_bad_row_is_named_and_what_came_before_it_is_kept(tmp_path: Path, text: str, said: str) -> None:
    result, rows = run(tmp_path, text)
    assert result.exit_code == 2 and said in result.output and len(result.output.strip().splitlines()) == 1
    assert len(rows) == (0 if said == "no rows" else 1)


def test_a_row_is_read_only_after_the_score_of_the_one_before_it_is_written(tmp_path: Path) -> None:
    source, output = tmp_path / "pipe", tmp_path / "s.csv"
    os.mkfifo(source)
    worker = threading.Thread(target=CliRunner().invoke, args=(main, ["detect", str(source), "--output", str(output)]), daemon=True)
    worker.start()
    with source.open("w") as pipe:
        for row in range(3):
            pipe.write(f"{600 * row},5\n")
            pipe.flush()
            while not output.exists() or len(output.read_text().splitlines()) < 2 + row:
                pass
    worker.join()
    assert len(output.read_text().splitlines()) == 4
