"""`pointsman otel`: GenAI spans that the OpenTelemetry Collector writes to Kafka."""

from pathlib import Path

import click

from .cli_options import CONFIG, KAFKA, PREFIX, SET, kafka_of, settings_of


@click.command()
@KAFKA
@PREFIX
@click.option("--topic", default="otlp_spans", show_default=True, help="Where the Collector's Kafka exporter writes (otlp_proto or otlp_json).")
@click.option("--group", default="pointsman-otel", show_default=True, help="The consumer group; several processes in it share the topic's partitions.")
@CONFIG
@SET
def otel(kafka: str | None, prefix: str | None, topic: str, group: str, config: Path | None, flags: tuple[str, ...]) -> None:
    """Turn the GenAI spans of a Kafka topic into events on our topics, until SIGTERM.

    Content is sketched and dropped. May be stopped, killed and started at any time: nothing is lost, and nothing counts twice.
    """
    from .otel_kafka import run

    counts = run(kafka_of(config, flags, kafka, prefix), settings_of(config, flags).otel, topic, group)
    click.echo(", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing was read")
