"""Incidents of a real broker's topics: told to a webhook through a kill, and listed in the terminal."""

import asyncio
import json
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from alertmanaging import until
from click.testing import CliRunner
from hooking import hook, start, telling
from troubles import alert, opened, resolved, updated

from pointsman.schemas import AlertRaised, Event, encode
from pointsman.schemas.settings import KafkaSettings
from pointsman.streams.cli import main
from pointsman.streams.topics import OUTPUT_TOPICS, ensure_topics

pytestmark = pytest.mark.kafka


async def publish(settings: KafkaSettings, *events: Event) -> None:
    """Write outputs as a worker does, keyed by scope."""
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
        for event in events:
            topic = settings.topic_prefix + OUTPUT_TOPICS[str(getattr(event, "type", ""))]
            await producer.send_and_wait(topic, encode(event), key=event.scope.encode())


def test_incidents_of_topics_are_told_once_through_a_kill_and_listed(bootstrap: str, tmp_path: Path) -> None:
    settings = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=f"hooks-{uuid.uuid4().hex[:8]}.", partitions=2)
    place, more = f"kafka://{bootstrap}", ("--prefix", settings.topic_prefix, "--state", tmp_path / "state.json")
    asyncio.run(ensure_topics(settings))
    asyncio.run(publish(settings, opened(1), resolved(2, at=60.0), opened(3, "incident-2", 70.0), alert(AlertRaised, 4, scope="mail")))
    with hook() as there:
        process = start(place, [{"url": there.url}], *more)
        until(lambda: len(there.taken) == 2)
        process.kill()
        process.communicate()
        asyncio.run(
            publish(settings, updated(5, "incident-2", 80.0, severity="critical"), opened(3, "incident-2", 70.0))
        )  # and a repeat, as a crashed worker makes
        with telling(place, [{"url": there.url}], *more):
            until(lambda: len(there.taken) == 3)
            asyncio.run(publish(settings, resolved(6, "incident-2", 90.0)))
            until(lambda: len(there.taken) == 4)
    told = {(said["type"], said["data"].get("incident")) for said in there.taken}
    assert told == {("incident.opened/1", "incident-2"), ("alert.raised/1", None), ("incident.updated/1", "incident-2"), ("incident.resolved/1", "incident-2")}
    listed = CliRunner().invoke(main, ["incidents", place, "--prefix", settings.topic_prefix, "--json"])
    assert [json.loads(line)["incident"] for line in listed.output.splitlines()] == ["incident-2", "incident-1"]
    assert "gpu-1/cpu_percent" in CliRunner().invoke(main, ["alerts", place, "--prefix", settings.topic_prefix], env={"COLUMNS": "200"}).output
