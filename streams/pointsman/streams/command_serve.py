"""`pointsman serve`: the embedded optimizer, or a deployment on Kafka, over HTTP."""

from pathlib import Path

import click

from .cli_options import CONFIG, FILE, PREFIX, SET, kafka_of, settings_of


@click.command()
@click.option("--database", type=FILE, help="The database to work on; made where there is none.")
@click.option("--kafka", metavar="BOOTSTRAP", help="Brokers, host:port[,host:port], of a deployment with workers, instead of a database.")
@PREFIX
@click.option("--host", help="What to listen on; serve.host of the settings (127.0.0.1) unless told. Elsewhere than on loopback give a token.")
@click.option("--port", type=click.IntRange(0, 65_535), help="serve.port of the settings (8080) unless told; 0 takes a free one.")
@CONFIG
@SET
def serve(
    database: Path | None, kafka: str | None, prefix: str | None, host: str | None, port: int | None, config: Path | None, flags: tuple[str, ...]
) -> None:
    """Serve the embedded optimizer, or a deployment on Kafka, over HTTP, until SIGTERM.

    Everything but /health and /ready asks for a token: POINTSMAN_TOKEN, or token of the settings; where there is none, one is made and shown here.
    """
    from .serve import run, run_kafka

    if (database is None) == (kafka is None):
        raise click.UsageError("give one of --database and --kafka")
    settings = settings_of(config, flags)
    if database is None:
        run_kafka(settings.model_copy(update={"kafka": kafka_of(config, flags, kafka, prefix)}), host=host, port=port, say=click.echo)
    else:
        run(database, settings, has_config=bool(config or flags), host=host, port=port, say=click.echo)
