"""LiteLLM in three lines: a callback that reports every call, and sends the next one where it is served best.

For `litellm.callbacks` and, as `pointsman.streams.litellm.handler`, for the proxy's configuration. Nothing here waits, and nothing raises into a call.
"""

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial, wraps
from typing import Any, TypeVar

from litellm.integrations.custom_logger import CustomLogger

from pointsman.models.sketch import describe
from pointsman.schemas import RequestCompleted, RequestStarted
from pointsman.schemas.inputs import FailureClass
from pointsman.schemas.settings import LiteLLMSettings, Settings, load
from pointsman.sinks.router_view import Routed

from .litellm_calls import REPORTED, Asked, deployment_id, metadata, named, read, track_of
from .litellm_failures import DISCONNECTED, failure
from .places import check_place, open_place
from .reports import Report, Reports

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 10_000
Answer = TypeVar("Answer")
Key = tuple[str, str]


@dataclass(slots=True)
class Journey:
    """One request on its way: what was decided for it, and which tracks it has tried."""

    request_id: str
    trace: str | None
    asked: Asked | None = None
    described: dict[str, Any] | None = None
    routed: Routed | None = None
    tried: dict[str, int] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Attempt:
    """One call of one deployment; its events carry `request_id`, the journey's, or that with the attempt's number where the track was tried before."""

    journey: Journey
    scope: str
    request_id: str
    track: str
    started_at: float
    forget: Callable[[], None] | None = None


_journey: ContextVar[Journey | None] = ContextVar("pointsman_journey", default=None)


def _harmless(fallback: Callable[..., Answer]) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Whatever goes wrong in a hook, the call goes on with `fallback`; the first failure is logged, all are counted."""

    def around(hook: Callable[..., Answer]) -> Callable[..., Answer]:
        @wraps(hook)
        def guarded(self: "PointsmanCallback", *given: Any, **named_ones: Any) -> Answer:
            try:
                return hook(self, *given, **named_ones)
            except Exception as error:
                self.noted(error, hook.__name__)
                return fallback(*given, **named_ones)

        return guarded

    return around


class PointsmanCallback(CustomLogger):
    """Reports calls to a place and, with `mode="apply"`, leaves a Router the deployment that the policy draws.

    The place is a database's path, `kafka://host:port` or `http://host:port`. Counters: `sent`, `dropped`, `rejected`, `errors`.
    """

    def __init__(self, place: str | None = None, *, settings: Settings | None = None, **options: Any) -> None:
        """`options` are those of `LiteLLMSettings` (mode, scope, tracks, ...); without a place all come from the settings. Raises `ValueError` for bad ones."""
        super().__init__()
        self._all = settings if settings is not None else load()
        given = options | ({"place": place} if place is not None else {})
        self._settings = LiteLLMSettings.model_validate(self._all.litellm.model_dump() | given)
        check_place(self._settings.place)
        self.errors = 0
        self._attempts: OrderedDict[Key, Attempt | None] = OrderedDict()
        self._in_flight: dict[tuple[str, str], int] = {}
        self._scopes = {self._settings.scope}
        opening = partial(open_place, self._settings.place, self._all, scope=self._settings.scope, source="litellm")
        self._reports = Reports(opening, self._settings.max_waiting, self._settings.close_s)
        self._is_alone = "://" not in self._settings.place

    @property
    def mode(self) -> str:
        """`observe`, `apply` or `off`."""
        return self._settings.mode

    @property
    def sent(self) -> int:
        """Reports that were handed over."""
        return self._reports.sent

    @property
    def dropped(self) -> int:
        """Reports that were lost because too many waited, or because they were no valid event."""
        return self._reports.dropped

    @property
    def rejected(self) -> int:
        """Reports that Pointsman refused; it keeps them as dead letters."""
        return self._reports.rejected

    @property
    def waiting(self) -> int:
        """Reports that are not handed over yet."""
        return self._reports.waiting

    def policy_version(self, scope: str | None = None) -> int | None:
        """The version of the policy that is known here; None where there is none."""
        view = self._reports.view
        return view.version(scope or self._settings.scope) if view is not None else None

    def start(self) -> None:
        """Open the place now instead of with the first call."""
        if self.mode != "off":
            self._reports.start()

    def close(self, timeout_s: float | None = None) -> None:
        """Hand over what waits, for at most `close_s` seconds unless told, and end; the end of the process does it, too."""
        self._reports.close(timeout_s)

    def noted(self, error: Exception, where: str) -> None:
        """Count an error of our own; the first is logged, by its class only, since messages may hold what users wrote."""
        self.errors += 1
        if self.errors == 1:
            log.warning("%s in %s: the call goes on without pointsman, and so do further ones", type(error).__name__, where)

    # what LiteLLM calls before an attempt

    async def async_filter_deployments(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        model: str,
        healthy_deployments: list[dict[str, Any]],
        messages: Any,
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: Any = None,
    ) -> list[dict[str, Any]]:
        """The deployments that this attempt may take."""
        if self.mode == "off":
            return healthy_deployments
        return self._chosen(model, healthy_deployments, messages, request_kwargs or {})

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> dict[str, Any] | None:
        """The deployment is chosen: the attempt starts, and takes its timeout along."""
        if self.mode != "off":
            self._leave(kwargs, str(getattr(call_type, "value", call_type)))
        return None

    def log_pre_api_call(self, model: str, messages: Any, kwargs: Any) -> None:
        """A synchronous call is sent."""
        if self.mode != "off":
            self._leave_synchronously(model, messages, kwargs)

    # what LiteLLM calls after it

    async def async_post_call_failure_deployment_hook(self, request_data: Any, exception: Exception, call_type: Any, fallback_depth: Any = None) -> None:
        """One attempt failed; on an asynchronous call this comes for every one of them."""
        if self.mode != "off":
            self._failed((str(request_data.get("litellm_call_id") or ""), deployment_id(request_data)), exception, time.time())

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A call is done; a stream when its last chunk is."""
        if self.mode != "off":
            self._logged(kwargs, start_time, end_time)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A synchronous call is done."""
        if self.mode != "off":
            self._logged(kwargs, start_time, end_time)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A call failed behind its first chunk, or before an attempt was known."""
        if self.mode != "off":
            self._logged_failure(kwargs, start_time, end_time)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A synchronous call failed."""
        if self.mode != "off":
            self._logged_failure(kwargs, start_time, end_time)

    # choosing

    @_harmless(lambda model, deployments, messages, arguments: deployments)
    def _chosen(self, model: str, deployments: list[dict[str, Any]], messages: Any, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        self._reports.start()
        journey = self._journey_of(arguments, is_routed=True)
        if self.mode != "apply" or len(deployments) < 2:
            return deployments
        tracks = [track_of(deployment, self._settings.tracks) for deployment in deployments]
        journey.routed = self._decide(journey, model, [name for name in tracks if name not in journey.failed] or tracks, messages, arguments)
        if journey.routed is None:
            return deployments
        return [deployment for deployment, name in zip(deployments, tracks, strict=True) if name == journey.routed.track]

    def _decide(self, journey: Journey, group: str, tracks: Sequence[str], messages: Any, arguments: Mapping[str, Any]) -> Routed | None:
        """The draw among these tracks; None where there is no policy, or one that is not to be applied."""
        view = self._reports.view
        asked = journey.asked = read(arguments, messages, group, self._settings)
        scope = self._known(asked.scope)
        if view is None or view.version(scope) is None:
            return None
        if journey.described is None:
            journey.described = {"input_tokens": asked.input_tokens}
            describe(journey.described, asked.text)
        running = {track: count for (place, track), count in self._in_flight.items() if place == scope} if self._is_alone else None
        routed = view.decide(
            scope,
            request_id=journey.request_id,
            max_output_tokens=asked.max_output_tokens,
            category=asked.category,
            attributes=asked.attributes,
            conversation_id=asked.conversation_id,
            in_flight=running,
            among=tracks,
            **journey.described,
        )
        return routed if routed.mode == "apply" else None

    # an attempt's start

    @_harmless(lambda arguments, call_type: None)
    def _leave(self, arguments: dict[str, Any], call_type: str) -> None:
        if call_type.removeprefix("a") not in REPORTED and call_type not in REPORTED:
            return
        own, logging_object = metadata(arguments), arguments.get("litellm_logging_obj")
        model = str(arguments.get("model") or getattr(logging_object, "model", ""))
        messages = arguments.get("messages") or arguments.get("input") or getattr(logging_object, "messages", None)
        key = (str(arguments.get("litellm_call_id") or ""), deployment_id(arguments))
        attempt = self._depart(key, model, messages, arguments, str(own.get("model_group") or ""))
        if attempt is None:
            return
        attempt.forget = self._watch(key)
        routed = attempt.journey.routed
        if self.mode == "apply" and self._settings.apply_timeout and routed is not None and routed.timeout_ms and routed.track == attempt.track:
            given = arguments.get("timeout")
            learned = routed.timeout_ms / 1000.0
            arguments["timeout"] = min(float(given), learned) if isinstance(given, int | float) and given > 0 else given or learned

    @_harmless(lambda model, messages, details: None)
    def _leave_synchronously(self, model: str, messages: Any, details: dict[str, Any]) -> None:
        call_type = str(details.get("call_type") or "")
        if call_type not in REPORTED:
            return
        arguments = {**(details.get("litellm_params") or {}), **(details.get("optional_params") or {})}
        provider = str(details.get("custom_llm_provider") or "")
        key = (str(details.get("litellm_call_id") or ""), deployment_id(arguments))
        own = metadata(arguments)
        self._depart(key, f"{provider}/{model}" if provider else model, messages, arguments, str(own.get("model_group") or ""))

    def _depart(self, key: Key, model: str, messages: Any, arguments: Mapping[str, Any], group: str) -> Attempt | None:
        """Note and report a start; None where this attempt has started already."""
        if self._attempts.get(key) is not None:
            return None
        journey = self._journey_of(arguments, is_routed=bool(key[1]), call_id=key[0])
        if journey.asked is None:
            journey.asked = read(arguments, messages, group or None, self._settings)
        routed, track = journey.routed, named(key[1], group, model, self._settings.tracks)
        tried = journey.tried[track] = journey.tried.get(track, 0) + 1
        request_id = journey.request_id if tried == 1 else f"{journey.request_id[:240]}~{tried}"
        attempt = Attempt(journey, self._known(journey.asked.scope), request_id, track, time.time())
        self._remember(key, attempt)
        first = sum(journey.tried.values()) == 1
        self._report_start(attempt, journey.asked, routed if first and routed is not None and routed.track == track else None)
        return attempt

    def _report_start(self, attempt: Attempt, asked: Asked, routed: Routed | None) -> None:
        fields: dict[str, Any] = self._envelope(attempt, attempt.started_at, "started") | {
            "max_output_tokens": asked.max_output_tokens,
            "category": asked.category,
            "conversation_id": asked.conversation_id,
            "attributes": asked.attributes,
        }
        described = attempt.journey.described
        fields |= described if described is not None else {"input_tokens": asked.input_tokens}
        if routed is not None and routed.propensity > 0.0:
            fields |= {"propensity": routed.propensity, "policy_version": routed.policy_version}
        self._reports.put(Report(RequestStarted, fields, asked.text if described is None else None))

    # an attempt's end

    @_harmless(lambda details, start, end: None)
    def _logged(self, details: Mapping[str, Any], start: Any, end: Any) -> None:
        payload = details.get("standard_logging_object") or {}
        attempt = self._arrived(payload, details, start)
        if attempt is None:
            return
        told = payload.get("error_information") or {}
        ended = _moment(payload.get("endTime"), end)
        fields = _outcome(payload, attempt.started_at, ended)
        if str(told.get("error_code") or "") == DISCONNECTED:
            fields |= {"success": False, "failure_class": "cancelled", "error_type": "ClientDisconnected"}
        self._report_end(attempt, ended, fields)

    @_harmless(lambda details, start, end: None)
    def _logged_failure(self, details: Mapping[str, Any], start: Any, end: Any) -> None:
        payload, error = details.get("standard_logging_object") or {}, details.get("exception")
        attempt = self._arrived(payload, details, start) if isinstance(error, BaseException) else None
        if attempt is not None:
            self._report_failure(attempt, failure(error), _moment(payload.get("endTime"), end))

    @_harmless(lambda key, error, moment: None)
    def _failed(self, key: Key, error: BaseException, moment: float) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None:
            self._attempts[key] = None
            self._report_failure(attempt, failure(error), moment)

    def _arrived(self, payload: Mapping[str, Any], details: Mapping[str, Any], start: Any) -> Attempt | None:
        """The attempt that this ends, once; one that was answered from a cache before it was sent is made up here."""
        key = (str(payload.get("litellm_call_id") or details.get("litellm_call_id") or ""), str(payload.get("model_id") or ""))
        if key not in self._attempts and payload.get("cache_hit"):
            self._leave_synchronously(str(details.get("model") or ""), details.get("messages"), dict(details))
            made = self._attempts.get(key)
            if made is not None:
                made.started_at = _moment(payload.get("startTime"), start)
        attempt = self._attempts.get(key)
        if attempt is not None:
            self._attempts[key] = None
        return attempt

    def _report_failure(self, attempt: Attempt, found: tuple[FailureClass, str], moment: float) -> None:
        attempt.journey.failed.add(attempt.track)
        waited = 1000.0 * max(moment - attempt.started_at, 0.0)
        self._report_end(attempt, moment, {"success": False, "failure_class": found[0], "error_type": found[1], "latency_ms": waited})

    def _report_end(self, attempt: Attempt, moment: float, fields: dict[str, Any]) -> None:
        if attempt.forget is not None:
            attempt.forget()
        self._count(attempt, -1)
        self._reports.put(Report(RequestCompleted, self._envelope(attempt, moment, "completed") | fields))

    # bookkeeping

    def _envelope(self, attempt: Attempt, moment: float, what: str) -> dict[str, Any]:
        identity = f"{attempt.request_id[:160]}/{attempt.track[:80]}/{what}"
        return {
            "event_id": identity,
            "scope": attempt.scope,
            "occurred_at": moment,
            "source": "litellm",
            "request_id": attempt.request_id[:256],
            "track": attempt.track,
        }

    def _journey_of(self, arguments: Mapping[str, Any], *, is_routed: bool, call_id: str = "") -> Journey:
        """The request that this attempt is of: retries and fallbacks of a Router run in one context, and count themselves."""
        trace = arguments.get("litellm_trace_id")
        own = metadata(arguments)
        journey = _journey.get() if is_routed else None
        is_new = not (own.get("attempted_retries") or own.get("attempted_fallbacks"))
        if journey is None or journey.trace != trace or (is_new and (not call_id or journey.tried)):
            given = call_id if call_id and not is_routed else arguments.get("litellm_call_id")
            journey = Journey(str(given or uuid.uuid4().hex), str(trace) if trace is not None else None)
            _journey.set(journey)
        return journey

    def _remember(self, key: Key, attempt: Attempt) -> None:
        self._attempts.pop(key, None)
        self._attempts[key] = attempt
        self._count(attempt, 1)
        if len(self._attempts) > MOST_ATTEMPTS:
            _, oldest = self._attempts.popitem(last=False)
            if oldest is not None:
                self._count(oldest, -1)

    def _count(self, attempt: Attempt, change: int) -> None:
        place = (attempt.scope, attempt.track)
        self._in_flight[place] = max(self._in_flight.get(place, 0) + change, 0)

    def _watch(self, key: Key) -> Callable[[], None] | None:
        """Report a call whose task is cancelled: LiteLLM tells nobody."""
        task = asyncio.current_task()
        if task is None:
            return None

        def ended(done: "asyncio.Task[Any]") -> None:
            if done.cancelled():
                self._failed(key, asyncio.CancelledError(), time.time())

        task.add_done_callback(ended)
        return lambda: task.remove_done_callback(ended) and None

    def _known(self, scope: str) -> str:
        """The scope, or the default one where there are too many already: whoever calls may make names up."""
        if scope not in self._scopes:
            if len(self._scopes) >= self._settings.max_scopes:
                return self._settings.scope
            self._scopes.add(scope)
        return scope


def _outcome(payload: Mapping[str, Any], started_at: float, ended: float) -> dict[str, Any]:
    first = payload.get("completionStartTime") if payload.get("stream") else None
    cost, hit = payload.get("response_cost"), payload.get("cache_hit")
    return {
        "success": True,
        "latency_ms": 1000.0 * max(ended - started_at, 0.0),
        "ttft_ms": 1000.0 * max(float(first) - started_at, 0.0) if first else None,
        "input_tokens": payload.get("prompt_tokens"),
        "output_tokens": payload.get("completion_tokens"),
        "cost_usd": cost if isinstance(cost, int | float) and cost >= 0 else None,
        "cache_hit": bool(hit) if hit is not None else None,
    }


def _moment(told: Any, given: Any) -> float:
    """Epoch seconds, as LiteLLM's payload has them, else its arguments, else now."""
    if isinstance(told, int | float) and told > 0:
        return float(told)
    return given.timestamp() if isinstance(given, datetime) else time.time()


_HANDLERS: dict[str, PointsmanCallback] = {}


def __getattr__(name: str) -> Any:
    """`handler`: a callback made from the settings (`pointsman.toml`, `POINTSMAN_LITELLM__PLACE`, ...), once, when it is first asked for."""
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _HANDLERS:
        _HANDLERS[name] = PointsmanCallback()
    return _HANDLERS[name]


__all__ = ["PointsmanCallback"]
