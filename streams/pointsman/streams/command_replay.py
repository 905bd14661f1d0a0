"""`pointsman replay`: recorded events, folded."""

from pathlib import Path

import click

from .cli_options import CONFIG, FILE, PLACE, SET, kafka_of, optimization_of, settings_of


@click.command()
@click.argument("source", metavar="IN", type=PLACE)
@click.option("--output", type=FILE, required=True, help="Output events, JSON lines; .gz and .zst are compressed.")
@CONFIG
@SET
@click.option("--rejected", type=FILE, help="Dead letters; OUT with .rejected.jsonl unless told.")
@click.option("--summary", type=FILE, help="The summary as JSON.")
@click.option("--state", type=FILE, help="Start from the state there, if any, and leave the state at the end.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="Event time over wall time; as fast as possible unless told.")
@click.option("--from-database", is_flag=True, help="IN is the database of an embedded optimizer (seen by itself, too).")
def replay(
    source: str,
    output: Path,
    config: Path | None,
    flags: tuple[str, ...],
    rejected: Path | None,
    summary: Path | None,
    state: Path | None,
    speed: float | None,
    from_database: bool,
) -> None:
    """Fold recorded events and write every output.

    IN is JSON lines (.gz, .zst), the database of an embedded optimizer, or a journal partition on Kafka:
    kafka://host:9092/pointsman.journal?partition=0&from=0&to=100, with TLS and SASL by the settings; kafka:///TOPIC asks their brokers.
    """
    from .replay import replay_file, stored_config

    own = None if config or flags else stored_config(source)
    result = replay_file(
        source,
        output,
        config=own or optimization_of(config, flags),
        rejected=rejected,
        summary=summary,
        state=state,
        speed=speed,
        database=from_database,
        kafka=kafka_of(config, flags) if source.startswith("kafka://") else None,
        progress=True,
        operator=settings_of(config, flags).operator.scope,
    )
    click.echo(str(result))
