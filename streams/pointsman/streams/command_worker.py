"""`pointsman worker`: the fold on Kafka."""

from pathlib import Path

import click

from .cli_options import CONFIG, SET, settings_of


@click.command()
@CONFIG
@SET
@click.option("--instance-id", help="A name that stays with this worker: its partitions then wait for its restart.")
@click.option("--verbose", is_flag=True, help="Log what Faust and the Kafka client say, too.")
def worker(config: Path | None, flags: tuple[str, ...], instance_id: str | None, verbose: bool) -> None:
    """Take in events from Kafka, fold the journal and publish what follows, until SIGTERM."""
    from .worker import run

    named = (f'kafka.instance_id="{instance_id}"',) if instance_id else ()
    run(settings_of(config, (*flags, *named)), is_verbose=verbose)
