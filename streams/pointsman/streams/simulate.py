"""Simulate: publish a recording, to Kafka or over HTTP, at its own pace, faster, or as fast as possible."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from pointsman.schemas import AnyInput, EventRejected, encode
from pointsman.schemas.access import admission, explained
from pointsman.schemas.settings import KafkaSettings, security

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
    return asyncio.run(_publish(recording, settings, speed, by_type, now))


async def _publish(recording: Path, settings: KafkaSettings, speed: float, by_type: bool, now: bool) -> int:
    from aiokafka import AIOKafkaProducer
    from aiokafka.errors import KafkaError

    headers: Any = import_module("pointsman.schemas.cloudevents").headers
    producer: Any = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all", linger_ms=20, enable_idempotence=True, **security(settings))
    pace = Pace(speed) if speed else None
    count, pending = 0, []
    try:
        await admission(settings)
        await producer.start()
        for event in events_of(recording, now=now):
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
    """Post a recording to `/v1/events` in batches, each a JSON array; how many events were taken."""
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
    target = url.rstrip("/") + "/v1/events"
    if not target.startswith(("http://", "https://")):
        raise ReplayError(f"{url}: write http://host:port")
    body = json.dumps([json.loads(line) for line in batch]).encode()
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(target, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30):
            return
    except urllib.error.HTTPError as error:
        said = {401: "set POINTSMAN_TOKEN, or token in the settings", 429: "it has more than it can take: give a lower --speed"}.get(error.code, error.reason)
        raise ReplayError(f"{target}: {error.code}: {said}") from None
    except urllib.error.URLError as error:
        reason = error.reason.strerror or error.reason if isinstance(error.reason, OSError) else error.reason
        raise ReplayError(f"{target}: {reason}; is `pointsman serve` running there?") from None


__all__ = ["events_of", "simulate_http", "simulate_kafka", "topic_of"]
