"""`pointsman maintenance`: something is worked on, from then to then."""

from pathlib import Path

import click

from .controls_options import controls_options, moment, say


@click.command()
@controls_options
@click.option("--from", "start", metavar="TIME", help="When it begins, epoch seconds or ISO 8601; now unless told.")
@click.option("--until", metavar="TIME", help="When it ends.")
@click.option("--for", "lasting", metavar="DURATION", help="How long it lasts: 30m, 2h, 1d.")
@click.option("--track", "tracks", multiple=True, help="A track that is worked on; may be repeated.")
@click.option("--host", "hosts", multiple=True, help="A host that is worked on; may be repeated.")
def maintenance(
    place: str,
    scope: str,
    by: str | None,
    note: str | None,
    at: str | None,
    config: Path | None,
    flags: tuple[str, ...],
    start: str | None,
    until: str | None,
    lasting: str | None,
    tracks: tuple[str, ...],
    hosts: tuple[str, ...],
) -> None:
    """Say that tracks or hosts, or without any everything, are worked on.

    Nobody is told of their alerts then, and nothing is learned as normal. PLACE is the database of an embedded optimizer that no process has open,
    http://host:port of a `pointsman serve` (token in POINTSMAN_TOKEN), or kafka://host:port. The same --from, tracks and hosts with another end move the end.
    """
    from pointsman.schemas import MaintenanceScheduled

    from .series import seconds_of
    from .when import When

    if (lasting is None) == (until is None):
        raise click.UsageError("give one of --until and --for")
    now = moment(at)
    begin = now if start is None else moment(start)
    end = begin + seconds_of(lasting) if lasting is not None else moment(until)
    say(place, MaintenanceScheduled, now, config, flags, scope=scope, start=begin, end=end, tracks=tracks, hosts=hosts, by=by, note=note)
    click.echo(
        f"{', '.join((*tracks, *hosts)) or 'everything'} in {scope}: maintenance from {When(is_local=False).text(begin)} until {When(is_local=False).text(end)}"
    )


__all__ = ["maintenance"]
