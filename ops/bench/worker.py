"""Figures of the worker on a real broker, each beside the plainest program that does the same work; printed, never asserted.

Every job runs in a process of its own, the jobs of a comparison in turn, three times; medians and ratios are shown. Generator, broker,
worker and reader share this machine, so only ratios travel.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pointsman.schemas import OptimizationConfig, RequestCompleted, RequestStarted, Track, decode, encode
from pointsman.schemas.cloudevents import headers
from pointsman.schemas.settings import KafkaSettings, Settings
from pointsman.streams.core import Core
from pointsman.streams.recording import read_lines
from pointsman.streams.topics import ensure_topics

RUNS = 3
TRACKS = (Track(name="local"), Track(name="api"))
LEARNERS = "POINTSMAN_LEARNERS"  # a setting of the worker's, inherited by every process that is started here


def config() -> OptimizationConfig:
    """What every core here, in this process and in workers, is configured with."""
    return OptimizationConfig.model_validate({"tracks": TRACKS, "learners": os.environ.get(LEARNERS, "auto")})


class DecodeOnly(Core):
    """A core that folds nothing, so that only the way through Kafka is measured."""

    def step(self, event: Any) -> list[Any]:
        return []

    def next_due(self, scope: str) -> None:
        return None

    def snapshot(self, scope: str) -> dict[str, bytes]:
        return {}


def settings_of(bootstrap: str, prefix: str, **kafka: Any) -> Settings:
    """Settings of one deployment with one partition."""
    chosen = {"bootstrap_servers": bootstrap, "topic_prefix": prefix, "partitions": 1, "status_port": 0} | kafka
    return Settings(tracks=TRACKS, kafka=KafkaSettings(**chosen))


# jobs: each runs in its own process and prints one number


async def bare(settings: Settings, count: int, fold: bool) -> float:
    """Seconds in which an aiokafka loop decodes, and with `fold` folds and encodes, so many journal records."""
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    where = TopicPartition(f"{settings.kafka.topic_prefix}journal", 0)
    consumer.assign([where])
    await consumer.seek_to_beginning(where)
    core, seen, began = Core(config()), 0, 0.0
    while seen < count:
        for records in (await consumer.getmany(timeout_ms=1000, max_records=4000)).values():
            began = began or time.perf_counter()
            for record in records:
                event = decode(record.value)
                if fold:
                    for output in core.step(event):
                        encode(output)
            seen += len(records)
    spent = time.perf_counter() - began
    await consumer.stop()
    return spent


async def worker(settings: Settings, count: int, fold: bool) -> float:
    """Seconds in which the worker does the same, outputs and snapshots written, offsets committed."""
    from pointsman.streams.worker import Worker

    began, ended = [0.0], [0.0]
    stop = asyncio.Event()

    class Timed(Worker):
        async def _fold(self, partition: int, records: list[Any]) -> None:
            began[0] = began[0] or time.perf_counter()
            await super()._fold(partition, records)
            if self.folded() >= count:
                await self._written()
                ended[0] = time.perf_counter()
                stop.set()

    worker = Timed(settings, make_core=Core if fold else DecodeOnly)
    await worker.run(stop)
    return ended[0] - began[0]


async def stock(settings: Settings, count: int, fold: bool) -> float:
    """Seconds in which an ordinary Faust agent does the same, one event at a time; outputs are encoded, not written."""
    import faust

    app: Any = faust.App(
        f"stock-{uuid.uuid4().hex[:6]}",
        broker=f"kafka://{settings.kafka.bootstrap_servers}",
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
        topic_disable_leader=True,
        datadir=tempfile.mkdtemp(),
        autodiscover=False,
    )
    topic = app.topic(f"{settings.kafka.topic_prefix}journal", value_serializer="raw")
    stop = asyncio.Event()
    work, began, ended = _work(count, fold, stop.set)

    async def agent(stream: Any) -> None:
        async for value in stream:
            work(value)

    app.agent(topic)(agent)
    await app.start()
    await app.wait(stop.wait())
    await app.stop()
    return ended[0] - began[0]


async def quix(settings: Settings, count: int, fold: bool) -> float:
    """The same in Quix Streams."""
    from quixstreams import Application

    app: Any = Application(
        broker_address=settings.kafka.bootstrap_servers, consumer_group=f"quix-{uuid.uuid4().hex[:6]}", auto_offset_reset="earliest", loglevel="ERROR"
    )
    work, began, ended = _work(count, fold, app.stop)
    frame = app.dataframe(app.topic(f"{settings.kafka.topic_prefix}journal", value_deserializer="bytes"))
    frame.update(work)
    app.run()
    return ended[0] - began[0]


async def bytewax(settings: Settings, count: int, fold: bool) -> float:
    """The same in Bytewax."""
    import bytewax.operators as op
    from bytewax.connectors.kafka import KafkaSource
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, run_main

    work, began, ended = _work(count, fold, lambda: None)
    flow = Dataflow("bench")
    topic = f"{settings.kafka.topic_prefix}journal"
    source: Any = KafkaSource([settings.kafka.bootstrap_servers], [topic], tail=False, batch_size=1000)
    taken = op.filter_map("work", op.input("in", flow, source), lambda record: work(record.value))
    op.output("out", taken, TestingSink([]))
    run_main(flow)
    return ended[0] - began[0]


def _work(count: int, fold: bool, stop: Callable[[], Any]) -> tuple[Callable[[bytes], None], list[float], list[float]]:
    """A function that handles one journal record, and when its first and its last one came."""
    core, began, ended, seen = Core(config()), [0.0], [0.0], [0]

    def work(value: bytes) -> None:
        began[0] = began[0] or time.perf_counter()
        event = decode(value)
        if fold:
            for output in core.step(event):
                encode(output)
        seen[0] += 1
        if seen[0] == count:
            ended[0] = time.perf_counter()
            stop()

    return work, began, ended


JOBS: dict[str, Callable[[Settings, int, bool], Any]] = {"bare": bare, "worker": worker, "stock": stock, "quix": quix, "bytewax": bytewax}
PACKAGES = {"quix": "quixstreams", "bytewax": "bytewax"}


def _job(name: str, settings: Settings, count: int, fold: bool) -> float:
    command = [sys.executable, __file__, "--job", name, "--count", str(count), "--settings", settings.kafka.model_dump_json(exclude_none=True)]
    done = subprocess.run([*command, *(["--fold"] if fold else [])], capture_output=True, text=True, check=True, timeout=120)
    return float(done.stdout.split()[-1])


# the figures


async def fill(settings: Settings, lines: list[bytes], count: int, topic: str) -> None:
    """Publish so many journal records: the recording over and over, each time later and under other ids."""
    await ensure_topics(settings.kafka)
    producer: Any = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers, acks="all", linger_ms=20, max_batch_size=262_144)
    await producer.start()
    for number in range(count):
        lap, place = divmod(number, len(lines))
        event = decode(lines[place])
        changes: dict[str, Any] = {"event_id": f"{lap}-{event.event_id}"[:256], "occurred_at": event.occurred_at + lap * 4000.0}
        if hasattr(event, "request_id"):
            changes["request_id"] = f"{lap}-{event.request_id}"[:256]
        moved = event.model_copy(update=changes)
        await producer.send(f"{settings.kafka.topic_prefix}{topic}", encode(moved), key=moved.scope.encode(), headers=headers(moved))
    await producer.stop()


def throughput(bootstrap: str, lines: list[bytes]) -> Iterator[dict[str, Any]]:
    """Worker, bare loop and stock agent over the same journal, decoding only and folding."""
    others = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package) is not None]
    for name in PACKAGES.keys() - others:
        print(f"{name}: not installed; pip install {PACKAGES[name]} to compare with it")
    for label, fold, count in (("decode", False, 100_000), ("fold", True, 40_000)):
        filled = settings_of(bootstrap, f"b{uuid.uuid4().hex[:6]}.")
        asyncio.run(fill(filled, lines, count, "journal"))
        slow = min(count, 20_000)
        spent: dict[str, list[float]] = {}
        for _ in range(RUNS):
            spent.setdefault("bare", []).append(_job("bare", filled, count, fold) / count)
            spent.setdefault("stock", []).append(_job("stock", filled, slow, fold) / slow)
            for name in others:
                spent.setdefault(name, []).append(_job(name, filled, count, fold) / count)
            for interval in (1.0, 86_400.0) if fold else (1.0,):
                again = settings_of(bootstrap, filled.kafka.topic_prefix, snapshot_interval_s=interval)
                _reset_group(again)
                spent.setdefault(f"worker{interval:.0f}", []).append(_job("worker", again, count, fold) / count)
        middle = {name: statistics.median(found) for name, found in spent.items()}
        yield _row(f"worker, {label}", 1 / middle["worker1"], "events/s", "bare aiokafka loop", middle["bare"] / middle["worker1"])
        yield _row(f"worker, {label}", 1 / middle["worker1"], "events/s", "stock Faust agent", middle["stock"] / middle["worker1"])
        for name in others:
            yield _row(f"worker, {label}", 1 / middle["worker1"], "events/s", name, middle[name] / middle["worker1"])
        if fold:
            yield _row("worker with snapshots", 1 / middle["worker1"], "events/s", "without", middle["worker86400"] / middle["worker1"])


def _reset_group(settings: Settings) -> None:
    """Forget how far the group has come, and its snapshots, so that the next run starts from nothing."""
    from aiokafka.admin import AIOKafkaAdminClient

    async def forget() -> None:
        admin: Any = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
        await admin.start()
        prefix = settings.kafka.topic_prefix
        group: Any = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers, group_id=f"{prefix}worker", enable_auto_commit=False)
        await group.start()
        journal = TopicPartition(f"{prefix}journal", 0)
        group.assign([journal])
        await group.commit({journal: 0})
        await group.stop()
        await admin.delete_topics([f"{prefix}worker-snapshots-changelog", f"{prefix}worker-windows-changelog"])
        await admin.close()
        end = time.monotonic() + 30.0
        while time.monotonic() < end:
            with contextlib.suppress(Exception):
                await ensure_topics(settings.kafka)
                if not await ensure_topics(settings.kafka, check=True):
                    return
            await asyncio.sleep(0.2)

    asyncio.run(forget())


def start_worker(settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    """A real worker process."""
    tracks = f"[{','.join(track.model_dump_json() for track in TRACKS)}]"
    environment = os.environ | {"POINTSMAN_KAFKA": settings.kafka.model_dump_json(exclude_none=True), "POINTSMAN_TRACKS": tracks}
    with log.open("ab") as said:
        return subprocess.Popen([sys.executable, "-m", "pointsman.streams.cli", "worker"], env=environment, stdout=said, stderr=said)


def _asked(number: int) -> RequestStarted:
    """A request without a track: its recommendation is the answer."""
    now = time.time()
    return RequestStarted(event_id=f"ask-{number}-{now!r}", scope="demo", occurred_at=now, request_id=f"ask-{number}-{now!r}", input_tokens=300)


async def _first_answer(settings: Settings, number: int) -> float:
    """Seconds from now until a request published now is answered."""
    began = time.perf_counter()
    prefix, servers = settings.kafka.topic_prefix, settings.kafka.bootstrap_servers
    consumer: Any = AIOKafkaConsumer(f"{prefix}recommendations", bootstrap_servers=servers, auto_offset_reset="earliest")
    producer: Any = AIOKafkaProducer(bootstrap_servers=servers)
    await consumer.start()
    await producer.start()
    event = _asked(number)
    await producer.send_and_wait(f"{prefix}events", encode(event), key=b"demo", headers=headers(event))
    try:
        while True:
            for records in (await consumer.getmany(timeout_ms=50)).values():
                if any(event.event_id.encode() in record.value for record in records):
                    return time.perf_counter() - began
    finally:
        await consumer.stop()
        await producer.stop()


def startup(bootstrap: str, folder: Path) -> Iterator[dict[str, Any]]:
    """From a cold start, and from kill -9, to the first recommendation."""
    cold, warm = [], []
    for run in range(RUNS):
        settings = settings_of(bootstrap, f"s{uuid.uuid4().hex[:6]}.", instance_id="one")
        asyncio.run(ensure_topics(settings.kafka))
        for times in (cold, warm):
            process = start_worker(settings, folder / "startup.log")
            times.append(asyncio.run(_first_answer(settings, run)))
            process.kill()
            process.wait()
    yield _row("start to first recommendation", statistics.median(cold), "s")
    yield _row("kill -9 to next recommendation", statistics.median(warm), "s")


async def _latencies(settings: Settings, source: str, sink: str, rate: int, seconds: float, pick: str) -> list[float]:
    """Milliseconds from producing an event until its output is read, at a steady rate."""
    prefix, servers = settings.kafka.topic_prefix, settings.kafka.bootstrap_servers
    consumer: Any = AIOKafkaConsumer(f"{prefix}{sink}", bootstrap_servers=servers, auto_offset_reset="latest")
    producer: Any = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    await consumer.start()
    await producer.start()
    sent: dict[str, float] = {}
    found: list[float] = []
    draw = random.Random(1)

    async def produce() -> None:
        began, started = time.perf_counter(), time.time()
        for number in range(int(rate * seconds)):
            delay = began + number / rate - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            now = time.time()
            kind = number % 10
            common: dict[str, Any] = {"scope": "demo", "occurred_at": now, "track": "local"}
            if kind == 0:
                event: Any = _asked(number)
                sent[event.event_id] = time.perf_counter()
            elif kind % 2:
                event = RequestStarted(event_id=f"start-{number}-{now!r}", request_id=f"r{number}-{started!r}", input_tokens=300, **common)
            else:
                latency_ms = draw.lognormvariate(6, 0.5)
                name = f"r{number - 1}-{started!r}"
                event = RequestCompleted(event_id=f"done-{number}-{now!r}", request_id=name, success=True, latency_ms=latency_ms, **common)
            await producer.send(f"{prefix}{source}", encode(event), key=b"demo", headers=headers(event))

    task = asyncio.create_task(produce())
    quiet = time.perf_counter() + seconds + 5.0
    while time.perf_counter() < quiet and not (task.done() and not sent):
        for records in (await consumer.getmany(timeout_ms=20)).values():
            now = time.perf_counter()
            for record in records:
                cause = json.loads(record.value).get(pick)
                if cause in sent:
                    found.append(1000.0 * (now - sent.pop(cause)))
    await task
    await consumer.stop()
    await producer.stop()
    return sorted(found)


async def _relay(settings: Settings) -> None:
    """Consume and produce, nothing else: one record out for each in."""
    prefix, servers = settings.kafka.topic_prefix, settings.kafka.bootstrap_servers
    consumer: Any = AIOKafkaConsumer(f"{prefix}events", bootstrap_servers=servers)
    producer: Any = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    await consumer.start()
    await producer.start()
    print("ready", flush=True)
    while True:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            for record in records:
                await producer.send(f"{prefix}recommendations", record.value, key=record.key)


def latency(bootstrap: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Event to recommendation at 2,000 events/s, beside a bare consume-and-produce."""
    rows: dict[str, list[list[float]]] = {"bare": [], "worker": []}
    for _ in range(RUNS):
        settings = settings_of(bootstrap, f"l{uuid.uuid4().hex[:6]}.")
        asyncio.run(ensure_topics(settings.kafka))
        command = [sys.executable, __file__, "--job", "relay", "--settings", settings.kafka.model_dump_json(exclude_none=True)]
        relay = subprocess.Popen(command, stdout=subprocess.PIPE)
        if relay.stdout is not None:
            relay.stdout.readline()
        rows["bare"].append(asyncio.run(_latencies(settings, "events", "recommendations", 2000, 5.0, "event_id")))
        relay.send_signal(signal.SIGTERM)
        relay.wait()
        settings = settings_of(bootstrap, f"l{uuid.uuid4().hex[:6]}.")
        asyncio.run(ensure_topics(settings.kafka))
        process = start_worker(settings, folder / "latency.log")
        asyncio.run(_first_answer(settings, -1))
        rows["worker"].append(asyncio.run(_latencies(settings, "events", "recommendations", 2000, 5.0, "caused_by")))
        process.kill()
        process.wait()
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        ours, other = (statistics.median(found[int(share * (len(found) - 1))] for found in rows[side] if found) for side in ("worker", "bare"))
        yield _row(f"event to recommendation, {name}", ours, "ms", "bare consume-and-produce", ours / other)


def memory(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    """Resident memory of a fold after n and 10 n events, and with 1,000 scopes; each in a process of its own."""
    for name in ("memory", "scopes"):
        done = subprocess.run([sys.executable, __file__, "--job", name], capture_output=True, text=True, check=True)
        yield from (_row(*row) for row in json.loads(done.stdout.splitlines()[-1]))


def _memory_job(lines: list[bytes]) -> list[tuple[Any, ...]]:
    core, process = Core(config()), psutil.Process()
    sizes = []
    for lap in range(10):
        for line in lines:
            event = decode(line)
            update: dict[str, Any] = {"event_id": f"{lap}-{event.event_id}", "occurred_at": event.occurred_at + lap * 4000.0}
            core.step(event.model_copy(update=update))
        sizes.append(process.memory_info().rss / 1e6)
    return [("memory after 10 x the events", sizes[-1], "MB", "after 1 x", sizes[-1] / sizes[0])]


def _scopes_job(lines: list[bytes]) -> list[tuple[Any, ...]]:
    core, process = Core(config()), psutil.Process()
    before = process.memory_info().rss / 1e6
    events = [decode(line) for line in lines[:200]]
    began = time.perf_counter()
    for number in range(1000):
        for event in events:
            core.step(event.model_copy(update={"scope": f"scope-{number}"}))
    spent = time.perf_counter() - began
    size = sum(sum(map(len, core.snapshot(scope).values())) for scope in core.scopes()[:20]) / 20
    return [
        ("1,000 scopes, fold", 200_000 / spent, "events/s", None, None),
        ("1,000 scopes, memory of each", 1000.0 * (process.memory_info().rss / 1e6 - before) / 1000.0, "KB", None, None),
        ("1,000 scopes, snapshot of each", size / 1000.0, "KB", None, None),
    ]


def _row(name: str, value: float, unit: str, baseline: str | None = None, ratio: float | None = None) -> dict[str, Any]:
    beside = f"{ratio:.3f} x {baseline}" if ratio is not None else ""
    print(f"{name:<34}{value:>14,.2f} {unit:<10}{beside}", flush=True)
    return {"name": name, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio}


def _broker() -> Any:
    given = os.environ.get("POINTSMAN_TEST_BROKER")
    if given:
        return contextlib.nullcontext(given)
    spec = importlib.util.spec_from_file_location("broker", Path(__file__).parents[1] / "kafka" / "broker.py")
    if spec is None or spec.loader is None:
        raise RuntimeError("ops/kafka/broker.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    @contextlib.contextmanager
    def opened() -> Iterator[str]:
        with module.Broker() as broker:
            yield broker.bootstrap

    return opened()


def main() -> None:
    """Run everything, or as a process of its own one job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="Add the figures to this JSON file.")
    parser.add_argument("--only", choices=("throughput", "startup", "latency", "memory"))
    parser.add_argument("--learners", choices=("light", "full", "auto"), help="Of the cores and workers; auto unless told.")
    parser.add_argument("--job")
    parser.add_argument("--settings")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--fold", action="store_true")
    given = parser.parse_args()
    if given.learners:
        os.environ[LEARNERS] = given.learners
    lines = [line for _, line in read_lines(Path(str(files("pointsman.streams") / "recordings" / "demo.jsonl.gz")))]
    if given.job in ("memory", "scopes"):
        print(json.dumps((_memory_job if given.job == "memory" else _scopes_job)(lines)))
        return
    if given.job:
        settings = Settings(tracks=TRACKS, kafka=KafkaSettings.model_validate_json(given.settings))
        if given.job == "relay":
            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(_relay(settings))
        else:
            print(asyncio.run(JOBS[given.job](settings, given.count, given.fold)))
        return
    rows: list[dict[str, Any]] = []
    with _broker() as bootstrap, tempfile.TemporaryDirectory() as name:
        parts = {
            "throughput": lambda: throughput(bootstrap, lines),
            "startup": lambda: startup(bootstrap, Path(name)),
            "latency": lambda: latency(bootstrap, Path(name)),
            "memory": lambda: memory(lines),
        }
        for part, measure in parts.items():
            if given.only in (None, part):
                rows += measure()
    if given.output is not None:
        known = json.loads(given.output.read_text()) if given.output.exists() else []
        given.output.write_text(json.dumps([*known, *rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
