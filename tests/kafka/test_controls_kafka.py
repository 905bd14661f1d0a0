"""What people say of alerts, typed at a command line, reaches the topic of a real broker, redacted and keyed by scope."""

import asyncio
import uuid

import pytest
from aiokafka import AIOKafkaConsumer
from click.testing import CliRunner

from pointsman.schemas import AlertSilenced, decode
from pointsman.schemas.settings import KafkaSettings
from pointsman.streams.cli import main
from pointsman.streams.topics import ensure_topics

pytestmark = pytest.mark.kafka


def test_a_silence_is_published_to_the_topic_of_all_events(bootstrap: str) -> None:
    settings = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=f"controls-{uuid.uuid4().hex[:8]}.", partitions=2)
    asyncio.run(ensure_topics(settings))
    words = ["silence", f"kafka://{bootstrap}", "--scope", "chat", "--alert", "gpu/*", "--for", "2h", "--note", "ask ana@example.org"]
    said = CliRunner().invoke(main, [*words, "--set", f"kafka.topic_prefix={settings.topic_prefix}"])
    assert said.exit_code == 0 and "handed to kafka" in said.output and "gpu/* in chat: silenced until" in said.output
    key, event = asyncio.run(first(settings))
    assert key == b"chat" and isinstance(event, AlertSilenced) and (event.fingerprint, event.note) == ("gpu/*", "ask [email]")


async def first(settings: KafkaSettings) -> tuple[bytes | None, object]:
    """Key and event of the first record."""
    topic, servers = f"{settings.topic_prefix}events", settings.bootstrap_servers
    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        async with asyncio.timeout(30):
            record = await consumer.getone()
        return record.key, decode(record.value or b"")
