"""`pointsman alerts`: the alerts that stand, or all of them, and what comes."""

from pathlib import Path

import click

from .cli_options import CONFIG, PLACE, PREFIX, SET, kafka_of, settings_of


@click.command()
@click.argument("place", type=PLACE)
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--all", "is_all", is_flag=True, help="Everything that was raised and resolved, in its order; unless told what stands.")
@click.option("--scope", help="Only this scope.")
@click.option(
    "--min-severity",
    type=click.Choice(["info", "warning", "critical"]),
    default="warning",
    show_default=True,
    help="Nothing less severe; info is what is known of our own models.",
)
@click.option("--local", "is_local", is_flag=True, help="Times in the zone of this machine; unless told UTC.")
@click.option("--json", "as_json", is_flag=True, help="Events as they are, one JSON object a line.")
@PREFIX
@CONFIG
@SET
def alerts(
    place: str,
    follow: bool,
    is_all: bool,
    scope: str | None,
    min_severity: str,
    is_local: bool,
    as_json: bool,
    prefix: str | None,
    config: Path | None,
    flags: tuple[str, ...],
) -> None:
    """List the alerts that stand, or all of them.

    Each with its severity, what was observed and expected, and since when; muted ones say so.
    PLACE is the database of an embedded optimizer, the outputs of a replay, http://host:port of a `pointsman serve`, with its
    token in POINTSMAN_TOKEN, or kafka://host:port.
    """
    import asyncio

    from .listening import listen
    from .told_alerts import KINDS, ToldAlerts
    from .when import When

    settings = settings_of(config, flags).model_copy(update={"kafka": kafka_of(config, flags, prefix=prefix)})
    told = ToldAlerts(When(is_local), scope, is_all=is_all, as_json=as_json, min_severity=min_severity)
    asyncio.run(listen(place, KINDS, settings, told.hear, told.caught_up, follow=follow))
