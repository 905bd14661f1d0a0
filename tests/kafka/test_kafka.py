"""Topics, and a recording's way through a real broker and back."""

import asyncio
import uuid
from pathlib import Path

import pytest
from events import stream

from pointsman.schemas import encode
from pointsman.schemas.settings import KafkaSettings
from pointsman.streams.core import Core
from pointsman.streams.record import record_kafka
from pointsman.streams.recording import read_lines
from pointsman.streams.replay import replay
from pointsman.streams.simulate import simulate_kafka
from pointsman.streams.topics import TopicError, ensure_topics, specs

pytestmark = pytest.mark.kafka


def test_topics_are_made_once_and_differences_are_named(bootstrap: str) -> None:
    settings = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=f"made-{uuid.uuid4().hex[:8]}.", partitions=2)
    assert len(asyncio.run(ensure_topics(settings, check=True))) == len(specs(settings))
    assert len(asyncio.run(ensure_topics(settings))) == len(specs(settings))
    assert asyncio.run(ensure_topics(settings)) == []
    other = settings.model_copy(update={"partitions": 3})
    assert all("has 2 partitions instead of 3" in line for line in asyncio.run(ensure_topics(other, check=True)))


def test_a_recording_published_and_recorded_again_replays_to_the_same_bytes(bootstrap: str, tmp_path: Path) -> None:
    settings = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=f"trip-{uuid.uuid4().hex[:8]}.", partitions=1)
    asyncio.run(ensure_topics(settings))
    events = stream(21, 100)
    source, back = tmp_path / "in.jsonl", tmp_path / "back.jsonl.gz"
    source.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    assert simulate_kafka(source, settings, speed=0) == len(events)
    record_kafka(settings, back, topic="events", until_idle=2.0)
    outputs: list[list[bytes]] = [[], []]
    for path, written in zip((source, back), outputs, strict=True):
        replay(((str(number), line) for number, line in read_lines(path)), Core(), written.append, written.append)
    assert outputs[0] == outputs[1]


def test_a_broker_that_is_away_is_named() -> None:
    with pytest.raises(TopicError, match="is the broker up"):
        asyncio.run(ensure_topics(KafkaSettings(bootstrap_servers="127.0.0.1:1")))
