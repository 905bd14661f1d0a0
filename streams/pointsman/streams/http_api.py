"""The HTTP API over a back end: events in, recommendations, status, policy, explanations and a stream of outputs out."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pointsman.schemas import OUTPUTS, Reason, Sketch, encode, explain
from pointsman.schemas.envelope import Attributes, Count, Identifier, ShortText
from pointsman.schemas.settings import OtelSettings, ServeSettings
from pointsman.sinks.page import add_page

from .backend import AWAY_AFTER_S, Away, Backend
from .desk import Overloaded
from .embedded import Recommended
from .event_stream import EventStream, Filter, TooManySubscribers
from .http_bodies import NoSuchMediaType, split
from .http_guard import App, Bucket, Guard, Problem, Receive, Scope, Send, too_fast
from .http_gzip import read_unpacked
from .http_metrics import Metered
from .http_openapi import VERSION, describe, finish
from .http_otlp import LOGS, TRACES, Otlp
from .http_otlp import place as otlp_place

JSON = "application/json"
MOST_REJECTIONS = 1_000
log = logging.getLogger(__name__)
Found = TypeVar("Found")
_RECOMMENDED: TypeAdapter[Recommended] = TypeAdapter(Recommended)


class Ask(BaseModel):
    """What is known of a request that is to be routed; a `query` or an `embedding` is sketched and dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)
    scope: Identifier
    request_id: ShortText = ""
    query: Annotated[str, Field(max_length=1_000_000)] | None = None
    sketch: Sketch | None = None
    embedding: Annotated[list[float], Field(min_length=1, max_length=8192)] | None = None
    input_tokens: Count | None = None
    max_output_tokens: Count | None = None
    category: Identifier | None = None
    conversation_id: ShortText | None = None
    attributes: Attributes | None = None


class Rejection(Reason):
    """Why the event at this place of the body became a dead letter."""

    index: int


class Taken(BaseModel):
    """What became of the posted events; at most 1,000 rejections are listed."""

    accepted: int
    rejected: int
    rejections: list[Rejection]


class Api:
    """The endpoints on one back end; made on the loop that serves them."""

    def __init__(self, back: Backend, settings: ServeSettings, otel: OtelSettings | None = None) -> None:
        self._settings = settings
        self.back = back
        self.stream = back.stream
        self.meter = back.meter
        self._bucket = Bucket(settings.events_per_s, settings.burst)
        self._otlp = Otlp(back.record, self._bucket, self.meter, settings, otel or OtelSettings())

    async def events(self, request: Request) -> Response:
        """Record the events of a body; those that are refused become dead letters."""
        body = await read_unpacked(request, self._settings.max_body_bytes, self._settings.body_s)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            posted = split(body, kind, request.headers, self._settings.max_batch)
        except NoSuchMediaType as error:
            raise Problem(415, "unknown_media_type", str(error)) from None
        if len(posted) > self._settings.max_batch:
            raise Problem(413, "too_large", f"a body has at most {self._settings.max_batch} events: send smaller batches")
        if wait := self._bucket.take(max(len(posted), 1)):
            raise too_fast(wait)
        try:
            reasons = await self.back.record(posted)
        except Overloaded:
            raise too_fast(1.0) from None
        self.meter.recorded(reasons)
        refused = [Rejection(index=index, code=reason.code, message=reason.message) for index, reason in enumerate(reasons) if reason is not None]
        if not refused:
            return Response(b'{"accepted":%d,"rejected":0,"rejections":[]}' % len(reasons), media_type=JSON)
        taken = Taken(accepted=len(reasons) - len(refused), rejected=len(refused), rejections=refused[:MOST_REJECTIONS])
        return Response(taken.model_dump_json(), 200 if taken.accepted else 422, media_type=JSON)

    async def traces(self, request: Request) -> Response:
        """Record what GenAI spans tell, sent by OTLP; docs/otel.md."""
        return await self._otlp.answer(request, TRACES)

    async def logs(self, request: Request) -> Response:
        """Record the evaluations among log records, sent by OTLP; docs/otel.md."""
        return await self._otlp.answer(request, LOGS)

    async def recommendations(self, request: Request) -> Response:
        """The track for one request, by the policy in force: nothing is recorded."""
        body = await read_unpacked(request, self._settings.max_body_bytes, self._settings.body_s)
        self._pay()
        try:
            ask = Ask.model_validate_json(body)
        except ValidationError as error:
            raise Problem(422, "invalid_field", explain(error)) from None
        fields = {name: getattr(ask, name) for name in Ask.model_fields}
        try:
            decision = await self.back.recommend(fields)
        except ValueError as error:
            raise Problem(422, "invalid_field", str(error)) from None
        except LookupError as error:
            raise Problem(409, "no_track_known", str(error)) from None
        return Response(_RECOMMENDED.dump_json(decision), media_type=JSON)

    async def status(
        self, scope: Annotated[Identifier | None, Query(description="This scope only; unless told the 64 that were heard of last.")] = None
    ) -> Response:
        """What is known per scope: tracks, budgets, objectives, alerts, and the board; how many scopes are left out is in `Pointsman-Scopes-Left-Out`."""
        self._pay()
        found, left_out = await _found(self.back.status(scope))
        return _json(found, {"pointsman-scopes-left-out": str(left_out)})

    async def incidents(
        self, scope: Annotated[Identifier | None, Query(description="This scope only; unless told the 64 that were heard of last.")] = None
    ) -> Response:
        """The incidents of the board, by scope: open ones first, the newest event of each with `is_open` and its `course`."""
        self._pay()
        found, left_out = await _found(self.back.status(scope))
        return _json({name: _incidents(one) for name, one in found.items()}, {"pointsman-scopes-left-out": str(left_out)})

    async def incident(self, incident: str, scope: Annotated[Identifier, Query(description="The scope of the incident.")]) -> Response:
        """One incident, open or one of the last ten that are over."""
        self._pay()
        found, _ = await _found(self.back.status(scope))
        for one in _incidents(found[scope]):
            if one["incident"] == incident:
                return _json(one)
        raise Problem(404, "not_found", f"scope {scope!r} has no incident {incident[:200]!r} among the open ones and the last that are over: GET /v1/incidents")

    async def series(self, scope: Annotated[Identifier, Query(description="The scope.")]) -> Response:
        """What was, for charts: windows, recommendations, forecasts beside what came, resources, alerts."""
        self._pay()
        return _json(await _found(self.back.series(scope)))

    async def policy(self, scope: Annotated[Identifier, Query(description="The scope.")]) -> Response:
        """The policy in force, which a router can evaluate by itself: docs/policy.md has the formula."""
        self._pay()
        policy = await _found(self.back.policy(scope))
        if policy is None:
            raise Problem(404, "no_policy_yet", f"scope {scope!r} has no policy yet: its first one follows its first request")
        return Response(encode(policy), media_type=JSON)

    async def explanation(self, request_id: str, scope: Annotated[Identifier, Query(description="The scope of the request.")]) -> Response:
        """Why a request took its track, and what would have changed that."""
        self._pay()
        return _json(asdict(await _found(self.back.explain(scope, request_id))))

    async def outputs(
        self,
        request: Request,
        scope: Annotated[Identifier | None, Query(description="Outputs of this scope only.")] = None,
        type: Annotated[list[str] | None, Query(description="Outputs of this type only; may be repeated.", max_length=32)] = None,
        follow: Annotated[bool, Query(description="Stay connected; else the answer ends where there is no more now.")] = True,
    ) -> Response:
        """Every output as a server-sent event, whose id is its `event_id`; with `Last-Event-ID`, first what came after that one."""
        self._pay()
        if unknown := sorted(set(type or ()) - set(OUTPUTS)):
            raise Problem(422, "invalid_field", f"type: no output type {unknown[0][:100]!r}; there are {', '.join(OUTPUTS)}")
        chunks = self.stream.read(Filter(scope, frozenset(type or ())), request.headers.get("last-event-id"), follow=follow)
        try:
            first = await anext(chunks)
        except TooManySubscribers:
            raise Problem(429, "too_many_subscribers", "no room for another subscriber: try again later", {"retry-after": "10"}) from None
        return _EventSource(first, chunks, self._settings.stall_s, self.stream)

    async def health(self) -> Response:
        """Whether the server answers."""
        return _json({"status": "ok"})

    async def ready(self) -> Response:
        """Whether events are taken."""
        await self.back.ready()
        return _json({"status": "ready"})

    async def metrics(self) -> Response:
        """Counters and gauges in the Prometheus text format."""
        self.meter.bounds = await self.back.bounds()
        return Response(self.meter.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _pay(self) -> None:
        if wait := self._bucket.take(1.0):
            raise too_fast(wait)


class _EventSource(Response):
    """A response that never ends by itself: chunks as they come, until the reader is gone or has stopped reading."""

    def __init__(self, first: bytes, chunks: AsyncGenerator[bytes, None], stall_s: float, stream: EventStream) -> None:
        super().__init__(media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._first, self._chunks, self._stall_s, self._stream = first, chunks, stall_s, stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        pumping, leaving = asyncio.create_task(self._pump(scope, send)), asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({pumping, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pumping, leaving):
                task.cancel()
            await asyncio.gather(pumping, leaving, return_exceptions=True)

    async def _pump(self, scope: Scope, send: Send) -> None:
        async with aclosing(self._chunks) as chunks:
            try:
                await self._send(send, self._first, is_more=True)
                async for chunk in chunks:
                    await self._send(send, chunk, is_more=True)
                await self._send(send, b"", is_more=False)
            except TimeoutError:
                self._stream.cut_off += 1
                if (transport := scope.get("pointsman.transport")) is not None:
                    transport.abort()

    async def _send(self, send: Send, body: bytes, *, is_more: bool) -> None:
        async with asyncio.timeout(self._stall_s):
            await send({"type": "http.response.body", "body": body, "more_body": is_more})


async def _found(answer: Awaitable[Found]) -> Found:
    try:
        return await answer
    except LookupError as error:
        raise Problem(404, "not_found", str(error.args[0] if error.args else error)) from None


def _incidents(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of a scope's status; a scope that was not heard of lately has no board."""
    found: list[dict[str, Any]] = (status.get("board") or {}).get("incidents", [])
    return found


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _json(value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(to_json(value, inf_nan_mode="null"), headers=dict(headers or {}), media_type=JSON)


def create_app(api: Api) -> FastAPI:
    """The API as an application; it is served behind `guarded`."""
    app = FastAPI(title="Pointsman", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    for place in (*describe(Taken, Ask), otlp_place(TRACES), otlp_place(LOGS)):
        app.add_api_route(place.path, getattr(api, place.method), methods=[place.verb], **place.fields)
    app.add_api_route("/openapi.json", lambda: _json(app.openapi()), methods=["GET"], include_in_schema=False)
    add_page(app)
    finish(app)
    for kind in (Problem, Away, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _explained)
    return app


def guarded(app: FastAPI, api: Api, token: str) -> App:
    """The application as it is served: counted, and for whoever has the token."""
    return Metered(Guard(_Direct(app, {"/v1/events": api.events, "/v1/recommendations": api.recommendations, "/v1/traces": api.traces}), token), api.meter)


class _Direct:
    """Answers the two routes that a router calls for every request without the framework's steps, which take longer than all else of an answer."""

    def __init__(self, app: App, posts: Mapping[str, Callable[[Request], Awaitable[Response]]]) -> None:
        self._app = app
        self._posts = posts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        found = self._posts.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["pointsman.route"] = scope["path"]
        request = Request(scope, receive, send)
        try:
            response = await found(request)
        except Exception as error:
            response = await _explained(request, error)
        await response(scope, receive, send)


async def _explained(request: Request, error: Exception) -> Response:
    """Every error as a `Reason`."""
    if isinstance(error, HTTPException):
        named = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "refused")
        error = Problem(error.status_code, named, f"{request.method} {request.url.path[:200]}: {error.detail}", dict(error.headers or {}))
    elif isinstance(error, RequestValidationError):
        said = "; ".join(f"{'.'.join(str(part) for part in problem['loc'][1:])}: {problem['msg']}" for problem in error.errors()[:5])
        error = Problem(422, "invalid_field", said)
    elif isinstance(error, Away):
        error = Problem(503, "not_ready", str(error), {"retry-after": str(AWAY_AFTER_S)})
    elif not isinstance(error, Problem):
        log.error("%s %s failed", request.method, request.url.path[:200], exc_info=error)
        error = Problem(503, "failed", f"{type(error).__name__}: see the server's log, and try again", {"retry-after": "1"})
    return Response(error.reason.model_dump_json(), error.status, headers=error.headers, media_type=JSON)


__all__ = ["Api", "Ask", "Rejection", "Taken", "create_app", "guarded"]
