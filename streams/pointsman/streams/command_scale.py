"""`pointsman scale`: how much capacity to have, row by row."""

from pathlib import Path
from typing import Literal

import click

from .cli_options import FILE, INPUT


@click.command()
@click.argument("series", type=INPUT, metavar="SERIES.csv")
@click.option("--step", required=True, help="From one row to the next, for example 10m.")
@click.option("--start-delay", required=True, help="From deciding to having, for example 10m; rounded up to whole steps.")
@click.option("--output", type=FILE, required=True, help="timestamp,capacity: decided at the timestamp, there after the delay.")
@click.option("--unserved", type=click.FloatRange(0, 0.5, min_open=True, max_open=True), default=0.01, show_default=True, help="Share of the demand.")
@click.option("--cooldown", default="10m", show_default=True, help="How long after a change nothing is lowered.")
@click.option("--minimum", type=click.FloatRange(min=0), default=0.0, show_default=True, help="In the units of the series.")
@click.option("--maximum", type=click.FloatRange(min=0), help="In the units of the series; none unless told.")
@click.option("--form", type=click.Choice(["full", "light"]), default="full", show_default=True, help="Of the forecaster.")
def scale(
    series: Path,
    step: str,
    start_delay: str,
    output: Path,
    unserved: float,
    cooldown: str,
    minimum: float,
    maximum: float | None,
    form: Literal["full", "light"],
) -> None:
    """Say, row by row, how much capacity to have after the start delay so that only a share of the demand is unserved.

    SERIES.csv is timestamp,value: demand, in any unit. A row is read only after the output for the earlier ones is written.
    """
    from .scale_series import scale_series

    limits = (minimum, float("inf") if maximum is None else maximum)
    click.echo(scale_series(series, output, step, start_delay, unserved=unserved, cooldown=cooldown, limits=limits, form=form))
