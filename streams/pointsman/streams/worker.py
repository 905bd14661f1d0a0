"""The worker: a Faust app that takes in events, folds the journal and publishes what follows, effectively once.

Two kinds of agents. An *intake* per input topic validates, redacts, sketches and forwards to the journal, or to the dead letters.
The *optimizer* folds the journal, writes the outputs, then a snapshot, and only then commits how far it has come. Nothing is
committed by Faust's own clock: every topic is read with `acks=False`, and the worker commits what is safe.
"""

import asyncio
import json
import logging
import signal
import tempfile
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types import TP

from pointsman.schemas import Event, EventRejected, OptimizationConfig, Origin, WindowClosed, encode
from pointsman.schemas.access import Patience
from pointsman.schemas.settings import KafkaSettings, Settings, security

from .core import Core
from .intake import accept
from .shard import Shard
from .slices import LONGEST, SliceScheduler
from .snapshot_table import Snapshots
from .topics import INPUT_TOPICS, OUTPUT_TOPICS, WORKER, TopicError, ensure_topics, specs
from .writer import Row, Writer

SNAPSHOT_SHARE = 0.05
WINDOWS_KEPT = 1440
HANDOVER_S = 5.0
STOP_S = 10.0
MEND_S = 1.0
MOST_FETCHED = 8 * LONGEST
MOST_UNWRITTEN = 4 * LONGEST
AT_ONCE = 50
TURN_S = 0.005

log = logging.getLogger(__name__)


class WorkerError(Exception):
    """The worker cannot run as asked; the message says what to do."""


class GroupConsumer(Consumer):
    """Faust's consumer, which a rebalance may not crash: it takes partitions away in a thread of its own, between any two lines."""

    def highwater(self, tp: TP) -> int:
        """Where a partition ends, as far as its fetches have shown; 0 where it is not, or no longer, this worker's."""
        try:
            return super().highwater(tp) or 0
        except AssertionError:
            return 0


class Worker:
    """The state of one worker: its shards, its place in every input partition, and its Faust app."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time, make_core: Callable[[OptimizationConfig], Core] = Core) -> None:
        if not hasattr(AIOKafkaConsumerThread, "_ensure_consumer"):
            raise WorkerError(f"faust-streaming {version('faust-streaming')} is not the one this worker was made for: install 0.15.3")
        self.kafka: KafkaSettings = settings.kafka
        self.config = settings.optimization()
        self._clock = clock
        self._make_core = make_core
        self._prefix = settings.kafka.topic_prefix
        self._journal = f"{self._prefix}journal"
        self._writer = Writer(settings.kafka, (spec.name for spec in specs(settings.kafka)))
        self._writing: asyncio.Task[None] | None = None
        self._unwritten: list[Row] = []
        self._busy = asyncio.Lock()
        self._shards: dict[int, Shard] = {}
        self._next: dict[TP, int] = {}
        self._commits: dict[TP, int] = {}
        self._committed: dict[TP, int] = {}
        self._waiting: dict[TP, int] = {}
        self._intakes: dict[TP, asyncio.Lock] = {}
        self._credit = 0.0
        self._last_credit = self._last_mend = time.monotonic()
        self._is_settled = True
        self._is_assigned = False
        self._commits_fail = False
        self._window_keys: dict[str, deque[Any]] = {}
        self._folded_before = 0
        self.app = self._build()
        self._snapshots = Snapshots(self._table.data, uuid.uuid4().hex[:12])

    # the app

    def _build(self) -> Any:
        kafka = self.kafka
        chosen: dict[str, Any] = {"ConsumerScheduler": SliceScheduler} if kafka.feed == "slices" else {}
        if kafka.instance_id is not None:
            chosen["consumer_group_instance_id"] = kafka.instance_id
        app: Any = faust.App(
            f"{self._prefix}{WORKER}",
            broker=[f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")],
            broker_credentials=_credentials(kafka),
            broker_session_timeout=kafka.session_timeout_s,
            broker_heartbeat_interval=kafka.session_timeout_s / 10.0,
            broker_request_timeout=max(40.0, 2.0 * kafka.session_timeout_s),
            broker_max_poll_records=MOST_FETCHED,
            consumer_auto_offset_reset="earliest",
            datadir=tempfile.mkdtemp(prefix="pointsman-worker-"),
            store="memory://",
            stream_wait_empty=False,
            stream_buffer_maxsize=16,
            topic_partitions=kafka.partitions,
            topic_replication_factor=kafka.replication_factor,
            topic_disable_leader=True,
            web_enabled=kafka.status_port > 0,
            web_bind=kafka.status_host,
            web_port=kafka.status_port or 6066,
            autodiscover=False,
            **chosen,
        )
        app.transport.Consumer = GroupConsumer
        self._table = app.Table("snapshots", partitions=kafka.partitions, key_type=bytes, value_type=bytes)
        self._windows = app.Table("windows", partitions=kafka.partitions, key_type=str).tumbling(self.config.intervals.window_s)
        for suffix in dict.fromkeys((*INPUT_TOPICS.values(), "events")):
            topic = app.topic(f"{self._prefix}{suffix}", acks=False, value_serializer="raw", key_serializer="raw")
            app.agent(topic, name=f"intake.{suffix}")(self._intake)
        journal = app.topic(self._journal, acks=False, value_serializer="raw", key_serializer="raw")
        app.agent(journal, name="optimizer")(self._optimize)
        app.timer(kafka.commit_interval_s)(self._keep_house)
        app.on_partitions_revoked.connect(self._hand_over, weak=False)
        app.on_partitions_assigned.connect(self._settle, weak=False)
        app.on_rebalance_complete.connect(self._take_over, weak=False)
        app.on_before_shutdown.connect(self._finish, weak=False)
        app.page("/status/")(self._status_page)
        app.page("/status/{scope}/")(self._scope_page)
        app.page("/windows/{scope}/")(self._windows_page)
        return app

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; raises `WorkerError` where the app has crashed."""
        await self._writer.start()
        try:
            await self.app.start()
            log.info("worker started, group %s", self.app.conf.id)
            await self.app.wait(stop.wait())
            if (reason := self.app.crash_reason) is not None:
                raise WorkerError(f"worker stopped by {type(reason).__name__}: {reason}; start it again, it goes on where it was") from reason
        finally:
            stopping = asyncio.ensure_future(self.app.stop())
            await asyncio.wait((stopping,), timeout=STOP_S if self.app.crashed else None)  # a crashed app may wait for its own tasks for ever
            await self._writer.stop()
            if not self.app.crashed:
                stopping.result()

    # intake

    async def _intake(self, stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            try:
                await self._forward(message.tp, _records(event))
                if any(shard.has_next() for shard in self._shards.values()):
                    async with self._busy:
                        await self._fold_handed()
                        await self._save_some()
            except Exception as error:
                await self._crash(error)

    async def _forward(self, tp: TP, records: list[Any]) -> None:
        """Forward the records of one partition, in order and without a hole; then they may be committed."""
        async with self._intakes.setdefault(tp, asyncio.Lock()):
            if not self._is_assigned:
                return
            due = await self._due(tp)
            if records[0].offset > due:
                await self._forward_missed(tp, due, records[0].offset)
            await self._write(self._accepted(tp, [record for record in records if record.offset >= due]))
            self._note_forwarded(tp, records[-1].offset + 1)

    async def _forward_missed(self, tp: TP, start: int, stop: int) -> None:
        async for records in self._read(tp, start, stop):
            await self._write(self._accepted(tp, records))
        self._note_forwarded(tp, stop)

    async def _write(self, rows: list[Row]) -> None:
        """Write rows; what went to a journal partition of this worker is handed to its fold, at the offsets that the broker gave it."""
        for written in await self._writer.write(rows):
            shard = self._shards.get(written.partition) if written.topic == self._journal else None
            if shard is not None:
                shard.hand(written.offset, [row.value or b"" for row in written.rows])

    def _note_forwarded(self, tp: TP, offset: int) -> None:
        if tp in self.app.consumer.assignment() and offset > self._next.get(tp, 0):
            self._next[tp] = self._commits[tp] = offset

    async def _due(self, tp: TP) -> int:
        """The offset of an input partition that comes next."""
        if tp not in self._next:
            self._next[tp] = await self._committed_offset(tp)
        return self._next[tp]

    def _accepted(self, tp: TP, records: Iterable[Any]) -> list[Row]:
        now = self._clock()
        rows = []
        for record in records:
            event = accept(
                record.value,
                place=f"{tp.topic}/{tp.partition}/{record.offset}",
                headers=record.headers,
                key=record.key,
                keyed=True,
                origin=Origin.model_construct(topic=tp.topic, partition=tp.partition, offset=record.offset),
                now=now,
            )
            rows.append(self._output(event) if isinstance(event, EventRejected) else self._writer.row(self._journal, event))
        return rows

    def _output(self, event: Event) -> Row:
        return self._writer.row(self._prefix + OUTPUT_TOPICS[event.TYPE], event)

    # the fold

    async def _optimize(self, stream: Any) -> None:
        async for event in stream.events():
            try:
                async with self._busy:
                    await self._fold(event.message.partition, _records(event))
                    await self._fold_handed()
                    await self._save_some()
            except Exception as error:
                await self._crash(error)

    async def _fold(self, partition: int, records: list[Any]) -> None:
        tp = TP(self._journal, partition)
        if not self._is_assigned or tp not in self.app.consumer.assignment():
            return
        shard = await self._shard(partition)
        if records[0].offset > shard.applied + 1:
            await self._fold_missed(tp, shard, records[0].offset)
        await self._step(shard, records)

    async def _fold_handed(self) -> None:
        """Fold what this worker wrote itself, as long as nothing else stands in between; the rest comes by the fetch, which passes over what is folded."""
        for shard in list(self._shards.values()):
            while records := shard.take():
                await self._step(shard, records)

    async def _fold_missed(self, tp: TP, shard: Shard, stop: int) -> None:
        async for records in self._read(tp, shard.applied + 1, stop):
            await self._step(shard, records)

    async def _step(self, shard: Shard, records: Sequence[Any]) -> None:
        """Fold a slice and publish what follows; the loop gets its turns in between, so that the last slice's outputs are on their way."""
        outputs: list[Event] = []
        turned = time.monotonic()
        for place in range(0, len(records), AT_ONCE):
            outputs += shard.fold(records[place : place + AT_ONCE])
            if time.monotonic() - turned > TURN_S:
                await asyncio.sleep(0)
                turned = time.monotonic()
        if self._shards.get(shard.partition) is shard:  # else it was handed over meanwhile, and its next owner publishes
            await self._publish(shard.partition, outputs)

    async def _publish(self, partition: int, outputs: list[Event]) -> None:
        """Write outputs behind those before them, while the next records are folded."""
        if not outputs:
            return
        for output in outputs:
            if isinstance(output, WindowClosed):
                self._keep_window(partition, output)
        self._unwritten += [self._output(output) for output in outputs]
        if self._writing is not None and (self._writing.done() or len(self._unwritten) > MOST_UNWRITTEN):
            await self._written()
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_out())

    async def _write_out(self) -> None:
        """Write outputs in their order, all that have gathered at a time, the next only when every replica has the last."""
        while self._unwritten:
            rows, self._unwritten = self._unwritten, []
            await self._writer.write(rows)

    async def _written(self) -> None:
        """Wait until every replica has every output so far, or until they were given up in a hand-over."""
        writing = self._writing
        if writing is not None:
            await asyncio.wait((writing,))
            if self._writing is writing:
                self._writing = None
            if not writing.cancelled():
                writing.result()

    async def _shard(self, partition: int) -> Shard:
        """The shard of a partition: from its snapshots, or where they cannot be used from the journal, without publishing again."""
        shard = self._shards.get(partition)
        if shard is not None:
            return shard
        tp = TP(self._journal, partition)
        shard = Shard(self._journal, partition, self._make_core(self.config))
        committed = await self._committed_offset(tp)
        is_usable = self._snapshots.restore(shard)
        start = committed if is_usable and (shard.ahead or committed == 0) else 0
        shard.applied = start - 1
        if start < committed:
            log.warning("%s/%d: no usable snapshot for all scopes, folding the journal again up to %d", self._journal, partition, committed)
            async for records in self._read(tp, start, committed):
                shard.fold(records)
                await asyncio.sleep(0)
        if tp in self.app.consumer.assignment():  # it may have gone to another worker meanwhile
            self._shards[partition] = shard
        return shard

    # snapshots and commits

    async def _save_some(self, deadline: float | None = None) -> None:
        """Save the scopes that have waited longest, in 5 % of the time at most; with a deadline (monotonic) all that it allows."""
        now = time.monotonic()
        self._credit = min(self._credit + SNAPSHOT_SHARE * (now - self._last_credit), 1.0)
        self._last_credit = now
        for shard in self._shards.values():
            while shard.unsaved:
                scope, entry = next(iter(shard.unsaved.items()))
                now = time.monotonic()
                must_wait = self._credit <= 0 or now - entry.since < self.kafka.snapshot_interval_s
                if must_wait if deadline is None else now > deadline:
                    break
                await self._save(shard, scope)
            self._note_commit(shard)

    async def _save(self, shard: Shard, scope: str) -> None:
        await self._written()
        began = time.monotonic()
        changes = self._snapshots.save(scope, shard.partition, shard.applied, shard.core.snapshot(scope))
        topic = self._table.changelog_topic.get_topic_name()
        rows = [Row(topic, shard.partition, key, value, []) for key, value in changes]
        self._credit -= time.monotonic() - began
        await self._writer.write(rows)
        for key, value in changes:
            if value is None:
                self._table.data.pop(key, None)
            else:
                self._table.data[key] = value
        del shard.unsaved[scope]

    def _note_commit(self, shard: Shard) -> None:
        tp = TP(self._journal, shard.partition)
        safe = shard.is_saved_to()
        if safe > self._committed.get(tp, 0):
            self._commits[tp] = safe

    async def _commit(self) -> None:
        """Commit what is safe; a refusal means that the partitions are another's by now, or that the broker is away."""
        await self._written()
        assigned = self.app.consumer.assignment()
        offsets = {tp: offset for tp, offset in self._commits.items() if tp in assigned and offset != self._committed.get(tp)}
        self._commits.clear()
        if not offsets:
            return
        try:
            await self._ask_consumer("commit", {TopicPartition(*tp): offset for tp, offset in offsets.items()})
        except KafkaError as error:
            if not self._commits_fail:
                log.warning("offsets were not committed (%r): trying again", error)
            self._commits_fail = True
            self._commits = offsets | self._commits
            return
        self._commits_fail = False
        self._committed.update(offsets)

    async def _committed_offset(self, tp: TP) -> int:
        """Where the group stands in a partition; 0 where it stands nowhere."""
        found: int | None = await self._ask_consumer("committed", TopicPartition(*tp))
        self._committed[tp] = found or 0
        return found or 0

    async def _ask_consumer(self, method: str, *arguments: Any) -> Any:
        """Call the group's own consumer on its thread; Faust's `call_thread` would wait behind a fetch, a second where it is quiet.

        Only what asks the group's coordinator: what asks a partition's leader waits behind the fetch on that connection all the same.
        """
        thread = self.app.consumer._thread
        asked = asyncio.run_coroutine_threadsafe(getattr(thread._ensure_consumer(), method)(*arguments), thread.thread_loop)
        return await asyncio.wrap_future(asked)

    async def _keep_house(self) -> None:
        """Once a commit interval: ticks for what is due, snapshots for what is quiet, offsets."""
        if not self._is_assigned:
            return
        try:
            async with self._busy:
                if time.monotonic() - self._last_mend >= MEND_S:
                    self._last_mend = time.monotonic()
                    await self._mend()
                now = self._clock()
                ticks = [self._writer.row(self._journal, tick) for shard in self._shards.values() for tick in shard.ticks(now)]
                await self._write(ticks)
                await self._fold_handed()
                await self._save_some()
                await self._commit()
        except Exception as error:
            await self._crash(error)

    async def _mend(self) -> None:
        """Read again what the group's consumer fetched and no agent got.

        Faust clears its streams' queues once a recovery is over, after it has sought the committed offsets: what was fetched in
        between is gone. The next record would show the hole, but none may come; so a partition that stands still for a second
        although it has more is read apart from the group.
        """
        for tp in self.app.consumer.assignment():
            if tp.topic.endswith("-changelog"):
                continue
            shard = await self._shard(tp.partition) if tp.topic == self._journal else None
            due = await self._due(tp) if shard is None else shard.applied + 1
            position = min(self.app.consumer.highwater(tp), due + MOST_FETCHED)
            if position > due and self._waiting.get(tp) == due:
                log.info("%s/%d: reading %d to %d again", tp.topic, tp.partition, due, position)
                if shard is not None:
                    await self._fold_missed(tp, shard, position)
                else:
                    async with self._intakes.setdefault(tp, asyncio.Lock()):
                        await self._forward_missed(tp, await self._due(tp), position)
            self._waiting[tp] = due

    # partitions come and go

    async def _settle(self, app: Any, assigned: set[TP], **_: Any) -> None:
        self._is_settled = True

    async def _take_over(self, app: Any, **_: Any) -> None:
        """The tables are recovered: their snapshots may be taken up. Faust says so for an assignment that is already revoked as well."""
        self._is_assigned = self._is_settled and bool(self.app.consumer.assignment())

    async def _hand_over(self, app: Any, revoked: set[TP], **_: Any) -> None:
        """Leave snapshots and offsets for whoever folds these partitions next; what Faust still hands out of them is passed over."""
        self._is_settled = self._is_assigned = False
        try:
            async with asyncio.timeout(HANDOVER_S + 2.0), self._busy:
                for forwarding in self._intakes.values():
                    async with forwarding:
                        pass
                await self._written()
                await self._save_some(time.monotonic() + HANDOVER_S)
                await self._commit()
        except (TimeoutError, KafkaError) as error:
            log.warning("partitions were handed over without their last snapshots (%r): their next owner folds a longer tail", error)
            if self._writing is not None:
                self._writing.cancel()  # what it held was not committed and comes again
            self._writing = None
            self._unwritten.clear()
        for tp in revoked:
            for known in (self._next, self._commits, self._committed, self._waiting):
                known.pop(tp, None)
            shard = self._shards.pop(tp.partition, None) if tp.topic == self._journal else None
            if shard is not None:
                self._folded_before += shard.folded
        self._window_keys.clear()

    async def _finish(self, app: Any, **_: Any) -> None:
        await self._hand_over(app, set(self.app.consumer.assignment()))
        log.info("worker stopped, %d journal records folded", self.folded())

    async def _crash(self, error: Exception) -> None:
        log.error("worker stops: %s", error, exc_info=error)
        await self.app.crash(error)
        raise error

    def folded(self) -> int:
        """How many journal records this worker has folded."""
        return self._folded_before + sum(shard.folded for shard in self._shards.values())

    # reading the journal or an input again

    async def _read(self, tp: TP, start: int, stop: int) -> AsyncIterator[list[Any]]:
        """The records of a partition from `start` to before `stop`, apart from the group's own reading."""
        where = TopicPartition(*tp)
        consumer: Any = AIOKafkaConsumer(bootstrap_servers=self.kafka.bootstrap_servers, enable_auto_commit=False, **security(self.kafka))
        await consumer.start()
        try:
            consumer.assign([where])
            first = (await consumer.beginning_offsets([where]))[where]
            if first > start:
                log.warning("%s/%d: the records %d to %d are no longer there", tp.topic, tp.partition, start, first)
            consumer.seek(where, max(start, first))
            while await consumer.position(where) < stop:
                found = (await consumer.getmany(where, timeout_ms=500, max_records=LONGEST)).get(where, [])
                records = [record for record in found if record.offset < stop]
                if records:
                    yield records
        finally:
            await consumer.stop()

    # the status view

    def _keep_window(self, partition: int, closed: WindowClosed) -> None:
        """Keep a closed window for queries, the last 1,440 of each track; the fold does not read them."""
        table = self._windows.table
        track = f"{closed.scope}/{closed.track}"
        if not self._window_keys:
            for key in sorted(table.data, key=lambda known: known[1]):
                self._window_keys.setdefault(key[0], deque()).append(key)
        keys = self._window_keys.setdefault(track, deque())
        fields = json.loads(encode(closed))
        for window_range in table.window.ranges(closed.start):
            if (track, window_range) not in table.data:
                keys.append((track, window_range))
            table.data[track, window_range] = fields
            table.send_changelog(partition, (track, window_range), fields)
        while len(keys) > WINDOWS_KEPT:
            oldest = keys.popleft()
            table.data.pop(oldest, None)
            table.send_changelog(partition, oldest, None)

    async def _status_page(self, request: Any) -> Any:
        shards = [
            {
                "partition": shard.partition,
                "applied": shard.applied,
                "saved_to": shard.is_saved_to(),
                "behind": max(0, self.app.consumer.highwater(TP(self._journal, shard.partition)) - shard.applied - 1),
                "scopes": shard.core.scopes(),
            }
            for shard in self._shards.values()
        ]
        return self.app.web.json(
            {"version": version("pointsman"), "group": self.app.conf.id, "assigned": self._is_assigned, "folded": self.folded(), "shards": shards}
        )

    async def _scope_page(self, request: Any, scope: str) -> Any:
        for shard in self._shards.values():
            if scope in shard.core.scopes():
                return self.app.web.json(shard.core.status(scope))
        return self.app.web.json({"error": f"scope {scope!r} is not on this worker: ask the worker that has its partition"}, status=404)

    async def _windows_page(self, request: Any, scope: str) -> Any:
        found = [value for (key, _), value in self._windows.table.data.items() if key.rsplit("/", 1)[0] == scope]
        found.sort(key=lambda fields: (fields["track"], fields["start"]))
        return self.app.web.json({"scope": scope, "windows": found})


def _records(event: Any) -> list[Any]:
    return event.value if isinstance(event.value, list) else [event.message]


def _credentials(kafka: KafkaSettings) -> Any:
    given = security(kafka)
    context = given.get("ssl_context")
    if "sasl_mechanism" in given:
        return faust.SASLCredentials(
            username=given["sasl_plain_username"], password=given["sasl_plain_password"], mechanism=given["sasl_mechanism"], ssl_context=context
        )
    return faust.SSLCredentials(context) if context is not None else None


async def _ready(settings: Settings, stop: asyncio.Event) -> None:
    """Wait for the broker; raises `AccessError` where it does not let us in, `WorkerError` where topics are missing or not as they should be."""
    patience = Patience(settings.kafka, "Trying again until it answers")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it would say at each attempt what is said here once
    while not stop.is_set():
        try:
            problems = await ensure_topics(settings.kafka, check=True)
        except TopicError as error:
            await patience.wait(error, stop)
            continue
        patience.end()
        logging.getLogger("aiokafka").setLevel(logging.NOTSET)
        missing = [line for line in problems if "missing" in line or "partitions instead" in line]
        if missing:
            raise WorkerError(f"{'; '.join(missing)}: run `pointsman topics` with the same settings first")
        return


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await _ready(settings, stop)
    if not stop.is_set():
        await Worker(settings).run(stop)


def run(settings: Settings, *, is_verbose: bool = False) -> None:
    """Run a worker until SIGTERM or SIGINT; verbose, with what Faust and aiokafka say."""
    logging.basicConfig(level=logging.INFO if is_verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pointsman").setLevel(logging.INFO)
    asyncio.run(_work(settings))


__all__ = ["Worker", "WorkerError", "run"]
