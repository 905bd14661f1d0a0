"""Simulate: publish a recording, to Kafka or over HTTP, at its own pace, faster, or as fast as possible."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from pointsman.schemas import AnyInput, EventRejected, encode
from pointsman.schemas.access import admission, explained
from pointsman.schemas.settings import KafkaSettings, security

from .http_post import PostError, post_events
from .intake import accept
from .recording import read_lines
from .replay import Pace, ReplayError

BATCH = 500


def events_of(recording: Path, *, now: bool = False) -> Iterator[AnyInput]:
    """The events of a recording; with `now` they are moved in time, so that the first one happens at this moment."""
    moved: float | None = None
    for number, line in read_lines(recording):
        event = accept(line, place=f"{recording}:{number}")
        if isinstance(event, EventRejected):
            raise ReplayError(f"{event.place}: {event.reason.message}; correct the line, or see what `pointsman replay` rejects")
        if now:
            moved = time.time() - event.occurred_at if moved is None else moved
            event = event.model_copy(update={"occurred_at": event.occurred_at + moved})
        yield event


def topic_of(event: AnyInput, prefix: str, *, by_type: bool) -> str:
    """The one ordered topic, or the topic of the event's type."""
    if not by_type:
        return f"{prefix}events"
    from .topics import INPUT_TOPICS

    return prefix + INPUT_TOPICS[event.type]


def simulate_kafka(recording: Path, settings: KafkaSettings, *, speed: float = 1.0, by_type: bool = False, now: bool = False) -> int:
    """Publish a recording with its scopes as keys and CloudEvents headers; how many events every replica has."""
    return asyncio.run(publish(events_of(recording, now=now), settings, speed=speed, by_type=by_type))


async def publish(events: Iterable[AnyInput], settings: KafkaSettings, *, speed: float = 0.0, by_type: bool = False) -> int:
    """Publish events at their own pace times `speed`, 0 as fast as possible; how many every replica has."""
    from aiokafka import AIOKafkaProducer
    from aiokafka.errors import KafkaError

    headers: Any = import_module("pointsman.schemas.cloudevents").headers
    producer: Any = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all", linger_ms=20, enable_idempotence=True, **security(settings))
    pace = Pace(speed) if speed else None
    count, pending = 0, []
    try:
        await admission(settings)
        await producer.start()
        for event in events:
            if pace is not None and (delay := pace.delay(event.occurred_at)) > 0:
                await asyncio.sleep(delay)
            topic = topic_of(event, settings.topic_prefix, by_type=by_type)
            pending.append(await producer.send(topic, encode(event), key=event.scope.encode(), headers=headers(event)))
            count += 1
            if len(pending) >= BATCH:
                await asyncio.gather(*pending)
                pending.clear()
        await asyncio.gather(*pending)
    except KafkaError as error:
        raise ReplayError(await explained(settings, error, "is the broker up, and were the topics made with `pointsman topics`?")) from None
    finally:
        await producer.stop()
    return count


def simulate_http(recording: Path, url: str, *, speed: float = 0.0, now: bool = False, token: str | None = None) -> int:
    """Post a recording to `/v1/events` in batches, an event a line; how many events were taken."""
    pace = Pace(speed) if speed else None
    batch: list[bytes] = []
    count = 0
    for event in events_of(recording, now=now):
        if pace is not None and pace.delay(event.occurred_at) > 0:
            _post(url, batch, token)
            batch = []
            pace.wait(event.occurred_at)
        batch.append(encode(event))
        count += 1
        if len(batch) >= BATCH:
            _post(url, batch, token)
            batch = []
    _post(url, batch, token)
    return count


def _post(url: str, batch: list[bytes], token: str | None) -> None:
    if not batch:
        return
    try:
        answer = post_events(url, batch, token)
    except PostError as error:
        raise ReplayError(str(error)) from None
    if not answer["accepted"]:
        raise ReplayError(f"{url}: {answer['rejections'][0]['message']}")


__all__ = ["events_of", "publish", "simulate_http", "simulate_kafka", "topic_of"]
