"""`pointsman worker`: the fold on Kafka."""

from pathlib import Path

import click

from .cli_options import CONFIG, KAFKA, PREFIX, SET, settings_of


@click.command()
@KAFKA
@PREFIX
@CONFIG
@SET
@click.option("--instance-id", help="A name that stays with this worker: its partitions then wait for its restart.")
@click.option("--verbose", is_flag=True, help="Log what Faust and the Kafka client say, too.")
def worker(kafka: str | None, prefix: str | None, config: Path | None, flags: tuple[str, ...], instance_id: str | None, verbose: bool) -> None:
    """Take in events from Kafka, fold the journal and publish what follows, until SIGTERM."""
    from .worker import run

    settings = settings_of(config, flags)
    named = {"bootstrap_servers": kafka, "topic_prefix": prefix, "instance_id": instance_id or None}
    reached = settings.kafka.model_copy(update={name: value for name, value in named.items() if value is not None})
    run(settings.model_copy(update={"kafka": reached}), is_verbose=verbose)
