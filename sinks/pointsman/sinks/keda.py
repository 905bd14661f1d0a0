"""A KEDA external scaler over gRPC: desired replicas as the metric of a target of 1, so that the HPA's value ÷ target is what was advised.

Without fresh advice every answer is an error, never a number, and KEDA does what its `fallback` says. `docs/autoscaling.md` has the rest.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Self

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pointsman.schemas import ScalingRecommended

from . import externalscaler as wire
from .standing import NoAdvice, Standing

METRIC = "pointsman-desired-replicas"
REQUIRED = ("scope", "track")
GRACE_S = 5.0
LONGEST_WAIT_S = 60.0
_CODES = {"reading": grpc.StatusCode.UNAVAILABLE, "unknown": grpc.StatusCode.NOT_FOUND, "stale": grpc.StatusCode.UNAVAILABLE}
_ROUNDING = 1e-9


class MetadataError(ValueError):
    """A trigger's metadata cannot be used; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a trigger's metadata asks for."""

    scope: str
    track: str
    activation_threshold: float = 0.0
    concurrency_per_replica: float | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Self:
        """Read the metadata; keys of KEDA's own (`scalerAddress`, ...) are passed over."""
        missing = [name for name in REQUIRED if not metadata.get(name)]
        if missing:
            raise MetadataError(f"the trigger's metadata has no {' and no '.join(missing)}: set what the advice is for")
        threshold, per_replica = _number(metadata, "activationThreshold"), _number(metadata, "concurrencyPerReplica")
        if per_replica is not None and per_replica <= 0.0:
            raise MetadataError(f"concurrencyPerReplica is {metadata['concurrencyPerReplica']!r}: give how many requests one replica serves at once")
        return cls(metadata["scope"], metadata["track"], threshold or 0.0, per_replica)

    def replicas(self, advice: ScalingRecommended) -> int:
        """Replicas for an advice; one in concurrency takes so many that all of it finds a place.

        Raises `MetadataError` where that needs `concurrencyPerReplica`.
        """
        if advice.unit == "replicas":
            return advice.desired
        if self.concurrency_per_replica is None:
            told = f"scope {self.scope!r}, track {self.track!r} is advised in concurrency"
            raise MetadataError(f"{told}: set concurrencyPerReplica in the trigger's metadata to how many requests one replica serves at once")
        return math.ceil(advice.desired / self.concurrency_per_replica - _ROUNDING)


def _number(metadata: Mapping[str, str], name: str) -> float | None:
    if not metadata.get(name):
        return None
    try:
        value = float(metadata[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0.0:
        raise MetadataError(f"{name} is {metadata[name]!r}: give a number that is not negative")
    return value


class ExternalScaler:
    """The four methods of KEDA's service `externalscaler.ExternalScaler`."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._is_closed = False

    async def IsActive(self, request: wire.ScaledObjectRef, context: Any) -> wire.IsActiveResponse:
        """Whether to have any replica at all: more are advised than the `activationThreshold`."""
        asked, replicas = await self._answer(request, context)
        return wire.IsActiveResponse(result=replicas > asked.activation_threshold)

    async def StreamIsActive(self, request: wire.ScaledObjectRef, context: Any) -> AsyncIterator[wire.IsActiveResponse]:
        """The same at once and at every change; ends with an error when the advice ages, and in peace when the server stops."""
        said: bool | None = None
        while not self._is_closed:
            changed = self._standing.changed
            asked, replicas = await self._answer(request, context)
            is_active, left = replicas > asked.activation_threshold, self._standing.seconds_left(asked.scope, asked.track)
            if is_active != said:
                yield wire.IsActiveResponse(result=is_active)
                said = is_active
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(max(left, 0.0) + 0.01, LONGEST_WAIT_S))

    async def GetMetricSpec(self, request: wire.ScaledObjectRef, context: Any) -> wire.GetMetricSpecResponse:
        """One metric with the target 1; it is there without advice too, since KEDA builds the HPA from it."""
        await self._asked(request, context)
        return wire.GetMetricSpecResponse(metricSpecs=[wire.MetricSpec(metricName=METRIC, targetSize=1, targetSizeFloat=1.0)])

    async def GetMetrics(self, request: wire.GetMetricsRequest, context: Any) -> wire.GetMetricsResponse:
        """The advised replicas."""
        if request.metricName != METRIC:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"no metric {request.metricName!r} here; the only one is {METRIC!r}")
        _, replicas = await self._answer(request.scaledObjectRef, context)
        return wire.GetMetricsResponse(metricValues=[wire.MetricValue(metricName=METRIC, metricValue=replicas, metricValueFloat=float(replicas))])

    def close(self) -> None:
        """End the streams."""
        self._is_closed = True
        self._standing.announce()

    async def _asked(self, request: wire.ScaledObjectRef, context: Any) -> Asked:
        try:
            return Asked.of(request.scalerMetadata)
        except MetadataError as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"{error}; {self._standing.listed()}")

    async def _answer(self, request: wire.ScaledObjectRef, context: Any) -> tuple[Asked, int]:
        """What is asked and the replicas advised for it; ends the call with the status that fits where there are none."""
        asked = await self._asked(request, context)
        try:
            return asked, asked.replicas(self._standing.get(asked.scope, asked.track))
        except NoAdvice as error:
            await _abort(context, _CODES[error.why], str(error))
        except MetadataError as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))


async def _abort(context: Any, code: grpc.StatusCode, message: str) -> NoReturn:
    await context.abort(code, message)
    raise RuntimeError("a call went on after its end")


class ScalerServer:
    """The scaler and gRPC's health service on one port; health is NOT_SERVING until what stood there has been read.

    >>> async def serve(standing: Standing) -> None:
    ...     async with ScalerServer(standing, port=6000) as server:
    ...         await server.ready()
    ...         await asyncio.Event().wait()
    """

    def __init__(self, standing: Standing, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port
        self._standing = standing
        self._scaler = ExternalScaler(standing)
        self._health: Any = health.aio.HealthServicer()  # pyright: ignore[reportAttributeAccessIssue]
        self._server: Any = None

    async def __aenter__(self) -> Self:
        # without this a second server on the same port would silently take half of the calls
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(wire.SERVICE, _handlers(self._scaler)),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        try:
            self.port = self._server.add_insecure_port(f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")
        except RuntimeError:
            raise OSError(f"{self.host}:{self.port} cannot be listened on: is it taken? Give another port or host") from None
        await self._server.start()
        return self

    async def ready(self) -> None:
        """Answer from now on."""
        self._standing.ready()
        await self._say(health_pb2.HealthCheckResponse.SERVING)

    async def _say(self, status: Any) -> None:
        for service in ("", wire.SERVICE):
            await self._health.set(service, status)

    async def __aexit__(self, *_: object) -> None:
        """Let calls that run end, for at most 5 s."""
        await self._health.enter_graceful_shutdown()
        self._scaler.close()
        await self._server.stop(GRACE_S)


def _handlers(scaler: ExternalScaler) -> dict[str, Any]:
    found = {}
    for name, (taken, given, is_stream) in wire.METHODS.items():
        make = grpc.unary_stream_rpc_method_handler if is_stream else grpc.unary_unary_rpc_method_handler
        found[name] = make(
            getattr(scaler, name), request_deserializer=wire.MESSAGES[taken].FromString, response_serializer=wire.MESSAGES[given].SerializeToString
        )
    return found


__all__ = ["METRIC", "Asked", "ExternalScaler", "MetadataError", "ScalerServer"]
