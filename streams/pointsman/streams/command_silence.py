"""`pointsman silence`: nobody is told of some alerts, until then."""

from pathlib import Path
from typing import get_args

import click

from pointsman.schemas import AlertKind

from .controls_options import controls_options, moment, say


@click.command()
@controls_options
@click.option("--alert", metavar="GLOB", help="Alerts with such a fingerprint; * and ? stand for anything.")
@click.option("--subject", metavar="GLOB", help="Alerts of such a subject.")
@click.option("--kind", type=click.Choice(get_args(AlertKind)), help="Alerts of this kind.")
@click.option("--for", "lasting", metavar="DURATION", help="For so long: 30m, 2h, 1d.")
@click.option("--until", metavar="TIME", help="Until then, epoch seconds or ISO 8601.")
@click.option("--lift", is_flag=True, help="End the silence with these patterns now.")
def silence(
    place: str,
    scope: str,
    by: str | None,
    note: str | None,
    at: str | None,
    config: Path | None,
    flags: tuple[str, ...],
    alert: str | None,
    subject: str | None,
    kind: str | None,
    lasting: str | None,
    until: str | None,
    lift: bool,
) -> None:
    """Tell nobody of alerts that match every pattern given, for a while; what still stands then is told.

    PLACE is the database of an embedded optimizer that no process has open, http://host:port of a `pointsman serve` (token in POINTSMAN_TOKEN), or
    kafka://host:port. The same patterns with another end move the end.
    """
    from pointsman.schemas import AlertSilenced

    from .series import seconds_of
    from .when import When

    if alert is None and subject is None and kind is None:
        raise click.UsageError("give what is silenced: --alert, --subject or --kind; --alert '*' is everything")
    if (lasting is not None) + (until is not None) + lift != 1:
        raise click.UsageError("give one of --for, --until and --lift")
    now = moment(at)
    end = now if lift else now + seconds_of(lasting) if lasting is not None else moment(until)
    say(place, AlertSilenced, now, config, flags, scope=scope, fingerprint=alert, subject=subject, kind=kind, until=end, by=by, note=note)
    what = ", ".join(f"{name} {value}" for name, value in (("alert", alert), ("subject", subject), ("kind", kind)) if value is not None)
    click.echo(f"{what} in {scope}: no longer silenced" if lift else f"{what} in {scope}: silenced until {When(is_local=False).text(end)}")


__all__ = ["silence"]
