"""`pointsman scaler`: the scaling advice for KEDA and Prometheus."""

from pathlib import Path

import click

from .cli_options import CONFIG, PLACE, PREFIX, SET, kafka_of


@click.command()
@click.argument("place", type=PLACE)
@PREFIX
@CONFIG
@SET
@click.option("--host", default="127.0.0.1", show_default=True, help="What to listen on; 0.0.0.0 in a container.")
@click.option("--port", type=click.IntRange(0, 65_535), default=6000, show_default=True, help="Of the gRPC service; 0 takes a free one.")
@click.option("--metrics-port", type=click.IntRange(0, 65_535), help="Serve Prometheus gauges there, too.")
@click.option("--stale", default="15m", show_default=True, help="How long advice stands when nothing more is heard.")
def scaler(place: str, prefix: str | None, config: Path | None, flags: tuple[str, ...], host: str, port: int, metrics_port: int | None, stale: str) -> None:
    """Answer KEDA with the scaling advice, over gRPC, until SIGTERM.

    PLACE is kafka://host:port, the database of an embedded optimizer, or the outputs of a replay (as fresh as their end).
    """
    import asyncio

    from .scaler import seconds, serve

    kafka = kafka_of(config, flags, prefix=prefix)
    asyncio.run(serve(place, kafka, say=click.echo, host=host, port=port, metrics_port=metrics_port, stale_s=seconds(stale)))
