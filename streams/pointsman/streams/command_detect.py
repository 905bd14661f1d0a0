"""`pointsman detect`: a series, scored row by row."""

from pathlib import Path

import click

from .cli_options import FILE


@click.command()
@click.argument("series", type=FILE)
@click.option("--output", type=FILE, required=True, help="The scores, CSV.")
def detect(series: Path, output: Path) -> None:
    """Score a series: after every row how anomalous it is, 0 to 1.

    SERIES is CSV, timestamp,value (epoch seconds or ISO 8601); a row is read only once the score of the one before it is written. Rows may be missing,
    come twice or late; a row without a value has the score 0. The output is timestamp,value,anomaly_score, one row each.
    """
    from .detect_series import detect_series

    rows, missing = detect_series(series, output)
    click.echo(f"{rows} rows" + (f", {missing} without a value" if missing else ""))
