"""Files of OTLP JSON lines become recordings."""

import gzip
from pathlib import Path

from click.testing import CliRunner
from spans import as_json, export, many, span

from pointsman.schemas import OptimizationConfig, decode
from pointsman.streams.cli import main
from pointsman.streams.replay import replay_file


def run(*arguments: object) -> str:
    """What the command says, which must succeed."""
    result = CliRunner().invoke(main, ["convert", "otel", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_lines_become_events_in_the_order_of_their_times_and_can_be_replayed(tmp_path: Path) -> None:
    source, output = tmp_path / "spans.jsonl.gz", tmp_path / "recording.jsonl"
    late, early = export(*many(5, first=10), first=100), export(*many(5))
    source.write_bytes(gzip.compress(as_json(late) + b"\n\n" + as_json(early) + b"\n"))
    assert run(source, "--output", output) == "20 events, 0 rejected; 10 requests"
    times = [decode(line).occurred_at for line in output.read_bytes().splitlines()]
    assert times == sorted(times) and not (tmp_path / "recording.rejected.jsonl").exists()
    assert replay_file(str(output), tmp_path / "out.jsonl", config=OptimizationConfig()).rejected == 0


def test_a_line_that_is_none_is_a_dead_letter_with_its_number(tmp_path: Path) -> None:
    source, output = tmp_path / "spans.jsonl", tmp_path / "recording.jsonl"
    source.write_bytes(as_json(export(span())) + b"\n{secret\n" + as_json(export(span({"http.request.method": "GET"}))) + b"\n")
    assert run(source, "--output", output) == "2 events, 1 rejected; 1 malformed_otlp; 1 not_genai; 1 requests"
    letters = (tmp_path / "recording.rejected.jsonl").read_text()
    assert '"place":"spans.jsonl:2"' in letters and "secret" not in letters


def test_settings_name_tracks(tmp_path: Path) -> None:
    source, output, config = tmp_path / "spans.jsonl", tmp_path / "recording.jsonl", tmp_path / "pointsman.toml"
    source.write_bytes(as_json(export(span())))
    config.write_text('[[otel.tracks]]\ntrack = "api"\nprovider = "openai"\n')
    run(source, "--output", output, "--config", config)
    assert output.read_bytes().count(b'"track":"api"') == 2
