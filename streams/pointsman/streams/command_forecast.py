"""`pointsman forecast`: a series, forecast row by row."""

from pathlib import Path

import click

from .cli_options import FILE, INPUT


@click.command()
@click.argument("series", type=INPUT)
@click.option("--output", type=FILE, required=True, help="The forecasts, CSV.")
@click.option("--step", required=True, metavar="DURATION", help="The time between rows, for example 10m.")
@click.option("--horizons", default="10m,1h,6h", show_default=True, metavar="DURATION,...", help="How far ahead; whole numbers of steps.")
@click.option("--form", type=click.Choice(("full", "light")), default="full", show_default=True, help="The most accurate one, or one of a fifth of the size.")
def forecast(series: Path, output: Path, step: str, horizons: str, form: str) -> None:
    """Forecast a series: after every row a median and a 90 % interval for each horizon.

    SERIES is CSV, timestamp,value (epoch seconds or ISO 8601), in order of time; a row is read only once the forecasts after the earlier ones are written.
    Rows that are missing are carried over. The output is issued_at,horizon_s,target_time,median,lower,upper, times as the series has them.
    """
    from .forecast_series import forecast_series

    count = forecast_series(series, output, step, horizons.split(","), "light" if form == "light" else "full")
    click.echo(f"{count} rows")
