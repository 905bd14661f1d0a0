"""Producers: publish what happened, from asyncio or from threads, without waiting for the broker.

A prompt given as `query` is sketched here and goes no further. Needs pydantic and aiokafka only.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self

from pointsman.models.sketch import describe
from pointsman.schemas import AnyInput, ConfigChanged, QualityAssessed, RequestCompleted, RequestStarted, ResourceSampled
from pointsman.schemas.settings import KafkaSettings

from .topics import INPUT_TOPICS
from .writer import Row, Writer

BATCH = 500

log = logging.getLogger(__name__)


class Producer:
    """Publishes input events, in the order of the calls; what was published is acknowledged once `flush` returns.

    All types go to one topic, `events`, so that their order holds; with `by_type` each goes to its own. At most `most_waiting`
    events wait for a broker that is slow or away; then `publish` waits, or with `on_full="drop"` counts in `dropped` and goes on.

    >>> async def report() -> None:
    ...     async with Producer(KafkaSettings(bootstrap_servers="127.0.0.1:9092"), source="gateway") as producer:
    ...         await producer.request_started(scope="chat", request_id="r1", track="local", query="Summarise this mail")
    ...         await producer.request_completed(scope="chat", request_id="r1", track="local", success=True, latency_ms=812.0)
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        source: str = "producer",
        by_type: bool = False,
        on_full: Literal["wait", "drop"] = "wait",
        most_waiting: int = 10_000,
    ) -> None:
        self.dropped = 0
        self._source = source
        self._by_type = by_type
        self._on_full = on_full
        self._most_waiting = most_waiting
        self._prefix = settings.topic_prefix
        topics = dict.fromkeys(INPUT_TOPICS.values()) if by_type else ("events",)
        self._writer = Writer(settings, (self._prefix + suffix for suffix in topics))
        self._waiting: deque[AnyInput] = deque()
        self._changed = asyncio.Condition()
        self._sender: asyncio.Task[None] | None = None
        self._is_dropping = False

    async def __aenter__(self) -> Self:
        self._sender = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def request_started(self, *, query: str | None = None, embedding: Sequence[float] | None = None, **fields: Any) -> None:
        """A request was sent (the fields of `RequestStarted`); `query` is sketched and dropped, an `embedding` folded and dropped."""
        describe(fields, query, embedding)
        await self.publish(RequestStarted(**self._envelope(fields)))

    async def request_completed(self, **fields: Any) -> None:
        """An attempt ended (the fields of `RequestCompleted`)."""
        await self.publish(RequestCompleted(**self._envelope(fields)))

    async def resource_sampled(self, **fields: Any) -> None:
        """A host was sampled (the fields of `ResourceSampled`)."""
        await self.publish(ResourceSampled(**self._envelope(fields)))

    async def quality_assessed(self, **fields: Any) -> None:
        """An answer was judged (the fields of `QualityAssessed`)."""
        await self.publish(QualityAssessed(**self._envelope(fields)))

    async def config_changed(self, **fields: Any) -> None:
        """From here on the scope follows another configuration (the fields of `ConfigChanged`)."""
        await self.publish(ConfigChanged(**self._envelope(fields)))

    async def publish(self, event: AnyInput) -> None:
        """Queue an event; raises what the sender died of, if it did."""
        async with self._changed:
            self._raise_if_dead()
            if len(self._waiting) >= self._most_waiting and self._on_full == "drop":
                if not self._is_dropping:
                    log.warning("%d events wait for kafka: further ones are dropped and counted", len(self._waiting))
                self._is_dropping = True
                self.dropped += 1
                return
            await self._changed.wait_for(lambda: len(self._waiting) < self._most_waiting or self._has_died())
            self._raise_if_dead()
            self._waiting.append(event)
            self._changed.notify_all()

    async def flush(self) -> None:
        """Wait until every replica has everything published so far."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting or self._has_died())
            self._raise_if_dead()

    async def close(self, timeout_s: float = 10.0) -> None:
        """Flush, for at most this long, and let go of the connection; what is left then is counted in `dropped`."""
        if self._sender is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self.flush()
        except TimeoutError:
            self.dropped += len(self._waiting)
            log.warning("%d events were not taken by kafka within %.0f s and are lost", len(self._waiting), timeout_s)
        finally:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
            async with self._changed:
                self._sender = None
                self._changed.notify_all()
            await self._writer.stop()

    def _envelope(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"event_id": uuid.uuid4().hex, "occurred_at": time.time(), "source": self._source} | fields

    def _has_died(self) -> bool:
        return self._sender is None or self._sender.done()

    def _raise_if_dead(self) -> None:
        if self._sender is None or self._sender.cancelled():
            raise RuntimeError("the producer is not open: use it with `async with`")
        if self._sender.done():
            self._sender.result()

    async def _send(self) -> None:
        try:
            await self._writer.start_when_there()
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: bool(self._waiting))
                    events = list(islice(self._waiting, BATCH))
                await self._writer.write(map(self._row, events))
                async with self._changed:
                    for _ in events:
                        self._waiting.popleft()
                    self._is_dropping = False
                    self._changed.notify_all()
        finally:
            async with self._changed:
                self._changed.notify_all()

    def _row(self, event: AnyInput) -> Row:
        topic = self._prefix + (INPUT_TOPICS[event.type] if self._by_type else "events")
        return self._writer.row(topic, event)


class SyncProducer:
    """The same for code without asyncio, from any number of threads; it runs its own event loop in a thread.

    >>> def report() -> None:
    ...     with SyncProducer(KafkaSettings(bootstrap_servers="127.0.0.1:9092")) as producer:
    ...         producer.request_started(scope="chat", request_id="r1", track="local")
    """

    def __init__(self, settings: KafkaSettings, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pointsman-producer", daemon=True)
        self._thread.start()
        try:
            self._producer = self._run(self._open(settings, options))
        except BaseException:
            self._end()
            raise

    async def _open(self, settings: KafkaSettings, options: dict[str, Any]) -> Producer:
        return await Producer(settings, **options).__aenter__()

    def _run(self, coroutine: Any) -> Any:
        waiting: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return waiting.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def dropped(self) -> int:
        """How many events were dropped because too many waited."""
        return int(self._producer.dropped)

    def request_started(self, **fields: Any) -> None:
        """See `Producer.request_started`."""
        self._run(self._producer.request_started(**fields))

    def request_completed(self, **fields: Any) -> None:
        """See `Producer.request_completed`."""
        self._run(self._producer.request_completed(**fields))

    def resource_sampled(self, **fields: Any) -> None:
        """See `Producer.resource_sampled`."""
        self._run(self._producer.resource_sampled(**fields))

    def quality_assessed(self, **fields: Any) -> None:
        """See `Producer.quality_assessed`."""
        self._run(self._producer.quality_assessed(**fields))

    def config_changed(self, **fields: Any) -> None:
        """See `Producer.config_changed`."""
        self._run(self._producer.config_changed(**fields))

    def publish(self, event: AnyInput) -> None:
        """See `Producer.publish`."""
        self._run(self._producer.publish(event))

    def flush(self) -> None:
        """See `Producer.flush`."""
        self._run(self._producer.flush())

    def close(self, timeout_s: float = 10.0) -> None:
        """See `Producer.close`; the thread ends with it."""
        if self._thread.is_alive():
            try:
                self._run(self._producer.close(timeout_s))
            finally:
                self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


__all__ = ["Producer", "SyncProducer"]
