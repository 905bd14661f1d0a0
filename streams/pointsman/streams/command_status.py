"""`pointsman status`: what is known now."""

import json
from pathlib import Path

import click

from .cli_options import CONFIG, FILE, optimization_of


@click.command()
@click.option("--database", type=FILE, required=True, help="The database of an embedded optimizer.")
@CONFIG
def status(database: Path, config: Path | None) -> None:
    """Print what an embedded optimizer knows, as JSON; the database is only read."""
    from .core import Core
    from .replay import database_lines, replay, stored_config

    own = None if config else stored_config(str(database))
    core = Core(own or optimization_of(config))
    replay(database_lines(database), core, len, len)
    click.echo(json.dumps({scope: core.status(scope) for scope in core.scopes()}, indent=2))
