"""`pointsman annotate`: what a person knows of an incident."""

from pathlib import Path

import click

from .controls_options import controls_options, moment, say


@click.command()
@controls_options
@click.argument("incident")
@click.option("--resolution", help="What ended it.")
@click.option("--cause", help="What caused it.")
def annotate(
    place: str,
    scope: str,
    by: str | None,
    note: str | None,
    at: str | None,
    config: Path | None,
    flags: tuple[str, ...],
    incident: str,
    resolution: str | None,
    cause: str | None,
) -> None:
    """Write down what is known of INCIDENT, open or one of the last 64: it is told with the next one that looks like it.

    PLACE is the database of an embedded optimizer that no process has open, http://host:port of a `pointsman serve` (token in POINTSMAN_TOKEN), or
    kafka://host:port. What is said again replaces what was said before.
    """
    from pointsman.schemas import IncidentAnnotated

    if note is None and resolution is None and cause is None:
        raise click.UsageError("give a --note, a --resolution or a --cause")
    say(place, IncidentAnnotated, moment(at), config, flags, scope=scope, incident=incident, note=note, resolution=resolution, cause=cause, by=by)
    click.echo(f"{incident} in {scope}: written down")


__all__ = ["annotate"]
