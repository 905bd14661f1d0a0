"""The API in front of a deployment on Kafka with workers: it publishes, reads what they publish, and decides by their policies."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Self

from pointsman.models.sketch import describe
from pointsman.schemas import OptimizationConfig, PolicyPublished, Reason
from pointsman.schemas.access import AccessError
from pointsman.schemas.settings import KafkaSettings, ServeSettings
from pointsman.sinks.board import Board
from pointsman.sinks.router_view import Routed, RouterView

from .backend import Away
from .boards import MOST_SCOPES
from .core import Core
from .embedded import Bounds, Optimizer, Recommended
from .event_stream import EventStream
from .explain import ExplainError, Explanation, explain_recent
from .feed import JOURNAL, Feed
from .http_bodies import Posted
from .http_metrics import Meter
from .publisher import Publisher
from .ring import Ring
from .topic_history import TopicHistory
from .topic_past import TopicPast, looked_up

FINISH_S = 3.0
log = logging.getLogger(__name__)


class Deployment:
    """See `Backend`; open it on the loop that serves."""

    def __init__(self, kafka: KafkaSettings, config: OptimizationConfig, settings: ServeSettings) -> None:
        self._kafka = kafka
        self._config = config
        self._ring = Ring(kept_bytes=int(settings.kept_mb * 1e6))
        self._board = Board()
        self._publisher = Publisher(kafka, most_waiting=settings.max_waiting)
        self._view = RouterView(kafka)
        self._first = Optimizer.open(":memory:", config, clock=lambda: time.time())  # what the workers say of a scope before its first event
        self._tasks: list[asyncio.Task[None]] = []
        self.meter = Meter()
        self._feed = Feed(kafka, self._ring, self._board, self.meter)
        self.stream = EventStream(self._ring, TopicHistory(kafka, self._feed), most=settings.max_subscribers, heartbeat_s=settings.heartbeat_s)
        self.meter.watch(lambda: (self._publisher.waiting, self.stream.subscribers, self.stream.cut_off, self._has_policies()))

    async def open(self) -> Self:
        """Begin to read and to write; a broker that is away is waited for meanwhile."""
        await self._view.__aenter__()
        self._tasks = [asyncio.create_task(work) for work in (self._feed.run(), self._publisher.run(), self._view.ready())]
        return self

    async def record(self, posted: Sequence[Posted]) -> list[Reason | None]:
        """See `Backend.record`; every replica has them when this returns."""
        return await self._publisher.record(posted)

    async def recommend(self, fields: Mapping[str, Any]) -> Recommended:
        """See `Backend.recommend`; decided here, by the policy that was published last."""
        if not self._has_policies():
            raise Away(f"kafka {self._kafka.bootstrap_servers}: the policies are being read")
        fields = _sketched(fields)
        scope = fields["scope"]
        standing = self._view.standing(scope, fields["category"])
        policy = self._view.policy(scope)
        if standing is None or policy is None:
            return self._first.recommend(**fields)
        routed = self._view.decide(**fields)
        row = next((row for row in standing.tracks if row.track == routed.track), None)
        if row is None:  # a track that only the policy has yet
            return self._first.recommend(**fields)
        is_plan_of_track = standing.track == routed.track
        return Recommended(
            track=routed.track,
            propensity=routed.propensity,
            timeout_ms=row.timeout_ms,
            ttft_timeout_ms=row.ttft_timeout_ms,
            expected=row.expected,
            reasons=_reasons(routed),
            policy_version=routed.policy_version,
            recommendation_id=f"{scope[:100]}/{routed.policy_version}/{fields['request_id'][:100]}",
            **{name: fields[name] for name in ("input_tokens", "max_output_tokens", "category", "sketch", "conversation_id", "attributes")},
            strategy=policy.strategy,
            mode=policy.mode,
            tracks=standing.tracks,
            expires_at=policy.expires_at,
            plan=standing.plan if is_plan_of_track else "single",
            hedge_delay_ms=standing.hedge_delay_ms if is_plan_of_track else None,
            second_track=standing.second_track if is_plan_of_track else None,
            max_concurrency=row.max_concurrency,
        )

    async def status(self, scope: str | None) -> tuple[dict[str, Any], int]:
        """See `Backend.status`: the board, which is what the topics say."""
        names = [scope] if scope is not None else self._board.scopes()[:MOST_SCOPES]
        found = {}
        for name in names:
            if scope is not None or name in self._board:  # it may have gone by now
                found[name] = {"board": self._board.view(name)}
            await asyncio.sleep(0)  # others have their turn between two scopes
        return found, self._board.evicted

    async def series(self, scope: str) -> dict[str, Any]:
        """See `Backend.series`."""
        return self._board.series(scope)

    async def policy(self, scope: str) -> PolicyPublished | None:
        """See `Backend.policy`."""
        found = self._view.policy(scope)
        if found is None and scope not in self._board:
            raise LookupError(f"nothing has been heard of scope {scope!r} yet")
        return found

    async def explain(self, scope: str, request_id: str) -> Explanation:
        """See `Backend.explain`: among the newest 10,000 events of the scope's partition of the journal."""
        number = self._publisher.partition(scope)
        rows, begin, end = await looked_up(self._kafka, (JOURNAL, number), scope)
        policies = [policy for (name, _), policy in self._feed.policies.items() if name == scope]
        past = TopicPast(rows, policies, self._view.recommendation(scope, request_id))
        try:
            found = await asyncio.to_thread(explain_recent, past, Core(self._config).peek(scope), request_id)
        except ExplainError as error:
            said = f"looked at {self._kafka.topic_prefix}{JOURNAL}/{number} from offset {begin} to {end}"
            raise ExplainError(f"{error} ({said})") from None
        return replace(found, notes=[*found.notes, "intervals are shared out as by a learner that has seen nothing"])

    async def bounds(self) -> Mapping[str, Bounds]:
        """See `Backend.bounds`: no event carries them."""
        return {}

    async def ready(self) -> None:
        """See `Backend.ready`."""
        for task in self._tasks:
            if task.done() and (error := task.exception()) is not None:
                raise Away(str(error) if isinstance(error, AccessError) else f"{type(error).__name__}: restart the server")
        if not self._has_policies():
            raise Away(f"kafka {self._kafka.bootstrap_servers}: the policies are being read")
        await self._feed.ready()

    def _has_policies(self) -> bool:
        return bool(self._tasks) and self._tasks[-1].done()  # the view has read what stood on its topics

    async def close(self) -> None:
        """See `Backend.close`."""
        await self._publisher.finish(FINISH_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._view.__aexit__(None, None, None)
        with suppress(RuntimeError):
            self._first.close()


def _sketched(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same with a sketch in the place of a query or an embedding."""
    known = {"input_tokens": fields["input_tokens"], "sketch": fields["sketch"]}
    describe(known, fields["query"], fields["embedding"])
    return {**fields, **known, "query": None, "embedding": None}


def _reasons(routed: Routed) -> tuple[str, ...]:
    return (*routed.reasons, "decided by the server, on the policy that the workers published")


__all__ = ["Deployment"]
