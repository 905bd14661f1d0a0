"""`pointsman scale`: a row of capacity for a row of demand, nothing read ahead."""

import csv
import itertools
import math
import os
import re
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pointsman.streams.cli import main
from pointsman.streams.scale_series import scale_series


def values(rows: int, factor: float = 1.0) -> list[float]:
    """A load with a day in it."""
    return [factor * 100.0 * (2.0 + math.sin(place / 23.0) + 0.2 * math.sin(1.7 * place)) for place in range(rows)]


def written(path: Path, series: list[float], step: int = 600) -> Path:
    path.write_text("timestamp,value\n" + "".join(f"{step * place},{value!r}\n" for place, value in enumerate(series)))
    return path


def scale(source: Path, output: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["scale", str(source), "--step", "10m", "--start-delay", "10m", "--output", str(output), *more])


def capacities(path: Path) -> list[float]:
    with path.open() as file:
        return [float(row["capacity"]) for row in csv.DictReader(file)]


def test_every_row_gets_a_capacity_and_the_end_says_what_it_was_worth(tmp_path: Path) -> None:
    result = scale(written(tmp_path / "in.csv", values(300)), tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "timestamp,capacity" and [line.split(",")[0] for line in lines[1:]] == [str(600 * place) for place in range(300)]
    assert re.fullmatch(r"299 rows served: \d\.\d\d % unserved \(target 1 %\), \d+\.\d % over-provisioned, \d+\.\d changes a day", result.output.strip())


def test_a_longer_series_only_appends(tmp_path: Path) -> None:
    series = values(260)
    scale(written(tmp_path / "a.csv", series[:200]), tmp_path / "a.out")
    scale(written(tmp_path / "b.csv", series), tmp_path / "b.out")
    assert (tmp_path / "b.out").read_text().startswith((tmp_path / "a.out").read_text())


def test_a_row_is_read_only_after_the_output_for_the_earlier_ones(tmp_path: Path) -> None:
    pipe, output = tmp_path / "in.csv", tmp_path / "out.csv"
    os.mkfifo(pipe)
    settings = {"unserved": 0.01, "cooldown": "10m", "limits": (0.0, math.inf)}
    reading = threading.Thread(target=scale_series, args=(pipe, output, "10m", "10m"), kwargs=settings, daemon=True)
    reading.start()
    deadline = time.monotonic() + 20.0
    with pipe.open("w") as file:
        for place in range(5):
            file.write(f"{600 * place},{100 + place}\n")
            file.flush()
            while not output.exists() or output.read_text().count("\n") < place + 2:
                assert time.monotonic() < deadline
    reading.join(20.0)
    assert len(capacities(output)) == 5


def test_the_unit_does_not_matter(tmp_path: Path) -> None:
    scale(written(tmp_path / "a.csv", values(200)), tmp_path / "a.out")
    scale(written(tmp_path / "b.csv", values(200, 1000.0)), tmp_path / "b.out")
    assert capacities(tmp_path / "b.out") == pytest.approx([1000.0 * one for one in capacities(tmp_path / "a.out")], rel=1e-4)


def test_minimum_and_maximum_are_kept(tmp_path: Path) -> None:
    scale(written(tmp_path / "in.csv", values(200)), tmp_path / "out.csv", "--minimum", "150", "--maximum", "220")
    found = capacities(tmp_path / "out.csv")
    assert min(found) == 150.0 and max(found) == 220.0


def test_a_longer_cooldown_changes_less_often(tmp_path: Path) -> None:
    source = written(tmp_path / "in.csv", values(400))
    changes = []
    for cooldown in ("10m", "2h"):
        scale(source, tmp_path / "out.csv", "--cooldown", cooldown)
        found = capacities(tmp_path / "out.csv")
        changes.append(sum(one != other for one, other in itertools.pairwise(found)))
    assert changes[1] < 0.7 * changes[0]


def test_a_stricter_target_has_more_capacity(tmp_path: Path) -> None:
    source = written(tmp_path / "in.csv", values(400))
    totals = []
    for target in ("0.05", "0.005"):
        scale(source, tmp_path / "out.csv", "--unserved", target)
        totals.append(sum(capacities(tmp_path / "out.csv")))
    assert totals[0] < totals[1]


def test_rows_that_are_missing_are_passed_over(tmp_path: Path) -> None:
    series = values(200)
    source = tmp_path / "in.csv"
    source.write_text("".join(f"{600 * place},{value!r}\n" for place, value in enumerate(series) if not 100 <= place < 130))
    assert scale(source, tmp_path / "out.csv").exit_code == 0
    assert len(capacities(tmp_path / "out.csv")) == 170


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--minimum", "5", "--maximum", "4"), "minimum 5 is above maximum 4"),
        (("--step", "0"), "the step 0 is not between 0 and a day"),
        (("--start-delay", "soon"), "'soon' is no duration"),
        (("--start-delay", "2d"), "the start delay 2d is not between 0 and a day"),
        (("--unserved", "0"), "--unserved"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(more: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = scale(written(tmp_path / "in.csv", values(3)), tmp_path / "out.csv", *more)
    assert result.exit_code == 2 and said in result.output


def test_a_series_without_rows_is_an_error(tmp_path: Path) -> None:
    result = scale(written(tmp_path / "in.csv", []), tmp_path / "out.csv")
    assert result.exit_code == 2 and "too short" in result.output


def test_the_series_is_not_written_over(tmp_path: Path) -> None:
    source = written(tmp_path / "in.csv", values(3))
    assert scale(source, source).exit_code == 2 and len(source.read_text().splitlines()) == 4
