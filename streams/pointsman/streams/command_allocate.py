"""`pointsman allocate`: shared capacity, divided between scopes."""

from pathlib import Path

import click

from .cli_options import CONFIG, KAFKA, PREFIX, SET, kafka_of, settings_of


@click.command()
@KAFKA
@PREFIX
@CONFIG
@SET
def allocate(kafka: str | None, prefix: str | None, config: Path | None, flags: tuple[str, ...]) -> None:
    """Divide the capacity of tracks that several scopes use between them, until SIGTERM.

    Reads windows and forecasts from Kafka and publishes capacity.allocated: by priority and need, for every [[capacity]] of the settings. Priorities are the
    scopes' own, as far as their config.changed came by that topic, or those of the [[capacity]]. May be stopped and started at any time.
    """
    from .allocate import run

    run(settings_of(config, flags).model_copy(update={"kafka": kafka_of(config, flags, kafka, prefix)}))
