"""`pointsman acknowledge`: somebody looks after an alert or an incident."""

from pathlib import Path

import click

from .controls_options import controls_options, moment, say


@click.command()
@controls_options
@click.option("--alert", metavar="FINGERPRINT", help="The alert.")
@click.option("--incident", metavar="NAME", help="The incident, for example incident-3.")
def acknowledge(
    place: str,
    scope: str,
    by: str | None,
    note: str | None,
    at: str | None,
    config: Path | None,
    flags: tuple[str, ...],
    alert: str | None,
    incident: str | None,
) -> None:
    """Say that somebody looks after an alert or an incident.

    PLACE is the database of an embedded optimizer that no process has open, http://host:port of a `pointsman serve` (token in POINTSMAN_TOKEN), or
    kafka://host:port.
    """
    from pointsman.schemas import AlertAcknowledged

    if (alert is None) == (incident is None):
        raise click.UsageError("give one of --alert and --incident")
    say(place, AlertAcknowledged, moment(at), config, flags, scope=scope, fingerprint=alert, incident=incident, by=by, note=note)
    click.echo(f"{by or 'somebody'} looks after {alert or incident} in {scope}")


__all__ = ["acknowledge"]
