"""The terminal's status over a real broker, also one that goes and comes back."""

import asyncio
import os
import uuid
from collections.abc import Sequence
from contextlib import aclosing, closing
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from alertmanaging import until
from events import stream
from terminal import LONGEST_S, watching

from pointsman.schemas import Event, OptimizationConfig, Track, encode
from pointsman.schemas.settings import KafkaSettings
from pointsman.sinks.follow import lines_after
from pointsman.streams.core import Core
from pointsman.streams.status_source import KafkaSource
from pointsman.streams.topics import OUTPUT_TOPICS, ensure_topics

pytestmark = pytest.mark.kafka
CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")), learners="light")


def deployed(bootstrap: str, outputs: Sequence[Event]) -> KafkaSettings:
    """Topics of their own with these outputs."""
    settings = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=f"status-{uuid.uuid4().hex[:8]}.", partitions=1)
    asyncio.run(ensure_topics(settings))
    asyncio.run(publish(settings, outputs))
    return settings


async def publish(settings: KafkaSettings, outputs: Sequence[Event]) -> None:
    """Write outputs as a worker does."""
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
        for output in outputs:
            await producer.send(settings.topic_prefix + OUTPUT_TOPICS[output.TYPE], encode(output), key=output.scope.encode())
        await producer.flush()


def made(seed: int, count: int) -> list[Event]:
    core = Core(CONFIG)
    return [output for event in stream(seed, count) for output in core.step(event)]


def test_what_the_topics_tell_is_drawn_and_goes_on(bootstrap: str) -> None:
    outputs = made(91, 200)
    settings = deployed(bootstrap, outputs[:-50])
    with watching(f"kafka://{bootstrap}", "--set", f"kafka.topic_prefix={settings.topic_prefix}") as terminal:
        terminal.until(b"local", terminal.until(b"\x1b[?1049h"))
        asyncio.run(publish(settings, outputs[-50:]))
        terminal.until(b"q ends")
        os.write(terminal.main, b"q")
        terminal.until(b"\x1b[?1049l")
        assert terminal.process.wait(LONGEST_S) == 0


def test_a_broker_that_returns_doubles_nothing(own_broker: Any) -> None:
    first, rest = made(92, 100), made(93, 20)
    settings = deployed(own_broker.bootstrap, first)
    with closing(KafkaSource(settings)) as source:
        before = {scope: source.picture(scope) for scope in source.look()}
        assert sum(picture.board["outputs"] for picture in before.values()) == len(first)
        own_broker.pause()
        own_broker.resume()
        asyncio.run(publish(settings, [output.model_copy(update={"scope": "second"}) for output in rest]))
        until(lambda: "second" in source.look())
        assert {scope: source.picture(scope) for scope in before} == before


def test_a_consumer_that_had_to_be_made_anew_goes_on_where_the_last_one_was(bootstrap: str) -> None:
    first, rest = made(94, 100), made(95, 20)
    settings, reached = deployed(bootstrap, first), dict[Any, int]()
    assert len(asyncio.run(heard(settings, reached))) == len(first)
    asyncio.run(publish(settings, rest))
    assert sorted(asyncio.run(heard(settings, reached))) == sorted(map(encode, rest))
    reached.update(dict.fromkeys(reached, 1_000_000))  # a topic that was deleted and made anew has fewer
    assert len(asyncio.run(heard(settings, reached))) == len(first) + len(rest)


async def heard(settings: KafkaSettings, reached: dict[Any, int]) -> list[bytes]:
    """What stands in the topics after the offsets that were reached."""
    found: list[bytes] = []
    async with aclosing(lines_after(settings, tuple(dict.fromkeys(OUTPUT_TOPICS.values())), reached)) as lines:
        async for line in lines:
            if line is None:
                return found
            found.append(line)
    return found
