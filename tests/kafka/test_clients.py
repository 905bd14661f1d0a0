"""Producers and router views on a real broker."""

import asyncio
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from advice import forecast, recommended, reported
from aiokafka import AIOKafkaConsumer, TopicPartition
from deployment import Deployment
from events import START
from scaler_process import replicas, scaler

from pointsman.models.context import Context
from pointsman.models.sketch import embed, sketch
from pointsman.schemas import Event, OptimizationConfig, RequestStarted, Track, decode, encode
from pointsman.schemas.settings import KafkaSettings
from pointsman.sinks.router_view import RouterView
from pointsman.streams.core import Core
from pointsman.streams.producer import Producer, SyncProducer
from pointsman.streams.topics import OUTPUT_TOPICS

pytestmark = pytest.mark.kafka
CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))


async def records(settings: KafkaSettings, topic: str, count: int) -> list[Any]:
    """So many records of a topic, partition by partition."""
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(settings.topic_prefix + topic, number) for number in range(settings.partitions)])
    found: list[Any] = []
    try:
        async with asyncio.timeout(30):
            while len(found) < count:
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    found += batch
    finally:
        await consumer.stop()
    return found


def test_events_arrive_in_order_with_their_scope_as_key_and_without_the_prompt(bootstrap: str, tmp_path: Path) -> None:
    deployment = Deployment(bootstrap, "produced", tmp_path, CONFIG)

    async def publish() -> list[Any]:
        async with Producer(deployment.settings, source="gateway") as producer:
            for number in range(1200):
                await producer.request_started(scope="chat", request_id=f"r{number}", track="local", query="Summarise this mail")
            await producer.flush()
            return await records(deployment.settings, "events", 1200)

    found = asyncio.run(publish())
    events = [decode(record.value) for record in found]
    assert [event.request_id for event in events if isinstance(event, RequestStarted)] == [f"r{number}" for number in range(1200)]
    assert {record.key for record in found} == {b"chat"} and {event.source for event in events} == {"gateway"}
    assert dict(found[0].headers)["ce_type"] == b"request.started/1"
    assert not any(b"mail" in record.value for record in found)


def test_an_embedding_arrives_as_features_and_a_bad_one_not_at_all(bootstrap: str, tmp_path: Path) -> None:
    deployment = Deployment(bootstrap, "embedded", tmp_path, CONFIG)
    with SyncProducer(deployment.settings) as producer:
        with pytest.raises(ValueError, match="finite numbers"):
            producer.request_started(scope="chat", request_id="r0", track="local", embedding=[float("nan")])
        producer.request_started(scope="chat", request_id="r1", track="local", embedding=[0.25, -0.5])
    (record,) = asyncio.run(records(deployment.settings, "events", 1))
    event = decode(record.value)
    assert isinstance(event, RequestStarted) and event.sketch is not None and event.sketch.features == embed([0.25, -0.5])
    assert b"embedding" not in record.value


def test_eight_threads_lose_nothing(bootstrap: str, tmp_path: Path) -> None:
    deployment = Deployment(bootstrap, "threads", tmp_path, CONFIG)
    with SyncProducer(deployment.settings, by_type=True) as producer:

        def publish(thread: int) -> None:
            for number in range(50):
                producer.request_completed(scope=f"s{thread}", request_id=f"{thread}-{number}", track="local", success=True, latency_ms=1.0)

        threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        producer.flush()
    found = asyncio.run(records(deployment.settings, "requests.completed", 400))
    assert len({decode(record.value).event_id for record in found}) == 400


def test_a_producer_does_not_wait_for_a_broker_that_is_away() -> None:
    async def publish() -> int:
        producer = await Producer(KafkaSettings(bootstrap_servers="127.0.0.1:1"), on_full="drop", most_waiting=3).__aenter__()
        for number in range(5):
            await producer.resource_sampled(scope="chat", host=f"h{number}")
        before = producer.dropped
        await producer.close(0.1)
        return before * 10 + producer.dropped

    assert asyncio.run(publish()) == 25


def test_a_call_that_waits_for_room_ends_with_the_producer() -> None:
    async def publish() -> None:
        producer = await Producer(KafkaSettings(bootstrap_servers="127.0.0.1:1"), most_waiting=1).__aenter__()
        await producer.resource_sampled(scope="chat", host="h1")
        waiting = asyncio.create_task(producer.resource_sampled(scope="chat", host="h2"))
        await asyncio.sleep(0)
        await producer.close(0.1)
        async with asyncio.timeout(10):
            await waiting

    with pytest.raises(RuntimeError, match="not open"):
        asyncio.run(publish())


def test_what_is_not_valid_is_refused_in_the_caller() -> None:
    async def publish() -> None:
        await Producer(KafkaSettings()).request_completed(scope="chat", request_id="r1", track="local", success=True, latency_ms=-1.0)

    with pytest.raises(ValueError, match="latency_ms"):
        asyncio.run(publish())


def test_from_a_producer_through_a_worker_to_a_router(bootstrap: str, tmp_path: Path) -> None:
    with Deployment(bootstrap, "routed", tmp_path, CONFIG) as deployment:
        with SyncProducer(deployment.settings) as producer:
            for number in range(50):
                producer.request_started(scope="chat", request_id=f"r{number}", track="local", occurred_at=1_700_000_000.0 + number)
                producer.request_completed(
                    scope="chat", request_id=f"r{number}", track="local", success=True, latency_ms=800.0, occurred_at=1_700_000_000.5 + number
                )
        deployment.start("one")
        journal = [decode(record.value) for record in asyncio.run(records(deployment.settings, "journal", 100))]
        deployment.outputs(sum(map(len, deployment.expected(journal).values())))
        core = Core(CONFIG)
        for event in journal:
            core.step(event)

        async def route() -> list[tuple[str, float]]:
            async with RouterView(deployment.settings) as view:
                await asyncio.wait_for(view.ready(), 30)
                found = [view.decide("chat", request_id=f"q{number}", query="Summarise") for number in range(100)]
                return [(routed.track, routed.propensity) for routed in found]

        context = Context.of(None, None, None, sketch("Summarise"))
        decided = [core.decide("chat", context, f"q{number}") for number in range(100)]
        assert asyncio.run(route()) == [(decision.track, decision.propensity) for decision in decided]


def test_a_scaler_knows_the_advice_that_stands_on_the_topics_and_follows_it(bootstrap: str, tmp_path: Path) -> None:
    deployment = Deployment(bootstrap, "scaled", tmp_path, CONFIG)

    def publish(event: Event) -> None:
        deployment.publish_raw(OUTPUT_TOPICS[event.TYPE], [(b"chat", encode(event), [])])

    now = time.time() - START
    for event in (recommended(now - 60.0, 3), forecast(now, 2.0), reported(now)):
        publish(event)
    flags = [f"--set=kafka.topic_prefix={deployment.settings.topic_prefix}", "--set=kafka.partitions=2"]
    with scaler(f"kafka://{bootstrap}", *flags) as (address, metrics, said):
        assert said.readline() == "known: chat/local\n"
        assert replicas(address) == 3.0
        with urllib.request.urlopen(metrics, timeout=10) as answer:
            exposed = answer.read()
        assert b"pointsman_forecast{" in exposed and b"pointsman_prediction_coverage_ratio{" in exposed
        publish(recommended(now + 1.0, 5))
        end = time.monotonic() + 20.0
        while replicas(address) == 3.0 and time.monotonic() < end:
            pass
        assert replicas(address) == 5.0


def test_clients_need_neither_river_nor_faust() -> None:
    program = "import sys\nfor name in ('river', 'faust', 'psutil'): sys.modules[name] = None\nimport pointsman.streams.producer, pointsman.sinks.router_view"
    subprocess.run([sys.executable, "-c", program], check=True)
