"""Alerts from a real broker's topic, told to a real Alertmanager."""

import asyncio
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from alertmanaging import alertmanager, raised, resolved, telling, until

from pointsman.schemas import Event, encode
from pointsman.schemas.settings import KafkaSettings
from pointsman.streams.topics import ensure_topics

pytestmark = pytest.mark.kafka


def test_alerts_of_a_topic_are_raised_and_resolved(bootstrap: str, tmp_path: Path) -> None:
    settings = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=f"alerts-{uuid.uuid4().hex[:8]}.", partitions=2)
    asyncio.run(ensure_topics(settings))
    asyncio.run(publish(settings, raised(1), resolved(2), raised(3, scope="mail"), raised(4, fingerprint="gpu-1/temperature_c")))
    with alertmanager(tmp_path / "alertmanager") as (there, _), telling(f"kafka://{bootstrap}", "--prefix", settings.topic_prefix, "--url", there.url):
        until(lambda: len(there.alerts()) == 2)
        assert {(found["labels"]["scope"], found["labels"]["fingerprint"]) for found in there.alerts()} == {
            ("mail", "gpu-1/cpu_percent"),
            ("chat", "gpu-1/temperature_c"),
        }
        asyncio.run(publish(settings, resolved(5, 1.0, scope="mail")))
        until(lambda: [found["labels"]["scope"] for found in there.alerts()] == ["chat"])


async def publish(settings: KafkaSettings, *events: Event) -> None:
    """Write alerts as a worker does, keyed by scope."""
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
        for event in events:
            await producer.send_and_wait(f"{settings.topic_prefix}alerts", encode(event), key=event.scope.encode())
