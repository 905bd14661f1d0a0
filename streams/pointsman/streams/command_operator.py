"""`pointsman operator`: incidents that several scopes see, told to one."""

from pathlib import Path

import click

from .cli_options import CONFIG, KAFKA, PREFIX, SET, kafka_of, settings_of


@click.command()
@KAFKA
@PREFIX
@CONFIG
@SET
def operator(kafka: str | None, prefix: str | None, config: Path | None, flags: tuple[str, ...]) -> None:
    """Tell the operator's scope of the incidents of all others, until SIGTERM.

    Reads incidents from Kafka and publishes incident.reported for the scope of [operator] in the settings, where an incident is opened once two scopes see
    trouble of one track, host or provider. No scope is told of another. May be stopped and started at any time.
    """
    from .operator_kafka import run

    run(settings_of(config, flags).model_copy(update={"kafka": kafka_of(config, flags, kafka, prefix)}))
