"""`pointsman alertmanager`: alerts for Alertmanager."""

from pathlib import Path

import click

from .cli_options import CONFIG, PREFIX, SET, kafka_of, settings_of


@click.command()
@click.argument("place")
@click.option(
    "--url", "urls", multiple=True, help="An Alertmanager, http://127.0.0.1:9093; once for each of a cluster. alertmanager.urls of the settings unless told."
)
@PREFIX
@CONFIG
@SET
def alertmanager(place: str, urls: tuple[str, ...], prefix: str | None, config: Path | None, flags: tuple[str, ...]) -> None:
    """Tell Alertmanager which alerts stand, until SIGTERM.

    PLACE is kafka://host:port, the database of an embedded optimizer, or http://host:port of a pointsman serve, whose token is in POINTSMAN_TOKEN.
    """
    import asyncio
    import json

    from .alertmanager import tell

    named = (f"alertmanager.urls={json.dumps(urls)}",) if urls else ()
    settings = settings_of(config, (*flags, *named))
    asyncio.run(tell(place, settings.model_copy(update={"kafka": kafka_of(config, flags, prefix=prefix)}), say=click.echo))
