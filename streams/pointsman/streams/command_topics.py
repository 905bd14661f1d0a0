"""`pointsman topics`: the topics on Kafka, made or checked."""

import sys
from pathlib import Path

import click

from .cli_options import CONFIG, KAFKA, PREFIX, SET, kafka_of


@click.command()
@KAFKA
@PREFIX
@CONFIG
@SET
@click.option("--check", is_flag=True, help="Change nothing; fail where a topic is missing or is not as it should be.")
def topics(kafka: str | None, prefix: str | None, config: Path | None, flags: tuple[str, ...], check: bool) -> None:
    """Make the topics, or check them."""
    import asyncio

    from .topics import ensure_topics

    problems = asyncio.run(ensure_topics(kafka_of(config, flags, kafka, prefix), check=check))
    for line in problems:
        click.echo(line)
    if check and problems:
        sys.exit(1)
