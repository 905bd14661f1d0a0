"""`pointsman incidents`: what is wrong, since when, and what is suspected; or one incident in full."""

from pathlib import Path

import click

from .cli_options import CONFIG, PLACE, PREFIX, SET, kafka_of, settings_of


@click.command()
@click.argument("place", type=PLACE)
@click.argument("incident", required=False, metavar="[ID]")
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--scope", help="Only this scope.")
@click.option("--local", "is_local", is_flag=True, help="Times in the zone of this machine; unless told UTC.")
@click.option("--json", "as_json", is_flag=True, help="The newest event of each, one JSON object a line.")
@PREFIX
@CONFIG
@SET
def incidents(
    place: str,
    incident: str | None,
    follow: bool,
    scope: str | None,
    is_local: bool,
    as_json: bool,
    prefix: str | None,
    config: Path | None,
    flags: tuple[str, ...],
) -> None:
    """List incidents with their suspects, the open ones first, or show one in full.

    In full are the suspects' evidence, the alerts, what it looks like, and its course.
    PLACE is the database of an embedded optimizer, the outputs of a replay, http://host:port of a `pointsman serve`, with its
    token in POINTSMAN_TOKEN, or kafka://host:port.
    ID is incident-3, in every scope that has one.
    """
    import asyncio

    from .listening import listen
    from .places import takes_events
    from .told_incidents import INCIDENTS, ToldIncidents
    from .when import When

    settings = settings_of(config, flags).model_copy(update={"kafka": kafka_of(config, flags, prefix=prefix)})
    told = ToldIncidents(When(is_local), scope, incident, as_json=as_json, is_followed=follow, place=place if takes_events(place) else None)
    asyncio.run(listen(place, INCIDENTS, settings, told.hear, told.caught_up, follow=follow))
