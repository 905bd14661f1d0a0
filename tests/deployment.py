"""A deployment for one test: topics of its own on the real broker, workers as real processes, and what they wrote."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from pointsman.schemas import AnyInput, EventRejected, OptimizationConfig, dead_letter, decode_output, encode
from pointsman.schemas.cloudevents import headers
from pointsman.schemas.settings import KafkaSettings, security
from pointsman.streams.core import Core
from pointsman.streams.topics import OUTPUT_TOPICS, ensure_topics

DEADLINE_S = 60.0
Outputs = dict[tuple[str, str], list[bytes]]


class Deployment:
    """Topics under a prefix, and the worker processes that were started on them."""

    def __init__(self, bootstrap: str, name: str, folder: Path, config: OptimizationConfig, **kafka: Any) -> None:
        self.settings = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=f"{name}-{uuid.uuid4().hex[:8]}.", partitions=2, status_port=0, **kafka)
        self.config = config
        self.workers: list[subprocess.Popen[bytes]] = []
        self._folder = folder
        asyncio.run(ensure_topics(self.settings))

    def __enter__(self) -> "Deployment":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()

    def start(self, instance: str, **changes: Any) -> subprocess.Popen[bytes]:
        """Start a worker; its log is beside its configuration."""
        settings = self.settings.model_copy(update=changes)
        environment = os.environ | self.environment(settings)
        command = [sys.executable, "-m", "pointsman.streams.cli", "worker", "--verbose", "--instance-id", instance]
        with (self._folder / f"{instance}.log").open("ab") as log:
            worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def environment(self, settings: KafkaSettings | None = None) -> dict[str, str]:
        """What tells a command of this deployment and its configuration."""
        kafka = settings or self.settings
        given = json.loads(self.config.model_dump_json(exclude_none=True, exclude_defaults=True))
        found = {f"POINTSMAN_{name.upper()}": value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
        found["POINTSMAN_KAFKA"] = kafka.model_dump_json(exclude_none=True, exclude={"sasl_password"})
        if kafka.sasl_password is not None:
            found["POINTSMAN_KAFKA__SASL_PASSWORD"] = kafka.sasl_password.get_secret_value()
        return found

    def log(self, instance: str) -> str:
        """What a worker has said."""
        return (self._folder / f"{instance}.log").read_text()

    def await_log(self, instance: str, text: str) -> None:
        """Wait until a worker has said this."""
        end, pause = time.monotonic() + DEADLINE_S, threading.Event()
        while text not in self.log(instance):
            if time.monotonic() > end:
                raise AssertionError(f"{instance} never said {text!r}: {self.log(instance)[-2000:]}")
            pause.wait(0.1)

    def publish(self, events: Iterable[AnyInput]) -> None:
        """Publish events in their order; they are in Kafka on return."""
        rows = [(event.scope.encode(), encode(event), headers(event)) for event in events]
        asyncio.run(self._send("events", rows))

    def publish_raw(self, topic: str, rows: Sequence[tuple[bytes | None, bytes, list[tuple[str, bytes]]]]) -> None:
        """Publish any bytes."""
        asyncio.run(self._send(topic, rows))

    async def _send(self, topic: str, rows: Sequence[tuple[Any, bytes, list[tuple[str, bytes]]]]) -> None:
        producer: Any = AIOKafkaProducer(bootstrap_servers=self.settings.bootstrap_servers, acks="all", linger_ms=5, **security(self.settings))
        await producer.start()
        try:
            sent = [await producer.send(self.settings.topic_prefix + topic, value, key=key, headers=given) for key, value, given in rows]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    def expected(self, events: Iterable[AnyInput]) -> Outputs:
        """What a replay of these events writes, by topic and scope."""
        core = Core(self.config)
        found: Outputs = {}
        for event in events:
            for output in core.step(event):
                if isinstance(output, EventRejected):
                    output = dead_letter("-", b"", output.reason)
                found.setdefault((OUTPUT_TOPICS[output.TYPE], output.scope), []).append(encode(output))
        return found

    def outputs(self, enough: int) -> Outputs:
        """What stands on the output topics once there are so many different outputs, the first of each id."""
        return asyncio.run(self._outputs(enough))

    async def _outputs(self, enough: int) -> Outputs:
        topics = [self.settings.topic_prefix + suffix for suffix in dict.fromkeys(OUTPUT_TOPICS.values())]
        consumer: Any = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=self.settings.bootstrap_servers,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            **security(self.settings),
        )
        await consumer.start()
        found: Outputs = {}
        seen: set[str] = set()
        end = time.monotonic() + DEADLINE_S
        try:
            while len(seen) < enough and time.monotonic() < end:
                for tp, records in (await consumer.getmany(timeout_ms=100)).items():
                    for record in records:
                        output = decode_output(record.value)
                        if output.event_id not in seen:
                            seen.add(output.event_id)
                            found.setdefault((tp.topic.removeprefix(self.settings.topic_prefix), output.scope), []).append(record.value)
        finally:
            await consumer.stop()
        if len(seen) < enough:
            said = {path.name: path.read_text()[-3000:] for path in self._folder.glob("*.log")}
            raise AssertionError(f"{len(seen)} outputs after {DEADLINE_S:.0f} s are not enough; the workers said {said}")
        return found


def stop(worker: subprocess.Popen[bytes]) -> int:
    """Ask a worker to stop; its exit code."""
    worker.send_signal(signal.SIGTERM)
    return worker.wait(30)


def count(outputs: Outputs) -> int:
    """How many outputs there are."""
    return sum(map(len, outputs.values()))
