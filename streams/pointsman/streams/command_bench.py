"""`pointsman bench`: the figures of this machine."""

from importlib import import_module
from pathlib import Path

import click

from .cli_options import FILE


@click.command()
@click.option("--output", type=FILE, help="The figures as JSON.")
def bench(output: Path | None) -> None:
    """Measure throughput, decision time and state size on this machine."""
    import_module("pointsman.streams.bench").main(output)
