"""`pointsman simulate`: a recording, published as if it happened."""

from pathlib import Path

import click

from .cli_options import CONFIG, INPUT, KAFKA, PREFIX, SET, kafka_of, settings_of


@click.command()
@click.argument("recording", type=INPUT)
@KAFKA
@PREFIX
@CONFIG
@SET
@click.option("--http", metavar="URL", help="Post to /v1/events there instead, with POINTSMAN_TOKEN or token of the settings.")
@click.option("--speed", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Event time over wall time; 0 is as fast as possible.")
@click.option("--by-type", is_flag=True, help="Each type to its own topic; order across types is then not kept.")
@click.option("--now", is_flag=True, help="Move the recording in time, so that it begins at this moment.")
def simulate(
    recording: Path,
    kafka: str | None,
    prefix: str | None,
    config: Path | None,
    flags: tuple[str, ...],
    http: str | None,
    speed: float,
    by_type: bool,
    now: bool,
) -> None:
    """Publish a recording to Kafka, or over HTTP, as if it happened."""
    from . import simulate as simulator

    if kafka is not None and http is not None:
        raise click.UsageError("give one of --kafka and --http")
    if http is not None:
        token = settings_of(config, flags).token
        count = simulator.simulate_http(recording, http, speed=speed, now=now, token=token.get_secret_value() if token is not None else None)
    else:
        count = simulator.simulate_kafka(recording, kafka_of(config, flags, kafka, prefix), speed=speed, by_type=by_type, now=now)
    click.echo(f"{count} events published")
