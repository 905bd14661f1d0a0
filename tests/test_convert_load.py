"""A recorded rate series as requests: as many as the rates say, at the same places every time; and forecasts and scaling advice from their replay."""

import gzip
import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from pointsman.schemas import decode_output
from pointsman.streams.cli import main
from pointsman.streams.convert_load import BEGINNING, Row, convert_load, read_rates
from pointsman.streams.series import SeriesError

DAY = [Row(BEGINNING + 600.0 * n, 100.0 + 80.0 * math.sin(math.tau * n / 144)) for n in range(144)]


def series(folder: Path, text: str) -> Path:
    path = folder / "series.csv"
    path.write_text(text)
    return path


def test_a_row_gets_its_share_of_the_requests_and_remainders_add_up() -> None:
    rows = [Row(1e9, 1.0), Row(1e9 + 60.0, 2.0), Row(1e9 + 120.0, 0.0), Row(1e9 + 180.0, 3.0)]
    starts = [event["occurred_at"] - 1e9 for event in convert_load(rows, 2.5, 1.0) if event["type"] == "request.started/1"]
    assert [sum(60.0 * n <= at < 60.0 * (n + 1) for at in starts) for n in range(4)] == [1, 4, 0, 5]


def test_events_come_in_the_order_of_their_times_and_the_same_every_time() -> None:
    events = list(convert_load(DAY[:20], 20.0, 300.0))
    assert [event["occurred_at"] for event in events] == sorted(event["occurred_at"] for event in events)
    assert len(events) == 2 * sum(event["type"] == "request.completed/1" for event in events)
    assert events == list(convert_load(DAY[:20], 20.0, 300.0))
    assert events != list(convert_load(DAY[:20], 20.0, 300.0, seed=1))


def test_latencies_are_as_asked_on_the_mean() -> None:
    latencies = [event["latency_ms"] for event in convert_load(DAY, 20.0, 30.0) if event["type"] == "request.completed/1"]
    assert sum(latencies) / len(latencies) == pytest.approx(30_000.0, rel=0.03)


def test_a_column_is_chosen_by_name_and_times_from_zero_begin_with_2024(tmp_path: Path) -> None:
    path = series(tmp_path, "t,one,two\n0,1,10\n600,2,20\n")
    assert read_rates(path, "two") == [Row(BEGINNING, 10.0), Row(BEGINNING + 600.0, 20.0)]
    assert read_rates(path, None)[1].rate == 2.0


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("t,v\n0,1\n600,2\n", "w", "no column 'w': choose one of v"),
        ("t,v\n0,1\n0,2\n", None, "series.csv:3: not after the row before it"),
        ("t,v\n0,1\n600,-2\n", None, "series.csv:3: '-2' is no rate"),
        ("t,v\n0,1\n600,x\n", None, "series.csv:3: no time and rate in it"),
        ("t,v\n0,1\n", None, "fewer than two rows"),
    ],
)
def test_a_series_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, text: str, column: str | None, said: str) -> None:
    with pytest.raises(SeriesError, match=said.replace("(", r"\(")):
        read_rates(series(tmp_path, text), column)


def test_forecasts_and_scaling_advice_come_out_of_the_replay_of_a_load(tmp_path: Path) -> None:
    path = series(tmp_path, "timestamp,value\n" + "".join(f"{row.at},{row.rate}\n" for row in DAY))
    recording, output, config = tmp_path / "r.jsonl.gz", tmp_path / "o.jsonl", tmp_path / "c.toml"
    config.write_text('[[tracks]]\nname = "local"\n[[scaling]]\ntrack = "local"\nunit = "concurrency"\n')
    run = CliRunner().invoke(main, ["convert", "load", str(path), "--output", str(recording), "--requests-per-row", "3", "--latency", "600"])
    assert run.output == "864 events\n"
    assert len(gzip.decompress(recording.read_bytes()).splitlines()) == 864
    assert CliRunner().invoke(main, ["replay", str(recording), "--output", str(output), "--config", str(config)]).exit_code == 0
    kinds = [json.loads(line)["type"] for line in output.read_bytes().splitlines()]
    assert kinds.count("forecast.issued/1") > 4000
    assert 5 < kinds.count("scaling.recommended/1") < 288
    assert 21 <= kinds.count("scaling.scored/1") <= 24
    assert all(decode_output(line) for line in output.read_bytes().splitlines()[-20:])
