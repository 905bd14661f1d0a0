"""A real single-node Apache Kafka (KRaft) without Docker: Maven brings the jars, Java 17 runs them, on loopback only."""

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

HERE = Path(__file__).parent
LIBRARIES = HERE / "libs"
START_S = 60.0
_JAVA = ["java", "-Xmx512m", "-cp", f"{LIBRARIES}/*"]
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


class BrokerError(Exception):
    """The broker cannot start; the message says what to install or where to look."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fetch() -> None:
    """Bring the jars once; raises `BrokerError` naming what is missing."""
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if missing:
        raise BrokerError(f"{' and '.join(missing)} not found: install Java 17 and Maven (Debian: apt-get install openjdk-17-jre-headless maven)")
    if any(LIBRARIES.glob("kafka_2.13-*.jar")):
        return
    copy = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={LIBRARIES}", "-DincludeScope=runtime"]
    done = subprocess.run(copy, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BrokerError(f"Maven could not bring the broker's jars: {done.stdout[-500:]}{done.stderr[-500:]}")


class Broker:
    """A broker for as long as the `with` lasts; `bootstrap` is its address."""

    def __init__(self, port: int = 0) -> None:
        self._port = port or _free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="pointsman-kafka-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.bootstrap = f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        _fetch()
        properties = self._folder / "server.properties"
        properties.write_text(_PROPERTIES.format(port=self._port, controller=_free_port(), folder=self._folder))
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        format_storage = [*_JAVA, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)]
        formatted = subprocess.run(format_storage, capture_output=True, text=True, check=False)
        if formatted.returncode != 0:
            raise BrokerError(f"the broker's storage could not be formatted: {formatted.stderr[-500:]}")
        self.resume()
        return self

    def resume(self) -> None:
        """Start the broker on the data that is there."""
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen([*_JAVA, "kafka.Kafka", str(self._folder / "server.properties")], stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        pause = threading.Event()
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            pause.wait(0.1)
        said = (self._folder / "broker.log").read_text(errors="replace")[-1000:]
        self.close()
        raise BrokerError(f"the broker did not start within {START_S:.0f} s: {said}")

    def pause(self) -> None:
        """Stop the broker; its data stays for `resume`."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop the broker and remove its data."""
        self.pause()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def main() -> int:
    """Run in the foreground until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9092)
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        with Broker(parser.parse_args().port) as broker:
            print(f"Kafka listens on {broker.bootstrap}; Ctrl-C stops it", flush=True)
            stopped.wait()
    except BrokerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
