"""A `pointsman scaler` as a process, and a client of it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import grpc

from pointsman.sinks import externalscaler as wire
from pointsman.sinks.keda import METRIC


@contextmanager
def scaler(*arguments: object) -> Iterator[tuple[str, str, IO[str]]]:
    """A running scaler: its gRPC address, its metrics' address, and what it says from then on; it is asked to stop, and does."""
    command = [sys.executable, "-m", "pointsman.streams.cli", "scaler", *map(str, arguments), "--port", "0", "--metrics-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"KEDA scaler on (\S+), metrics on (\S+)\n", process.stdout.readline())
        assert found is not None
        yield found[1], found[2], process.stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def replicas(address: str, track: str = "local") -> float:
    """What a gRPC client is told."""
    with grpc.insecure_channel(address) as channel:
        request = wire.GetMetricsRequest(scaledObjectRef=wire.ScaledObjectRef(scalerMetadata={"scope": "chat", "track": track}), metricName=METRIC)
        call = channel.unary_unary(
            f"/{wire.SERVICE}/GetMetrics",
            request_serializer=wire.GetMetricsRequest.SerializeToString,
            response_deserializer=wire.GetMetricsResponse.FromString,
        )
        answer: Any = call(request, timeout=20)
        return float(answer.metricValues[0].metricValueFloat)
