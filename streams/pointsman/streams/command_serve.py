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
@click.option("--fault", metavar="KIND", help="Of the demo: latency, errors, throttled, ...; something goes wrong towards the end, and an incident says what.")
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
    fault: str | None,
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
    if fault is not None and not demo:
        raise click.UsageError("--fault is the demo's: give --demo as well, or use `pointsman inject` for recordings of your own")
    settings = settings_of(config, flags)
    if demo:
        from .demo_fault import DEMO_FAULTS
        from .serve_demo import run_demo

        if fault is not None and fault not in DEMO_FAULTS:
            raise click.UsageError(f"--fault {fault}: give one of {', '.join(DEMO_FAULTS)}")
        run_demo(database, settings, speed, fault, host=host, port=port, say=click.echo)
    elif database is not None:
        with explaining(database):
            run(database, settings, has_config=bool(config or flags), host=host, port=port, say=click.echo)
    else:
        run_kafka(settings.model_copy(update={"kafka": kafka_of(config, flags, kafka, prefix)}), host=host, port=port, say=click.echo)
