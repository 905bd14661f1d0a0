"""`pointsman serve`: the embedded optimizer over HTTP."""

from pathlib import Path

import click

from .cli_options import CONFIG, FILE, SET, settings_of


@click.command()
@click.option("--database", type=FILE, required=True, help="The database to work on; made where there is none.")
@click.option("--host", help="What to listen on; serve.host of the settings (127.0.0.1) unless told. Elsewhere than on loopback give a token.")
@click.option("--port", type=click.IntRange(0, 65_535), help="serve.port of the settings (8080) unless told; 0 takes a free one.")
@CONFIG
@SET
def serve(database: Path, host: str | None, port: int | None, config: Path | None, flags: tuple[str, ...]) -> None:
    """Serve the embedded optimizer over HTTP, until SIGTERM.

    Everything but /health and /ready asks for a token: POINTSMAN_TOKEN, or token of the settings; where there is none, one is made and shown here.
    """
    from .journal import explaining
    from .serve import run

    with explaining(database):
        run(database, settings_of(config, flags), has_config=bool(config or flags), host=host, port=port, say=click.echo)
