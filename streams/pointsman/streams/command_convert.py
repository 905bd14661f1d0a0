"""`pointsman convert`: recordings from measurements."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from .cli_errors import failure
from .cli_group import Group
from .cli_options import CONFIG, FILE, INPUT, SET, settings_of


@click.group(cls=Group)
def convert() -> None:
    """Make recordings from measurements: the demo's anew, or one of your own load."""


@convert.command()
@click.argument("vllm", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("endpoint", type=INPUT)
@click.option("--output", type=FILE, required=True, help="The recording to write; .gz and .zst are compressed.")
def latency(vllm: Path, endpoint: Path, output: Path) -> None:
    """A vLLM server (folder VLLM) and a hosted endpoint (file ENDPOINT), side by side."""
    from .convert import convert as convert_latency

    _write(convert_latency(vllm, endpoint), f"{vllm} or {endpoint}", output)


@convert.command()
@click.argument("prompts", type=INPUT)
@click.option("--output", type=FILE, required=True, help="The recording to write; .gz and .zst are compressed.")
@click.option("--count", type=click.IntRange(min=1), default=900, show_default=True, help="How many prompts.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw of prompts, their order and the logged choices.")
def routing(prompts: Path, output: Path, count: int, seed: int) -> None:
    """Prompts that every model answered (ParetoBandit's val.jsonl.gz); the texts are sketched and dropped."""
    from .convert_routing import convert_routing

    with _shaped(prompts):
        events = convert_routing(prompts, count, seed)
    _write(events, prompts, output)


@convert.command()
@click.argument("series", type=INPUT)
@click.option("--output", type=FILE, required=True, help="The recording to write; .gz and .zst are compressed.")
@click.option("--requests-per-row", type=click.FloatRange(min=0, min_open=True), required=True, help="How many requests the mean row becomes.")
@click.option("--column", help="Which column has the rates; the second unless told.")
@click.option("--latency", "latency_s", type=click.FloatRange(min=0, min_open=True), default=20.0, show_default=True, help="Mean latency in seconds.")
@click.option("--rows", type=click.IntRange(min=2), help="Only the first so many rows.")
@click.option("--track", default="local", show_default=True, help="The track that serves every request.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the places of the arrivals in their row, and of the lengths.")
def load(series: Path, output: Path, requests_per_row: float, column: str | None, latency_s: float, rows: int | None, track: str, seed: int) -> None:
    """A recorded series of rates (SERIES, timestamp and value) as requests that arrive in proportion to it; lengths and latencies are drawn."""
    from .convert_load import convert_load, read_rates

    _write(convert_load(read_rates(series, column)[:rows], requests_per_row, latency_s, track, seed), series, output)


@convert.command()
@click.argument("source", type=FILE, metavar="FILE")
@click.option("--output", type=FILE, required=True, help="The recording to write; .gz and .zst are compressed.")
@click.option("--rejected", type=FILE, help="Dead letters, where there are any; OUTPUT with .rejected.jsonl unless told.")
@CONFIG
@SET
def otel(source: Path, output: Path, rejected: Path | None, config: Path | None, flags: tuple[str, ...]) -> None:
    """GenAI spans in a file of OTLP JSON lines, as the OpenTelemetry Collector's file exporter writes it, in the order of their times."""
    from .convert_otel import convert_otel
    from .replay import rejected_beside

    click.echo(str(convert_otel(source, output, rejected or rejected_beside(output), settings_of(config, flags).otel)))


def _write(events: Iterable[dict[str, Any]], source: object, output: Path) -> None:
    from .recording import open_write

    count = 0
    with _shaped(source), open_write(output) as file:
        for event in events:
            file.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
            count += 1
    click.echo(f"{count} events")


@contextmanager
def _shaped(source: object) -> Iterator[None]:
    try:
        yield
    except (json.JSONDecodeError, LookupError, TypeError, AttributeError) as error:
        raise failure(f"{source}: not the measurements that this converts ({error!r}); see `pointsman convert --help`") from error
