"""The KEDA external scaler, asked by a real gRPC client over a real socket."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import yaml
from advice import forecast, recommended, scored
from events import START
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pointsman.schemas import Event
from pointsman.sinks import externalscaler as wire
from pointsman.sinks.keda import METRIC, REQUIRED, Asked, ScalerServer
from pointsman.sinks.standing import NoAdvice, Standing

ROOT = Path(__file__).parent.parent
PROTO = Path(wire.__file__).with_suffix(".proto")
CHAT = {"scope": "chat", "track": "local", "scalerAddress": "pointsman:6000"}


class Client:
    """Calls as KEDA makes them."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def call(self, method: str, message: Any) -> Any:
        taken, given, is_stream = wire.METHODS[method]
        make = self._channel.unary_stream if is_stream else self._channel.unary_unary
        encode, decode = wire.MESSAGES[taken].SerializeToString, wire.MESSAGES[given].FromString
        return make(f"/externalscaler.ExternalScaler/{method}", request_serializer=encode, response_deserializer=decode)(message, timeout=20)

    async def replicas(self, **metadata: str) -> float:
        reference = wire.ScaledObjectRef(name="vllm", namespace="default", scalerMetadata=CHAT | metadata)
        (value,) = (await self.call("GetMetrics", wire.GetMetricsRequest(scaledObjectRef=reference, metricName=METRIC))).metricValues
        assert value.metricName == METRIC and value.metricValue == value.metricValueFloat
        return float(value.metricValueFloat)

    async def is_active(self, **metadata: str) -> bool:
        return bool((await self.call("IsActive", wire.ScaledObjectRef(scalerMetadata=CHAT | metadata))).result)


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def serving(events: Iterable[Event], standing: Standing | None = None, *, is_ready: bool = True) -> AsyncIterator[tuple[Client, Standing]]:
    """A server that knows these events, and a client of it."""
    standing = standing or Standing(clock=None)
    for event in events:
        standing.add(event)
    async with ScalerServer(standing) as server:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        if is_ready:
            await server.ready()
        yield Client(channel), standing


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    """The status with which a call ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it to its end, for at most 30 s."""
    asyncio.run(asyncio.wait_for(test(), 30))


def test_the_interface_is_what_a_compiler_makes_of_the_proto_file(tmp_path: Path) -> None:
    from grpc_tools import protoc

    assert protoc.main(["protoc", f"--proto_path={PROTO.parent}", f"--descriptor_set_out={tmp_path / 'set'}", PROTO.name]) == 0
    (compiled,) = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "set").read_bytes()).file
    for message in compiled.message_type:
        for field in [*message.field, *(inner for nested in message.nested_type for inner in nested.field)]:
            field.ClearField("json_name")
    assert wire.file_descriptor() == compiled


def test_messages_are_these_bytes() -> None:
    value = wire.MetricValue(metricName="m", metricValue=3, metricValueFloat=3.0)
    assert value.SerializeToString() == b"\x0a\x01m\x10\x03\x19" + struct.pack("<d", 3.0)
    reference = wire.ScaledObjectRef(name="n", namespace="s", scalerMetadata={"scope": "chat"})
    assert reference.SerializeToString() == b"\x0a\x01n\x12\x01s\x1a\x0d\x0a\x05scope\x12\x04chat"


def test_the_metric_over_its_target_is_the_advised_number_of_replicas() -> None:
    async def test() -> None:
        async with serving([recommended(0.0, 3), recommended(60.0, 7)]) as (client, _):
            (spec,) = (await client.call("GetMetricSpec", wire.ScaledObjectRef(scalerMetadata=CHAT))).metricSpecs
            assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == (METRIC, 1, 1.0)
            assert await client.replicas() / spec.targetSizeFloat == 7.0
            assert await client.is_active()

    run(test)


def test_no_replicas_advised_is_not_active() -> None:
    async def test() -> None:
        async with serving([recommended(0.0, 0), recommended(0.0, 2, "large")]) as (client, _):
            assert (await client.replicas(), await client.is_active()) == (0.0, False)
            assert await client.is_active(track="large")
            assert not await client.is_active(track="large", activationThreshold="2")

    run(test)


def test_older_advice_that_comes_again_changes_nothing() -> None:
    async def test() -> None:
        async with serving([recommended(60.0, 7), recommended(0.0, 3)]) as (client, _):
            assert await client.replicas() == 7.0

    run(test)


@pytest.mark.parametrize(("desired", "per_replica", "replicas"), [(33, "16", 3.0), (32, "16", 2.0), (0, "16", 0.0), (3, "0.3", 10.0)])
def test_advice_in_concurrency_is_rounded_up_to_replicas(desired: int, per_replica: str, replicas: float) -> None:
    async def test() -> None:
        async with serving([recommended(0.0, desired, unit="concurrency")]) as (client, _):
            assert await client.replicas(concurrencyPerReplica=per_replica) == replicas
            code, said = await refused(client.replicas())
            assert code is grpc.StatusCode.INVALID_ARGUMENT and "concurrencyPerReplica" in said

    run(test)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"track": ""}, "no track"),
        ({"scope": "", "track": ""}, "no scope and no track"),
        ({"activationThreshold": "many"}, "activationThreshold is 'many'"),
        ({"concurrencyPerReplica": "0"}, "concurrencyPerReplica is '0'"),
    ],
)
def test_metadata_that_cannot_be_used_is_named_beside_what_is_known(metadata: dict[str, str], said: str) -> None:
    async def test() -> None:
        async with serving([recommended(0.0, 3)]) as (client, _):
            for method in ("IsActive", "GetMetricSpec"):
                code, details = await refused(client.call(method, wire.ScaledObjectRef(scalerMetadata=CHAT | metadata)))
                assert code is grpc.StatusCode.INVALID_ARGUMENT and said in details and "known: chat/local" in details

    run(test)


def test_an_unknown_track_is_not_found_and_the_known_ones_are_named() -> None:
    async def test() -> None:
        async with serving([recommended(0.0, 3)]) as (client, _):
            assert await refused(client.replicas(track="gpu")) == (
                grpc.StatusCode.NOT_FOUND,
                "no scaling advice for scope 'chat', track 'gpu'; known: chat/local",
            )
            reference = wire.ScaledObjectRef(scalerMetadata=CHAT)
            code, said = await refused(client.call("GetMetrics", wire.GetMetricsRequest(scaledObjectRef=reference, metricName="queue")))
            assert code is grpc.StatusCode.INVALID_ARGUMENT and METRIC in said

    run(test)


def test_advice_stands_until_its_effect_plus_the_patience_and_then_there_is_no_number() -> None:
    async def test() -> None:
        clock = Clock()
        async with serving([recommended(0.0, 3)], Standing(stale_s=900.0, clock=clock)) as (client, standing):
            clock.now = START + 1500.0
            assert await client.replicas() == 3.0
            clock.now += 1.0
            for call in (client.replicas(), client.is_active()):
                code, said = await refused(call)
                assert code is grpc.StatusCode.UNAVAILABLE and "1 s ago" in said
            await client.call("GetMetricSpec", wire.ScaledObjectRef(scalerMetadata=CHAT))
            standing.add(forecast(1400.0, 2.0))
            assert await client.replicas() == 3.0

    run(test)


def test_nothing_is_answered_before_what_stands_is_read() -> None:
    async def test() -> None:
        async with serving([recommended(0.0, 3)], is_ready=False) as (client, _):
            code, said = await refused(client.replicas())
            assert code is grpc.StatusCode.UNAVAILABLE and "still being read" in said

    run(test)


def test_the_stream_says_what_holds_now_and_every_change_and_ends_in_peace() -> None:
    async def test() -> None:
        async with serving([recommended(0.0, 1)]) as (client, standing):
            stream: Any = client.call("StreamIsActive", wire.ScaledObjectRef(scalerMetadata=CHAT))
            said = [(await stream.read()).result]
            for at, desired in ((10.0, 0), (20.0, 0), (30.0, 2), (40.0, 3), (50.0, 0)):
                standing.add(recommended(at, desired))
                if desired != 3 and at != 20.0:
                    said.append((await stream.read()).result)
            assert said == [True, False, True, False]
            rest = asyncio.create_task(stream.read())
        assert not await rest

    run(test)


def test_the_stream_ends_when_the_advice_ages() -> None:
    async def test() -> None:
        clock = Clock()
        async with serving([recommended(0.0, 1)], Standing(clock=clock)) as (client, standing):
            stream = client.call("StreamIsActive", wire.ScaledObjectRef(scalerMetadata=CHAT))
            assert (await stream.read()).result
            clock.now += 1501.0
            standing.announce()
            code, _ = await refused(stream.read())
            assert code is grpc.StatusCode.UNAVAILABLE

    run(test)


def test_health_serves_once_everything_is_read() -> None:
    async def test() -> None:
        async with ScalerServer(Standing()) as server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            said = [(await stub.Check(health_pb2.HealthCheckRequest(service=wire.SERVICE))).status]
            await server.ready()
            said.append((await stub.Check(health_pb2.HealthCheckRequest())).status)
            assert said == [health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING]

    run(test)


def test_a_taken_port_is_said() -> None:
    async def test() -> None:
        async with ScalerServer(Standing()) as server:
            with pytest.raises(OSError, match="cannot be listened on"):
                async with ScalerServer(Standing(), port=server.port):
                    pass

    run(test)


def test_standing_advice_is_bounded_and_what_goes_is_counted() -> None:
    standing = Standing(clock=None, most_tracks=2)
    standing.ready()
    for number in range(5):
        standing.add(recommended(float(number), 1, f"t{number}"))
    assert standing.known() == ["chat/t3", "chat/t4"] and standing.evicted == 3
    with pytest.raises(NoAdvice, match="known: chat/t3, chat/t4"):
        standing.get("chat", "t0")


def test_a_recording_is_as_fresh_as_its_end() -> None:
    standing = Standing(stale_s=60.0, clock=None)
    standing.ready()
    standing.add(recommended(0.0, 1))
    standing.add(scored(600.0).model_copy(update={"scope": "mail"}))
    assert standing.get("chat", "local").desired == 1
    standing.add(scored(700.0).model_copy(update={"scope": "mail"}))
    with pytest.raises(NoAdvice, match="stopped standing 40 s ago"):
        standing.get("chat", "local")


@pytest.mark.parametrize("name", ["scaledobject.yaml", "scaledobject-push.yaml"])
def test_the_example_asks_as_the_scaler_wants_it(name: str) -> None:
    scaled: dict[str, Any] = yaml.safe_load((ROOT / "ops" / "keda" / name).read_text())
    (trigger,) = scaled["spec"]["triggers"]
    assert (scaled["apiVersion"], scaled["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    assert trigger["type"] == ("external-push" if "push" in name else "external")
    assert trigger.get("metricType", "AverageValue") == "AverageValue", "KEDA falls back only there, and another would multiply by the replicas"
    assert set(REQUIRED) <= set(trigger["metadata"]) and trigger["metadata"]["scalerAddress"].endswith(":6000")
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert Asked.of(trigger["metadata"]).scope and scaled["spec"]["fallback"]["replicas"] >= 1
