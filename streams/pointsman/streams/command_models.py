"""`pointsman models`: the models of every track and metric."""

import json
from pathlib import Path

import click

from .cli_options import CONFIG, FILE, SET, optimization_of


@click.command()
@click.argument("place", type=FILE)
@CONFIG
@SET
@click.option("--scope", help="Only this scope.")
@click.option("--json", "as_json", is_flag=True, help="The reports as JSON.")
def models(place: Path, config: Path | None, flags: tuple[str, ...], scope: str | None, as_json: bool) -> None:
    """List the models of every track and metric: role, weight, errors, age, resets, coverage.

    PLACE is the database of an embedded optimizer or a recording, which is replayed, or what a replay wrote, whose last reports are shown.
    """
    from .models_listing import find, lines
    from .replay import stored_config

    own = stored_config(str(place)) if place.is_file() and config is None and not flags else None
    found = find(place, own or optimization_of(config, flags), scope)
    if as_json:
        click.echo(json.dumps([report.model_dump(exclude={"event_id", "caused_by", "source"}) for report in found], indent=2))
        return
    for line in lines(found):
        click.echo(line)
