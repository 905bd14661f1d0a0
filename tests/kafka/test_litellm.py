"""LiteLLM's calls through a real broker and worker, and the policy back to its Router."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from deployment import Deployment
from gateway import CONFIG, MESSAGES, calling, deployment, experience, router, run, until

from pointsman.schemas import RequestCompleted, decode
from pointsman.schemas.settings import KafkaSettings

pytestmark = pytest.mark.kafka


async def answered(count: int) -> Counter[str]:
    """Which deployments answered."""
    target = router(deployment("good"), deployment("poor"))
    answers = [await target.acompletion("chat", MESSAGES, litellm_call_id=f"r{number}") for number in range(count)]
    return Counter(answer._hidden_params["model_id"] for answer in answers)


async def completed(settings: KafkaSettings, count: int) -> Counter[str]:
    """The tracks of so many of LiteLLM's completions in the worker's journal."""
    topic = f"{settings.topic_prefix}journal"
    consumer: Any = AIOKafkaConsumer(topic, bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    found: Counter[str] = Counter()
    try:
        async with asyncio.timeout(30):
            while found.total() < count:
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    events = [decode(record.value) for record in batch]
                    found.update(event.track for event in events if isinstance(event, RequestCompleted) and event.source == "litellm")
    finally:
        await consumer.stop()
    return found


def test_calls_go_through_kafka_and_its_policy_is_applied(bootstrap: str, tmp_path: Path) -> None:
    with Deployment(bootstrap, "litellm", tmp_path, CONFIG) as worked:
        worked.publish(experience())
        worked.start("one")
        flags = [f"kafka.topic_prefix={worked.settings.topic_prefix}", "kafka.partitions=2"]
        with calling(f"kafka://{bootstrap}", flags=flags, mode="apply") as callback:
            callback.start()
            until(lambda: (callback.policy_version() or 0) >= 10)
            found = run(answered(30))
        assert found["good"] >= 27 and (callback.sent, callback.dropped, callback.errors) == (60, 0, 0)
        ended = asyncio.run(completed(worked.settings, 30))
    assert ended == found


def test_a_broker_that_is_away_costs_nothing() -> None:
    with calling("kafka://127.0.0.1:1", mode="apply") as callback:
        found = run(answered(20))
        callback.close(0.1)
    assert found.total() == 20 and callback.dropped == 40 and callback.errors == 0
