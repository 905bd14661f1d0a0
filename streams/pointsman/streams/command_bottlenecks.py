"""`pointsman bottlenecks`: where the time of slow requests goes."""

from pathlib import Path

import click

from .cli_options import CONFIG, PLACE, PREFIX, SET, kafka_of, settings_of


@click.command()
@click.argument("place", type=PLACE)
@click.option("--scope", help="Only this scope.")
@click.option("--json", "as_json", is_flag=True, help="The reports as JSON.")
@PREFIX
@CONFIG
@SET
def bottlenecks(place: str, scope: str | None, as_json: bool, prefix: str | None, config: Path | None, flags: tuple[str, ...]) -> None:
    """Say where the time of slow requests goes, and what could be done: the newest report of every track and category.

    PLACE is the database of an embedded optimizer, the outputs of a replay, http://host:port of a `pointsman serve` (token in POINTSMAN_TOKEN), or
    kafka://host:port.
    """
    import asyncio
    import json

    from .bottleneck_listing import find, table

    settings = settings_of(config, flags).model_copy(update={"kafka": kafka_of(config, flags, prefix=prefix)})
    found = asyncio.run(find(place, settings, scope))
    if as_json:
        click.echo(json.dumps([one.model_dump(mode="json", exclude={"event_id", "caused_by", "source"}) for one in found], indent=2))
        return
    for line in table(found):
        click.echo(line)
    if not found:
        of = f" of scope {scope!r}" if scope is not None else ""
        click.echo(f"{place}: nothing was reported{of}: a report needs 30 requests within signals.bottleneck_s, five of them slow, and something to say")


__all__ = ["bottlenecks"]
