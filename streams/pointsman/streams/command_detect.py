"""`pointsman detect`: a series, scored row by row."""

from pathlib import Path

import click

from .cli_options import FILE


@click.command()
@click.argument("series", type=FILE)
@click.option("--output", type=FILE, required=True, help="The scores, CSV.")
@click.option("--alarms", type=FILE, help="The rows that an operator is told of, CSV, with what had been expected and what gives them away.")
@click.option("--per-month", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, help="False alarms to expect a month.")
def detect(series: Path, output: Path, alarms: Path | None, per_month: float) -> None:
    """Score a series: after every row how anomalous it is, 0 to 1.

    SERIES is CSV, timestamp,value (epoch seconds or ISO 8601), or - for what a pipe brings; a row is read only once the score of the one before it is
    written. Rows may be missing, come twice or late; a row without a value has the score 0. The output is timestamp,value,anomaly_score, one row each.
    """
    from .detect_series import detect_series

    found = detect_series(Path("/dev/stdin") if str(series) == "-" else series, output, alarms, per_month)
    missing = f", {found.missing} without a value" if found.missing else ""
    click.echo(f"{found.rows} rows{missing}" + (f", {found.alarms} alarms" if alarms is not None else ""))
