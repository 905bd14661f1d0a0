"""`pointsman webhook`: other programs and channels are told of incidents and alerts, signed, at least once."""

from pathlib import Path

import click

from .cli_options import CONFIG, FILE, PREFIX, SET, kafka_of, settings_of


@click.command()
@click.argument("place")
@click.option("--url", "urls", multiple=True, help="A target, https://host/path, beside those of [[webhooks]] in the settings; once for each.")
@click.option("--form", type=click.Choice(["json", "slack"]), help="How the targets of --url want it: json unless told.")
@click.option("--state", type=FILE, help="Where it is kept how far each target was told; PLACE.webhooks.json unless told.")
@click.option("--from-start", is_flag=True, help="The first time, tell also what had ended before; unless told only what stands.")
@PREFIX
@CONFIG
@SET
def webhook(
    place: str, urls: tuple[str, ...], form: str | None, state: Path | None, from_start: bool, prefix: str | None, config: Path | None, flags: tuple[str, ...]
) -> None:
    """Tell webhooks of incidents and alerts, signed and at least once, until SIGTERM.

    PLACE is kafka://host:port, the database of an embedded optimizer, or http://host:port of a pointsman serve, whose token is in POINTSMAN_TOKEN;
    the outputs of a replay are told whole, and that is the end. Killed at any moment it goes on where it was: what is told twice has the same webhook-id.
    """
    import asyncio

    from .webhook import tell, with_urls

    settings = with_urls(settings_of(config, flags), urls, form)
    kafka = kafka_of(config, flags, prefix=prefix)
    asyncio.run(tell(place, settings.model_copy(update={"kafka": kafka}), state=state, from_start=from_start, say=click.echo))
