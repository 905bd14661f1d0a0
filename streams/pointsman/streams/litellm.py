"""LiteLLM in three lines: a callback that reports every call, and sends the next one where it is served best.

For `litellm.callbacks` and, as `pointsman.streams.litellm.handler`, for the proxy's configuration. Nothing here waits, and nothing raises into a call.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, TypeVar

from litellm.integrations.custom_logger import CustomLogger

from pointsman.models.sketch import describe
from pointsman.schemas import RequestCompleted, RequestStarted
from pointsman.schemas.inputs import FailureClass
from pointsman.schemas.settings import LiteLLMSettings, Settings, load
from pointsman.sinks.router_view import Routed

from .litellm_attempts import Attempt, Attempts, Journey, Token, journey_of, latest, moment, outcome
from .litellm_calls import REPORTED, Asked, deployment_id, metadata, named, read, track_of
from .litellm_failures import DISCONNECTED, Abandoned, failure
from .litellm_places import check_place, open_place
from .litellm_routing import Routing
from .reports import Report, Reports

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


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
        self._attempts = Attempts()
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

    @property
    def in_flight(self) -> int:
        """Attempts of this process that are on their way."""
        return self._attempts.on_their_way

    def policy_version(self, scope: str | None = None) -> int | None:
        """The version of the policy that is known here; None where there is none."""
        view = self._reports.view
        return view.version(scope or self._settings.scope) if view is not None else None

    def start(self) -> None:
        """Open the place now instead of with the first call."""
        if self.mode != "off":
            self._reports.start()

    def route(self, router: Any) -> None:
        """Apply the policy to the synchronous calls of this `litellm.Router`, too; asynchronous ones need nothing."""
        router.set_custom_routing_strategy(Routing(router, self._narrowed, self._limited))

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
        return self._narrowed(model, healthy_deployments, messages, request_kwargs or {})

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
            self._failed(str(request_data.get("litellm_call_id") or ""), exception)

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

    def _narrowed(self, model: str, deployments: list[dict[str, Any]], messages: Any, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        chosen: list[dict[str, Any]] = self._chosen(model, deployments, messages, arguments) if self.mode != "off" else deployments
        return chosen

    @_harmless(lambda model, deployments, messages, arguments: deployments)
    def _chosen(self, model: str, deployments: list[dict[str, Any]], messages: Any, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        self._reports.start()
        journey = journey_of(arguments, is_routed=True)
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
        routed = view.decide(
            scope,
            request_id=journey.request_id,
            max_output_tokens=asked.max_output_tokens,
            category=asked.category,
            attributes=asked.attributes,
            conversation_id=asked.conversation_id,
            in_flight=self._attempts.in_flight(scope) if self._is_alone else None,
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
        key = str(arguments.get("litellm_call_id") or "")
        attempt = self._depart(key, model, messages, arguments, str(own.get("model_group") or ""))
        if attempt is None:
            return
        attempt.forget = self._watch(key)
        if logging_object is not None:
            self._reports.when_gone(logging_object, partial(self._abandoned, key, attempt))
        learned = self._timeout_s(attempt.journey, attempt.track, arguments.get("timeout"))
        if learned is not None:
            arguments["timeout"] = learned

    def _timeout_s(self, journey: Journey, track: str, given: Any) -> Any:
        """The stricter of the recommended timeout and the call's own; None where nothing is recommended."""
        routed = journey.routed
        if self.mode != "apply" or not self._settings.apply_timeout or routed is None or not routed.timeout_ms or routed.track != track:
            return None
        learned = routed.timeout_ms / 1000.0
        return min(float(given), learned) if isinstance(given, int | float) and given > 0 else given or learned

    @_harmless(lambda arguments, deployment, usual: None)
    def _limited(self, arguments: dict[str, Any], deployment: dict[str, Any], usual: Any) -> Any:
        """The timeout of a synchronous attempt on this deployment; `usual` is the Router's."""
        given = arguments.get("timeout") or (deployment.get("litellm_params") or {}).get("timeout") or usual
        journey = latest()
        return self._timeout_s(journey, track_of(deployment, self._settings.tracks), given) if journey is not None else None

    @_harmless(lambda model, messages, details: None)
    def _leave_synchronously(self, model: str, messages: Any, details: dict[str, Any]) -> None:
        call_type = str(details.get("call_type") or "")
        if call_type not in REPORTED:
            return
        arguments = {**(details.get("litellm_params") or {}), **(details.get("optional_params") or {})}
        provider = str(details.get("custom_llm_provider") or "")
        key = str(details.get("litellm_call_id") or "")
        own = metadata(arguments)
        attempt = self._depart(key, f"{provider}/{model}" if provider else model, messages, arguments, str(own.get("model_group") or ""))
        if attempt is not None:
            token = details["pointsman"] = Token(key)
            self._reports.when_gone(token, partial(self._abandoned, key, attempt))

    def _depart(self, key: str, model: str, messages: Any, arguments: Mapping[str, Any], group: str) -> Attempt | None:
        """Note and report a start; None where this attempt has started already."""
        deployment, flying = deployment_id(arguments), self._attempts.flying(key)
        if flying is not None and flying.deployment == deployment:
            return None
        if flying is not None and self._attempts.end(key) is flying:  # a stream broke off and goes on elsewhere
            self._report_failure(flying, ("unknown", "Superseded"), time.time())
        journey = journey_of(arguments, is_routed=bool(deployment), call_id=key)
        if journey.asked is None:
            journey.asked = read(arguments, messages, group or None, self._settings)
        track, is_first = named(deployment, group, model, self._settings.tracks), not journey.tried
        attempt = Attempt(journey, self._known(journey.asked.scope), journey.depart(track), track, deployment, time.time())
        self._attempts.begin(key, attempt)
        routed = journey.routed if is_first and journey.routed is not None and journey.routed.track == track else None
        self._report_start(attempt, journey.asked, routed)
        return attempt

    def _report_start(self, attempt: Attempt, asked: Asked, routed: Routed | None) -> None:
        fields: dict[str, Any] = attempt.envelope(attempt.started_at, "started") | {
            "max_output_tokens": asked.max_output_tokens,
            "category": asked.category,
            "conversation_id": asked.conversation_id,
            "attributes": asked.attributes,
            "traceparent": asked.traceparent,
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
        ended = moment(payload.get("endTime"), end)
        fields = outcome(payload, attempt.started_at, ended)
        if str((payload.get("error_information") or {}).get("error_code") or "") == DISCONNECTED:
            fields |= {"success": False, "failure_class": "cancelled", "error_type": "ClientDisconnected"}
        self._reports.put(Report(RequestCompleted, attempt.envelope(ended, "completed") | fields))

    @_harmless(lambda details, start, end: None)
    def _logged_failure(self, details: Mapping[str, Any], start: Any, end: Any) -> None:
        payload, error = details.get("standard_logging_object") or {}, details.get("exception")
        if isinstance(error, BaseException):
            attempt = self._arrived(payload, details, start)
            if attempt is not None:
                self._report_failure(attempt, failure(error), moment(payload.get("endTime"), end))

    @_harmless(lambda key, error: None)
    def _failed(self, key: str, error: BaseException) -> None:
        attempt = self._attempts.end(key)
        if attempt is not None:
            self._report_failure(attempt, failure(error), time.time())

    def _abandoned(self, key: str, attempt: Attempt) -> None:
        """LiteLLM has let go of a call without a word: a stream that was left half read."""
        if self._attempts.flying(key) is attempt:
            self._failed(key, Abandoned())

    def _arrived(self, payload: Mapping[str, Any], details: Mapping[str, Any], start: Any) -> Attempt | None:
        """The attempt that this ends, once; one that was answered from a cache before it was sent is made up here."""
        key = str(payload.get("litellm_call_id") or details.get("litellm_call_id") or "")
        if key not in self._attempts and payload.get("cache_hit"):
            self._leave_synchronously(str(details.get("model") or ""), details.get("messages"), dict(details))
            made = self._attempts.flying(key)
            if made is not None:
                made.started_at = moment(payload.get("startTime"), start)
        return self._attempts.end(key)

    def _report_failure(self, attempt: Attempt, found: tuple[FailureClass, str], at: float) -> None:
        attempt.journey.failed.add(attempt.track)
        fields = {"success": False, "failure_class": found[0], "error_type": found[1], "latency_ms": 1000.0 * max(at - attempt.started_at, 0.0)}
        self._reports.put(Report(RequestCompleted, attempt.envelope(at, "completed") | fields))

    def _watch(self, key: str) -> Callable[[], None] | None:
        """Report a call whose task is cancelled: LiteLLM tells nobody."""
        task = asyncio.current_task()
        if task is None:
            return None

        def ended(done: "asyncio.Task[Any]") -> None:
            if done.cancelled():
                self._failed(key, asyncio.CancelledError())

        def forget() -> None:
            task.remove_done_callback(ended)

        task.add_done_callback(ended)
        return forget

    def _known(self, scope: str) -> str:
        """The scope, or the default one where there are too many already: whoever calls may make names up."""
        if scope not in self._scopes:
            if len(self._scopes) >= self._settings.max_scopes:
                return self._settings.scope
            self._scopes.add(scope)
        return scope


_HANDLERS: dict[str, PointsmanCallback] = {}


def __getattr__(name: str) -> Any:
    """`handler`: a callback made from the settings (`pointsman.toml`, `POINTSMAN_LITELLM__PLACE`, ...), once, when it is first asked for."""
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _HANDLERS:
        _HANDLERS[name] = PointsmanCallback()
    return _HANDLERS[name]


__all__ = ["PointsmanCallback"]
