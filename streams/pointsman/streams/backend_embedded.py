"""The API on an embedded optimizer: a desk, its board, and its stream."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pointsman.schemas import Event, PolicyPublished, Reason
from pointsman.schemas.settings import ServeSettings
from pointsman.sinks.board import Board

from . import boards
from .backend import Away
from .boards import RECALLED
from .database_history import DatabaseHistory, heard
from .desk import Desk
from .embedded import Bounds, Optimizer, Recommended
from .emitted import Emitted
from .event_stream import EventStream
from .explain import Explanation
from .http_bodies import Posted
from .http_metrics import MOST_SCOPES, REMEMBERED, Meter
from .ring import Ring


class Embedded:
    """See `Backend`; made on the loop that serves."""

    def __init__(self, optimizer: Optimizer, settings: ServeSettings) -> None:
        self.desk = Desk(optimizer, most_waiting=settings.max_waiting)
        self.board = Board()
        self.ring = Ring(optimizer.emitted(lambda log: log.end()).total, int(settings.kept_mb * 1e6))
        self.stream = EventStream(self.ring, DatabaseHistory(self.desk), most=settings.max_subscribers, heartbeat_s=settings.heartbeat_s)
        self.meter = Meter()
        self.meter.watch(lambda: (self.desk.waiting, self.stream.subscribers, self.stream.cut_off, self.desk.is_open))
        optimizer.follow(self._heard)
        optimizer.witness(self.board.hear, RECALLED)
        optimizer.witness(self.meter.gauges.add, REMEMBERED)
        optimizer.witness(self.meter.traffic.add)

    def _heard(self, end: Emitted, outputs: Sequence[tuple[Event, bytes]]) -> None:
        heard(self.ring, end, outputs)
        self.meter.heard(outputs)

    async def record(self, posted: Sequence[Posted]) -> list[Reason | None]:
        """See `Backend.record`; on disk when this returns."""
        return await self.desk.record(posted)

    async def recommend(self, fields: Mapping[str, Any]) -> Recommended:
        """See `Backend.recommend`."""
        return await self.desk.ask(lambda optimizer: optimizer.recommend(**fields))

    async def status(self, scope: str | None) -> tuple[dict[str, Any], int]:
        """See `Backend.status`; a question for each scope, so that events are recorded meanwhile."""
        names, left_out = await self.desk.ask(lambda optimizer: boards.newest(optimizer, self.board)) if scope is None else ([scope], 0)
        return {name: await self.desk.ask(partial(boards.status, board=self.board, name=name)) for name in names}, left_out

    async def series(self, scope: str) -> dict[str, Any]:
        """See `Backend.series`."""
        return await self.desk.ask(lambda _: self.board.series(scope))

    async def policy(self, scope: str) -> PolicyPublished | None:
        """See `Backend.policy`."""
        return await self.desk.ask(lambda optimizer: optimizer.policy(scope))

    async def explain(self, scope: str, request_id: str) -> Explanation:
        """See `Backend.explain`."""
        return await self.desk.ask(lambda optimizer: optimizer.explain(scope, request_id))

    async def bounds(self) -> Mapping[str, Bounds]:
        """See `Backend.bounds`."""
        if not self.desk.is_open:
            return self.meter.bounds
        return await self.desk.ask(lambda optimizer: optimizer.bounds(MOST_SCOPES))

    async def ready(self) -> None:
        """See `Backend.ready`."""
        if not self.desk.is_open:
            raise Away("events are not taken now: the server starts or stops")

    async def close(self) -> None:
        """See `Backend.close`."""
        await self.desk.close()


__all__ = ["Embedded"]
