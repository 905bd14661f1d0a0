"""Replay: fold a recording through the core, in file order, and write every output; the same function as live."""

import asyncio
import base64
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pointsman.schemas import AnyInput, Event, EventRejected, OptimizationConfig, dead_letter, encode
from pointsman.schemas.access import admission, explained
from pointsman.schemas.settings import KafkaSettings, security

from .core import Core
from .intake import accept
from .journal import reading
from .operator import Reporter
from .recording import Overlong, naming, open_write, read_lines

SQLITE_MAGIC = b"SQLite format 3"
Placed = tuple[str, bytes]
Write = Callable[[bytes], Any]


class ReplayError(ValueError):
    """A replay that cannot go on as asked; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a replay did: events folded, outputs written, events rejected."""

    events: int
    outputs: int
    rejected: int

    def __str__(self) -> str:
        return f"{self.events} events, {self.outputs} outputs, {self.rejected} rejected"


def replay(
    lines: Iterable[Placed], core: Core, write_output: Write, write_rejected: Write, *, speed: float | None = None, reporter: Reporter | None = None
) -> Summary:
    """Fold `(place, line)` pairs; outputs and dead letters are written as lines. `speed` 2 plays an hour in half an hour.

    A `reporter` tells the operator's scope of incidents, right behind the event that caused them; a report that the recording has by itself is then a repeat.
    """
    events = outputs = rejected = 0
    step = core.step
    pace = Pace(speed) if speed else None
    for place, line in lines:
        event = accept(line, place=place)
        if isinstance(event, EventRejected):
            letter = event.model_copy(update={"payload_bytes": line.length}) if isinstance(line, Overlong) else event
            write_rejected(encode(letter) + b"\n")
            rejected += 1
            continue
        if pace is not None:
            pace.wait(event.occurred_at)
        refused = False
        for output in step(event) if reporter is None else _reported(event, core, reporter):
            if type(output) is EventRejected:
                letter = dead_letter(place, line, output.reason, occurred_at=output.occurred_at, scope=output.scope)
                write_rejected(encode(letter) + b"\n")
                refused = True
            else:
                write_output(encode(output) + b"\n")
                outputs += 1
        if refused:
            rejected += 1
        else:
            events += 1
    return Summary(events, outputs, rejected)


def _reported(event: AnyInput, core: Core, reporter: Reporter) -> Iterator[Event]:
    """What an event causes, and what the reports of that cause in the operator's scope."""
    waiting = deque([event])
    while waiting:
        for output in core.step(waiting.popleft()):
            waiting += reporter.observe(output)
            yield output


class Pace:
    """Waits so that event time passes `speed` times as fast as the wall clock; never for a time that is past."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._start: tuple[float, float] | None = None

    def delay(self, occurred_at: float) -> float:
        """Seconds left until an event of this time is due."""
        if self._start is None:
            self._start = (occurred_at, time.monotonic())
        first, began = self._start
        return max(0.0, (occurred_at - first) / self.speed - (time.monotonic() - began))

    def wait(self, occurred_at: float) -> None:
        """Sleep until an event of this time is due."""
        if (delay := self.delay(occurred_at)) > 0:
            time.sleep(delay)


def source_lines(source: str, *, database: bool = False, kafka: KafkaSettings | None = None) -> Iterator[Placed]:
    """Numbered lines of a file, an embedded database (`journal:position`) or a `kafka://` journal partition, reached by the settings `kafka`."""
    if source.startswith("kafka://"):
        return kafka_lines(source, kafka or KafkaSettings())
    path = Path(source)
    if not path.is_file():
        raise ReplayError(f"{source}: no such file; give a recording, an embedded database or a kafka:// address")
    if database or is_database(path):
        return database_lines(path)
    name = path.name
    return ((f"{name}:{number}", line) for number, line in read_lines(path))


def is_database(path: Path) -> bool:
    """Whether a file is an SQLite database."""
    with naming(path), path.open("rb") as file:
        return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def database_lines(path: Path) -> Iterator[Placed]:
    """The journal of an embedded database in the order of its positions; reads only."""
    with reading(path) as connection:
        for position, line in connection.execute("SELECT position, line FROM journal ORDER BY position"):
            yield f"journal:{position}", bytes(line)


def database_dead_letters(path: Path) -> Iterator[tuple[int, bytes]]:
    """The numbered dead letters of an embedded database; reads only."""
    with reading(path) as connection:
        yield from connection.execute("SELECT number, line FROM dead_letters ORDER BY number")


def stored_config(source: str) -> OptimizationConfig | None:
    """The configuration that an embedded database began with; None for anything else."""
    path = Path(source)
    if source.startswith("kafka://") or not path.is_file() or not is_database(path):
        return None
    with reading(path) as connection:
        row = connection.execute("SELECT value FROM saved WHERE name = 'config'").fetchone()
    return OptimizationConfig.model_validate_json(row[0]) if row else None


def kafka_lines(address: str, settings: KafkaSettings) -> Iterator[Placed]:
    """A partition of a journal topic, `kafka://host:port/topic?partition=0&from=0&to=100`; `to` is the offset it stops before.

    Without host and port the brokers of the settings are asked.
    """
    parts = urlsplit(address)
    query = parse_qs(parts.query)
    topic = parts.path.strip("/")
    try:
        partition = int(query.get("partition", ["0"])[0])
        start = int(query.get("from", ["0"])[0])
        stop = int(query["to"][0]) if "to" in query else None
    except ValueError:
        raise ReplayError(f"{address}: partition, from and to are whole numbers") from None
    if not topic:
        raise ReplayError(f"{address}: write kafka://host:port/topic?partition=0&from=0&to=100")
    yield from _partition(settings.at(address), topic, partition, start, stop)


def _partition(settings: KafkaSettings, topic: str, partition: int, start: int, stop: int | None) -> Iterator[Placed]:
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.errors import KafkaError

    loop = asyncio.new_event_loop()
    where = TopicPartition(topic, partition)

    async def opened() -> tuple[Any, int]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap_servers, enable_auto_commit=False, isolation_level="read_committed", **security(settings)
        )
        try:
            await admission(settings)
            await consumer.start()
            consumer.assign([where])
            consumer.seek(where, start)
            end = (await consumer.end_offsets([where]))[where]
        except BaseException:
            await consumer.stop()
            raise
        return consumer, end if stop is None else min(stop, end)

    try:
        consumer, end = loop.run_until_complete(opened())
        try:
            while loop.run_until_complete(consumer.position(where)) < end:
                for record in loop.run_until_complete(consumer.getmany(where, timeout_ms=500)).get(where, ()):
                    if record.offset >= end:
                        return
                    yield f"{topic}/{partition}/{record.offset}", record.value or b""
        finally:
            loop.run_until_complete(consumer.stop())
    except KafkaError as error:
        said = loop.run_until_complete(explained(settings, error, f"is the broker up, and the topic {topic} there?"))
        raise ReplayError(said) from None
    finally:
        loop.close()


def load_state(core: Core, path: Path) -> None:
    """Take up the state that an earlier replay left; raises `ReplayError` where it cannot be used."""
    try:
        scopes = json.loads(path.read_bytes())["scopes"]
        decoded = {scope: {name: base64.b64decode(part) for name, part in parts.items()} for scope, parts in scopes.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ReplayError(f"{path}: not a state that `replay --state` left; delete it to start from nothing") from None
    for scope, parts in decoded.items():
        if not core.restore(scope, parts):
            raise ReplayError(f"{path}: scope {scope!r} was left by another version or configuration; delete it and replay from the start")


def save_state(core: Core, path: Path) -> None:
    """Leave the state of every scope, whole or not at all."""
    scopes = {scope: {name: base64.b64encode(part).decode("ascii") for name, part in core.snapshot(scope).items()} for scope in core.scopes()}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps({"version": 1, "scopes": scopes}), encoding="utf-8")
    os.replace(fresh, path)


def rejected_beside(output: Path) -> Path:
    """Where dead letters go unless told: `out.jsonl.gz` has `out.rejected.jsonl` beside it."""
    name = output.name
    for ending in (".gz", ".zst", ".jsonl", ".json"):
        name = name.removesuffix(ending)
    return output.with_name(f"{name}.rejected.jsonl")


def replay_file(
    source: str,
    output: Path,
    *,
    config: OptimizationConfig | None = None,
    rejected: Path | None = None,
    summary: Path | None = None,
    state: Path | None = None,
    speed: float | None = None,
    database: bool = False,
    kafka: KafkaSettings | None = None,
    progress: bool = False,
    operator: str | None = None,
) -> Summary:
    """Replay a source into files; dead letters beside the output, the summary and the state where asked for; `kafka` says how to reach a `kafka://` source.

    The scope `operator` is told of the incidents of a recording; a journal, from a database or Kafka, has what its operator was told.
    """
    core = Core(config)
    letters = rejected or rejected_beside(output)
    named = [path.resolve() for path in (output, letters, summary, state) if path is not None]
    if not source.startswith("kafka://"):
        named.append(Path(source).resolve())
    if len(set(named)) < len(named):
        raise ReplayError("two of input, --output, --rejected, --summary and --state are the same file; give each its own")
    lines = source_lines(source, database=database, kafka=kafka)
    is_journal = source.startswith("kafka://") or database or is_database(Path(source))
    reporter = Reporter(operator) if operator is not None and not is_journal else None
    if state is not None and state.exists():
        load_state(core, state)
    with ExitStack() as stack:
        written = stack.enter_context(open_write(output))
        refused = stack.enter_context(open_write(letters))
        if progress and sys.stderr.isatty():
            lines = _tracked(lines, source, stack)
        result = replay(lines, core, written.write, refused.write, speed=speed, reporter=reporter)
    if state is not None:
        save_state(core, state)
    if summary is not None:
        summary.parent.mkdir(parents=True, exist_ok=True)
        summary.write_text(json.dumps(asdict(result)) + "\n", encoding="utf-8")
    return result


def _tracked(lines: Iterator[Placed], source: str, stack: ExitStack) -> Iterator[Placed]:
    """The same lines under a progress bar; it moves by thousands, so that it costs nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} lines"), TimeElapsedColumn())
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = bar.add_task(f"replay {Path(source).name}", total=None)
    for count, placed in enumerate(lines):
        if count % 1000 == 0:
            bar.update(task, completed=count)
        yield placed


__all__ = ["Pace", "ReplayError", "Summary", "replay", "replay_file", "source_lines", "stored_config"]
