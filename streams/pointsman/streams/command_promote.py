"""`pointsman promote`: another configuration, from now on."""

from pathlib import Path

import click

from .cli_options import CONFIG, FILE, SET, optimization_of


@click.command()
@click.argument("database", type=FILE)
@CONFIG
@SET
def promote(database: Path, config: Path | None, flags: tuple[str, ...]) -> None:
    """Make a configuration the active one in every scope of an embedded database, from now on.

    It is journaled as config.changed. No other process may have the database open; one that does promotes its own shadow.
    """
    from .embedded import Optimizer
    from .journal import JournalError, explaining

    if not config and not flags:
        raise click.UsageError("give the configuration to promote with --config, or settings of it with --set")
    if not database.is_file():
        raise JournalError(f"{database}: no such database; give the file that Optimizer.open was given")
    with explaining(database), Optimizer.open(str(database)) as optimizer:
        optimizer.adopt(optimization_of(config, flags))
        scopes = list(optimizer.status())
    click.echo(f"{config or 'the configuration'} is in force in {', '.join(scopes) or 'every scope to come'}")
