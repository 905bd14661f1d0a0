"""A router's view: the latest policies and recommendations, so that each request is decided locally in microseconds.

What arrives twice, late or out of order changes nothing: the highest policy version and the newest recommendation count.
Where nothing is known, or the broker is away, the view answers all the same and says `stale`.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from pointsman.models.among import decide_among
from pointsman.models.context import FEATURES_NAME, Context
from pointsman.models.decision import Evaluator
from pointsman.models.sketch import describe
from pointsman.schemas import Event, Expectation, Mode, PolicyPublished, RecommendationIssued, Refused, Sketch, TrackAdvice, decode_output
from pointsman.schemas.access import AccessError
from pointsman.schemas.settings import KafkaSettings, SettingsError

from .follow import follow

MOST_REQUESTS = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Routed:
    """Where one request should go, what is expected of it there, and how long to wait; `stale` where this is not fresh advice."""

    track: str
    propensity: float
    policy_version: int
    timeout_ms: float | None
    ttft_timeout_ms: float | None
    expected: Expectation | None
    reasons: tuple[str, ...]
    stale: bool
    max_concurrency: int | None = None
    mode: Mode = "apply"


class View:
    """The state of a view: fed with output events, it decides; no Kafka in it."""

    def __init__(self, default_track: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self._default_track = default_track
        self._clock = clock
        self._evaluators: dict[str, Evaluator] = {}
        self._unreadable: set[str] = set()
        self._segments: dict[tuple[str, str], RecommendationIssued] = {}
        self._conversations: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._requests: OrderedDict[tuple[str, str], RecommendationIssued] = OrderedDict()

    def add(self, line: bytes) -> None:
        """Take in one output event; anything but a policy or a recommendation is passed over."""
        try:
            event = decode_output(line)
        except Refused:
            return
        self.hear(event)

    def hear(self, event: Event) -> None:
        """The same for an event that is read already."""
        if isinstance(event, PolicyPublished):
            if event.features != FEATURES_NAME:
                if event.scope not in self._unreadable:
                    log.warning("scope %s: its policy needs other features than this version knows: the last one stays in force; upgrade", event.scope)
                    self._unreadable.add(event.scope)
                return
            known = self._evaluators.get(event.scope)
            if known is None or event.version > known.policy.version:
                self._evaluators[event.scope] = Evaluator(event)
        elif isinstance(event, RecommendationIssued) and event.request_id is not None:
            known_one = self._requests.get((event.scope, event.request_id))
            if known_one is None or event.occurred_at > known_one.occurred_at:
                self._requests[event.scope, event.request_id] = event
            if len(self._requests) > MOST_REQUESTS:
                self._requests.popitem(last=False)
        elif isinstance(event, RecommendationIssued):
            standing = self._segments.get((event.scope, event.segment))
            if standing is None or (event.occurred_at, event.policy_version) >= (standing.occurred_at, standing.policy_version):
                self._segments[event.scope, event.segment] = event

    def scopes(self) -> list[str]:
        """The scopes for which there is a policy."""
        return sorted(self._evaluators)

    def version(self, scope: str) -> int | None:
        """The version of a scope's policy, if there is one."""
        evaluator = self._evaluators.get(scope)
        return evaluator.policy.version if evaluator is not None else None

    def recommendation(self, scope: str, request_id: str) -> RecommendationIssued | None:
        """What was recommended for one request that asked by an event."""
        return self._requests.get((scope, request_id))

    def policy(self, scope: str) -> PolicyPublished | None:
        """The policy in force, where there is one."""
        found = self._evaluators.get(scope)
        return found.policy if found is not None else None

    def standing(self, scope: str, category: str | None = None) -> RecommendationIssued | None:
        """The newest recommendation for the segment of a category, else for all requests of a scope."""
        own = self._segments.get((scope, category)) if category is not None else None
        return own or self._segments.get((scope, "all"))

    def decide(
        self,
        scope: str,
        *,
        request_id: str,
        query: str | None = None,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        category: str | None = None,
        sketch: Sketch | None = None,
        embedding: Sequence[float] | None = None,
        attributes: Mapping[str, Any] | None = None,
        conversation_id: str | None = None,
        previous: str | None = None,
        in_flight: Mapping[str, int] | None = None,
        among: Sequence[str] | None = None,
    ) -> Routed:
        """The core's own decision for this request; raises `LookupError` where nothing is known and no default track was given.

        A conversation's last track is `previous`, or the one that this view decided on for the same `conversation_id`.
        `in_flight` is how many requests run now on tracks that slow down under load (local ones), where the router knows; else the policy's count holds.
        `among` are the tracks that can serve this request, where these are not all: the draw is among them, and the propensity is that of this draw.
        """
        evaluator = self._evaluators.get(scope)
        if evaluator is None:
            if self._default_track is None:
                raise LookupError(f"no policy of scope {scope!r} has arrived: wait for one, or give the view a default track")
            return Routed(self._default_track, 1.0, 0, None, None, None, ("no policy has arrived yet: the default track",), True)
        fields: dict[str, Any] = {"input_tokens": input_tokens, "sketch": sketch}
        describe(fields, query, embedding)
        if previous is None and conversation_id is not None:
            previous = self._conversations.get((scope, conversation_id))
        context = Context.of(fields["input_tokens"], max_output_tokens, category, fields["sketch"], attributes, previous, in_flight)
        decision = evaluator.decide(context, scope, request_id) if among is None else decide_among(evaluator, context, scope, request_id, among)
        if conversation_id is not None:
            self._conversations[scope, conversation_id] = decision.track
            self._conversations.move_to_end((scope, conversation_id))
            if len(self._conversations) > MOST_REQUESTS:
                self._conversations.popitem(last=False)
        advice = self._advice(scope, category, decision.track)
        is_stale = evaluator.policy.expires_at < self._clock()
        reasons = (f"policy {decision.policy_version}, strategy {evaluator.policy.strategy}", *(("the policy has expired",) if is_stale else ()))
        mode = evaluator.policy.mode
        if advice is None:
            return Routed(decision.track, decision.propensity, decision.policy_version, None, None, None, reasons, is_stale, mode=mode)
        return Routed(
            decision.track,
            decision.propensity,
            decision.policy_version,
            advice.timeout_ms,
            advice.ttft_timeout_ms,
            advice.expected,
            reasons,
            is_stale,
            advice.max_concurrency,
            mode,
        )

    def _advice(self, scope: str, category: str | None, track: str) -> TrackAdvice | None:
        for segment in (category, "all"):
            standing = self._segments.get((scope, segment)) if segment is not None else None
            for row in standing.tracks if standing is not None else ():
                if row.track == track:
                    return row
        return None


class RouterView(View):
    """A view that follows the topics `policies` and `recommendations`; reads are safe from any thread.

    >>> async def route() -> None:
    ...     async with RouterView(KafkaSettings(bootstrap_servers="127.0.0.1:9092"), default_track="api") as view:
    ...         await view.ready()
    ...         decision = view.decide("chat", request_id="r1", query="Summarise this mail")
    """

    def __init__(self, settings: KafkaSettings, *, default_track: str | None = None, clock: Callable[[], float] = time.time) -> None:
        super().__init__(default_track, clock)
        self._settings = settings
        self._ready = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._follower = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)

    async def ready(self) -> None:
        """Wait until everything that stood on the topics has been read, without a limit of time; raises what the follower died of, if it did."""
        if self._follower is None:
            raise RuntimeError("the view is not open: use it with `async with`")
        waiting = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({waiting, self._follower}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._follower.done():
            self._follower.result()

    async def _follow(self) -> None:
        try:
            await self._follow_through_absences()
        except (AccessError, SettingsError) as error:
            log.error("%s. Deciding without Kafka", error)
            raise

    async def _follow_through_absences(self) -> None:
        consequence = "Deciding by what is known, trying again"
        async with aclosing(follow(self._settings, ("policies", "recommendations"), consequence)) as lines:
            async for line in lines:
                if line is None:
                    self._ready.set()
                else:
                    self.add(line)


__all__ = ["Routed", "RouterView", "View"]
