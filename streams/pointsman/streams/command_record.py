"""`pointsman record`: the journal as a file."""

from pathlib import Path

import click

from .cli_options import CONFIG, FILE, KAFKA, PREFIX, SET, kafka_of


@click.command()
@click.option("--output", type=FILE, required=True, help="The recording to write; .gz and .zst are compressed.")
@click.option("--database", type=FILE, help="The database of an embedded optimizer, instead of Kafka.")
@KAFKA
@PREFIX
@CONFIG
@SET
@click.option("--until-idle", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Stop when nothing came for so many seconds.")
def record(
    output: Path, database: Path | None, kafka: str | None, prefix: str | None, config: Path | None, flags: tuple[str, ...], until_idle: float | None
) -> None:
    """Write the journal, on Kafka or of an embedded optimizer, to a file, in order."""
    from . import record as recorder

    if database is not None and kafka is not None:
        raise click.UsageError("give one of --database and --kafka")
    if database is not None:
        count = recorder.record_database(database, output)
    else:
        count = recorder.record_kafka(kafka_of(config, flags, kafka, prefix), output, until_idle=until_idle)
    click.echo(f"{count} events" if count >= 0 else "interrupted")
