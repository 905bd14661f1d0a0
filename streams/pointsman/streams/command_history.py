"""`pointsman history`: what happened, kept in a database of one's own."""

from pathlib import Path

import click

from .cli_options import CONFIG, PREFIX, SET, kafka_of


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@PREFIX
@CONFIG
@SET
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C or SIGTERM.")
def history(sources: tuple[str, ...], target: str, prefix: str | None, config: Path | None, flags: tuple[str, ...], follow: bool) -> None:
    """Keep outcomes, recommendations, windows, alerts and forecasts in SQLite, PostgreSQL or Parquet, each event once.

    SOURCE is the database of an embedded optimizer, kafka://HOST:PORT, or JSON lines of inputs and of outputs (several may be given).
    TARGET is history.db, sqlite:///FILE, postgresql://USER@HOST/DATABASE or parquet:FOLDER. Killed at any moment it goes on where it was.
    """
    from .history import keep_history
    from .history_sources import source_of

    if follow and len(sources) > 1:
        raise click.UsageError("--follow goes with one SOURCE: run a second `pointsman history` for the other")
    kafka = kafka_of(config, flags, prefix=prefix)
    found = [source_of(source, kafka) for source in sources]
    click.echo(str(keep_history(found, target, lambda said: click.echo(said, err=True), follow=follow)))
