"""`pointsman status`: what every track does now, once or for as long as one looks."""

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .cli_options import CONFIG, FILE, PLACE, SET, optimization_of, settings_of

if TYPE_CHECKING:
    from .status_source import Source


@click.command()
@click.argument("place", type=PLACE, required=False)
@click.option("--database", type=FILE, help="The database of an embedded optimizer: fold all of it and print what its core knows, as JSON.")
@click.option("--watch", "is_watching", is_flag=True, help="Stay, and draw it again every second: q ends, n and p change the scope.")
@click.option("--json", "as_json", is_flag=True, help="Print it once, as JSON.")
@click.option("--scope", help="This scope; unless told the first one with --watch, else all.")
@CONFIG
@SET
def status(
    place: str | None,
    database: Path | None,
    is_watching: bool,
    as_json: bool,
    scope: str | None,
    config: Path | None,
    flags: tuple[str, ...],
) -> None:
    """Say what every track does now, where traffic is recommended to go and why.

    PLACE is the database of an embedded optimizer (only read, of its last 30,000 events), http://host:port of a `pointsman serve` (token in POINTSMAN_TOKEN),
    or kafka://host:port. Where the output is no terminal it is printed once, without colour.
    """
    if (place is None) == (database is None):
        raise click.UsageError("give a PLACE: a database, http://host:port or kafka://host:port" if place is None else "give one of PLACE and --database")
    if place is None:
        click.echo(_folded(Path(str(database)), config, flags))
        return
    from .status_source import source_of

    settings = settings_of(config, flags)
    token = settings.token.get_secret_value().strip() if settings.token is not None else None
    with closing(source_of(place, settings.kafka, token)) as source:
        is_live = is_watching and not as_json and sys.stdout.isatty() and sys.stdin.isatty()
        _watch(source, scope) if is_live else _print(source, scope, as_json)


def _folded(database: Path, config: Path | None, flags: tuple[str, ...]) -> str:
    from .core import Core
    from .replay import database_lines, replay, stored_config

    own = None if config or flags else stored_config(str(database))
    core = Core(own or optimization_of(config, flags))
    replay(database_lines(database), core, len, len)
    return json.dumps({scope: core.status(scope) for scope in core.scopes()}, indent=2)


def _watch(source: "Source", scope: str | None) -> None:
    from rich.console import Console

    from .status_watch import View, watch

    view = View(source, scope, source.look())
    view.look()
    # the terminal has the size, not COLUMNS and LINES: these stay as they were when it changes
    watch(view, Console(markup=False, emoji=False, _environ={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}))


def _print(source: "Source", scope: str | None, as_json: bool) -> None:
    from rich.console import Console

    from .status_screen import Screen
    from .status_source import StatusError

    names = source.look()
    if scope is not None and scope not in names:
        raise StatusError(f"nothing was heard of scope {scope!r}; there are {', '.join(names) or 'none yet'}")
    pictures = [source.picture(name) for name in names if scope in (None, name)]
    if as_json:
        click.echo(json.dumps({picture.scope: picture.status for picture in pictures}, indent=2))
        return
    console = Console(highlight=False, markup=False, emoji=False)
    for number, picture in enumerate(pictures):
        console.print(*([""] if number else []), Screen(picture), sep="\n")
    if not pictures:
        console.print("nothing was heard yet: no scope has had an event")


__all__ = ["status"]
