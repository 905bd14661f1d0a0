"""`pointsman serve`: the embedded optimizer, or a deployment on Kafka, behind HTTP."""

from pathlib import Path

import click

from .cli_options import CONFIG, FILE, PREFIX, SET, kafka_of, settings_of


@click.command()
@click.option(
    "--database", type=FILE, help="The database to work on; made where there is none. A demo has one of its own, for as long as it runs, unless told."
)
@click.option("--kafka", metavar="BOOTSTRAP", help="Brokers, host:port[,host:port], of a deployment with workers, instead of a database.")
@PREFIX
@click.option("--host", help="What to listen on; serve.host of the settings (127.0.0.1) unless told. Elsewhere than on loopback give a token.")
@click.option("--port", type=click.IntRange(0, 65_535), help="serve.port of the settings (8080) unless told; 0 takes a free one.")
@click.option("--demo", is_flag=True, help="Play the demo's recorded traffic into a new database, with the demo's tracks.")
@click.option("--speed", type=click.FloatRange(min=0, max=10_000), help="Of the demo, times what it was; 15 unless told, 0 as fast as the machine can.")
@CONFIG
@SET
def serve(
    database: Path | None,
    kafka: str | None,
    prefix: str | None,
    host: str | None,
    port: int | None,
    demo: bool,
    speed: float | None,
    config: Path | None,
    flags: tuple[str, ...],
) -> None:
    """Serve the embedded optimizer, or a deployment on Kafka, over HTTP, until SIGTERM.

    Everything but the page's own files, /health and /ready asks for a token: POINTSMAN_TOKEN, or token of the settings; where there is none, one is made and
    shown here.
    """
    from .journal import explaining
    from .serve import run, run_kafka

    if sum((database is not None or demo, kafka is not None)) != 1:
        raise click.UsageError("give --database FILE, --kafka BOOTSTRAP, or --demo for recorded traffic")
    if speed is not None and not demo:
        raise click.UsageError("--speed is the demo's: give --demo as well")
    settings = settings_of(config, flags)
    if demo:
        from .serve_demo import run_demo

        run_demo(database, settings, speed, host=host, port=port, say=click.echo)
    elif database is not None:
        with explaining(database):
            run(database, settings, has_config=bool(config or flags), host=host, port=port, say=click.echo)
    else:
        run_kafka(settings.model_copy(update={"kafka": kafka_of(config, flags, kafka, prefix)}), host=host, port=port, say=click.echo)
