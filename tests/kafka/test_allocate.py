"""Shares of a capacity on a real broker: scopes, worker, allocator, and back into the journal."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from deployment import Deployment, stop
from events import completed, started

from pointsman.schemas import AnyInput, CapacityAllocated, OptimizationConfig, Track, decode
from pointsman.schemas.settings import KafkaSettings

pytestmark = pytest.mark.kafka
CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))
DEADLINE_S = 60.0


def busy(scope: str, seconds: int, latency_s: float, now: float) -> list[AnyInput]:
    """A request a second, each so long."""
    events: list[AnyInput] = []
    for second in range(seconds):
        name = f"{scope}{second}"
        events.append(started(name, 0.0).model_copy(update={"scope": scope, "occurred_at": now + second}))
        done = completed(name, 0.0, latency_ms=1000.0 * latency_s, output_tokens=50)
        events.append(done.model_copy(update={"scope": scope, "occurred_at": now + second + latency_s}))
    return sorted(events, key=lambda event: event.occurred_at)


def allocator(settings: KafkaSettings, folder: Path, concurrency: int) -> subprocess.Popen[bytes]:
    """`pointsman allocate` as a process."""
    environment = os.environ | {
        "POINTSMAN_KAFKA": settings.model_dump_json(exclude_none=True),
        "POINTSMAN_TRACKS": f"[{','.join(track.model_dump_json() for track in CONFIG.tracks)}]",
        "POINTSMAN_CAPACITY": f'[{{"track": "local", "concurrency": {concurrency}, "priorities": {{"batch": 1.0}}}}]',
    }
    with (folder / "allocate.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "pointsman.streams.cli", "allocate"], env=environment, stdout=log, stderr=log)


async def journaled(settings: KafkaSettings, scopes: set[str], capacity: int) -> dict[str, int]:
    """The last shares in the journal, by scope, once these scopes have them and they add up to the capacity.

    Windows and forecasts come from two topics, in any order: what each scope gets on the way, and how evenly it ends, may differ from run to run.
    """
    consumer: Any = AIOKafkaConsumer(settings.topic_prefix + "journal", bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    found: dict[str, int] = {}
    try:
        async with asyncio.timeout(DEADLINE_S):
            while set(found) != scopes or sum(found.values()) != capacity:
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    events = [decode(record.value) for record in batch]
                    found |= {event.scope: event.concurrency or 0 for event in events if isinstance(event, CapacityAllocated)}
    finally:
        await consumer.stop()
    return found


def test_shares_come_into_the_journal_and_outlive_the_allocator(bootstrap: str, tmp_path: Path) -> None:
    now = 600.0 * ((time.time() - 400.0) // 600.0) + 60.0  # a window begins, no forecast falls due in it, and it is too old for ticks of the clock
    allocators: list[subprocess.Popen[bytes]] = []
    with Deployment(bootstrap, "allocated", tmp_path, CONFIG) as deployment:
        try:
            deployment.start("one")
            allocators.append(allocator(deployment.settings, tmp_path, 8))
            deployment.publish(busy("chat", 80, 1.0, now))
            assert asyncio.run(journaled(deployment.settings, {"chat"}, 8)) == {"chat": 8}
            deployment.publish(busy("batch", 80, 9.0, now))
            shares = asyncio.run(journaled(deployment.settings, {"chat", "batch"}, 8))
            assert 1 <= shares["chat"] < shares["batch"]
            assert stop(allocators[0]) == 0
            allocators.append(allocator(deployment.settings, tmp_path, 4))
            shares = asyncio.run(journaled(deployment.settings, {"chat", "batch"}, 4))
            assert 1 <= shares["chat"] <= shares["batch"]
            assert stop(allocators[1]) == 0
        finally:
            for process in allocators:
                if process.poll() is None:
                    process.kill()
                process.wait()


def test_without_a_capacity_it_says_what_to_add(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pointsman.streams.cli", "allocate"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"POINTSMAN_TRACKS": '[{"name": "api"}]'}, check=False)
    assert done.returncode == 2 and "[[capacity]]" in done.stderr
    done = subprocess.run(
        [*command, "--set", 'capacity=[{track="local",concurrency=2}]'],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"POINTSMAN_TRACKS": '[{"name": "api"}]'},
        check=False,
    )
    assert done.returncode == 2 and "no configured track" in done.stderr
