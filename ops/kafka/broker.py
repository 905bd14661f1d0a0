"""A real single-node Apache Kafka (KRaft) without Docker: Maven brings the jars, Java 17 runs them, on loopback only.

With `--secure` there is an SSL and a SASL_SSL listener (SCRAM-SHA-512, SCRAM-SHA-256, PLAIN) beside the plain one, with a throw-away CA, a server and a client
certificate made by openssl at the start.
"""

import argparse
import random
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
STARTED = b"Kafka Server started"
ATTEMPTS = 5
USERNAME = "pointsman"
PASSWORD = "throw-away"
_JAVA = ["java", "-Xmx512m", "-cp", f"{LIBRARIES}/*"]
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
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
_SCRAM = ("SCRAM-SHA-512", "SCRAM-SHA-256")
_SECURED = """
ssl.keystore.type=PEM
ssl.keystore.location={folder}/server-keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
ssl.client.auth=requested
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN
listener.name.sasl_ssl.ssl.client.auth=none
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{username}="{password}";
"""
_OPENSSL = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


class BrokerError(Exception):
    """The broker cannot start; the message says what to install or where to look."""


class _EndedError(BrokerError):
    """The broker ended while it started, as it does where another process has taken its port."""


def _free_ports(count: int) -> list[int]:
    """Different ports that are free, below those from which outgoing connections take theirs."""
    known = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first_outgoing = int(known.read_text().split()[0]) if known.is_file() else 32_768
    ports: list[int] = []
    for port in random.SystemRandom().sample(range(10_000, max(first_outgoing, 12_000)), 1_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise BrokerError("no free port between 10000 and those of outgoing connections: end what holds them")


def _openssl(*arguments: str, folder: Path) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BrokerError(f"openssl {arguments[0]} failed: {done.stderr[-500:]}")


def make_certificates(folder: Path, names: str = "IP:127.0.0.1, DNS:localhost") -> None:
    """A CA (`ca.pem`), and by it a server's and a client's certificate and key (`server.pem`, `server.key`, ...), each for a day."""
    if shutil.which("openssl") is None:
        raise BrokerError("openssl not found: install it (Debian: apt-get install openssl), or start without the secured listeners")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ca", "server", "client"):
        (folder / f"{name}.cnf").write_text(_OPENSSL.format(name=f"pointsman test {name}", names=names))
        key = ["-config", f"{name}.cnf", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key"]
        if name == "ca":
            _openssl("req", "-x509", *key, "-out", "ca.pem", "-days", "1", "-extensions", "ca", folder=folder)
            continue
        _openssl("req", "-new", *key, "-out", f"{name}.csr", folder=folder)
        signed = ["-req", "-in", f"{name}.csr", "-out", f"{name}.pem", "-days", "1", "-extfile", f"{name}.cnf", "-extensions", "leaf"]
        _openssl("x509", *signed, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", folder=folder)
    (folder / "server-keystore.pem").write_text((folder / "server.key").read_text() + (folder / "server.pem").read_text())


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
    """A broker for as long as the `with` lasts; `bootstrap` is its plain address, `ssl` and `sasl_ssl` those of its secured listeners."""

    def __init__(self, port: int = 0, *, secure: bool = False, names: str = "IP:127.0.0.1, DNS:localhost") -> None:
        self._fixed_port = port
        self._ports: dict[str, int] = {}
        self._secure = secure
        self._names = names
        self._folder = Path(tempfile.mkdtemp(prefix="pointsman-kafka-"))
        self.certificates = self._folder / "certificates"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Where the plain listener is."""
        return f"127.0.0.1:{self._ports['PLAINTEXT']}"

    @property
    def ssl(self) -> str:
        """Where the TLS listener is; it asks for a client's certificate and takes clients without one."""
        return f"127.0.0.1:{self._ports['SSL']}"

    @property
    def sasl_ssl(self) -> str:
        """Where `USERNAME` signs in with `PASSWORD` over TLS."""
        return f"127.0.0.1:{self._ports['SASL_SSL']}"

    def __enter__(self) -> Self:
        try:
            _fetch()
            if self._secure:
                make_certificates(self.certificates, self._names)
            for attempt in range(ATTEMPTS):
                self._prepare()
                try:
                    self.resume()
                    break
                except _EndedError:
                    if attempt == ATTEMPTS - 1 or self._fixed_port:
                        raise
        except BaseException:
            self.close()
            raise
        return self

    def _prepare(self) -> None:
        """Choose ports, and format an empty storage."""
        shutil.rmtree(self._folder / "data", ignore_errors=True)
        names = ["PLAINTEXT", *(("SSL", "SASL_SSL") if self._secure else ())]
        controller, *free = _free_ports(len(names) + 1)
        self._ports = dict(zip(names, free, strict=True))
        if self._fixed_port:
            self._ports |= {name: self._fixed_port + number for number, name in enumerate(names)}
        listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in self._ports.items())
        text = _PROPERTIES.format(listeners=listeners, controller=controller, folder=self._folder)
        if self._secure:
            text += _SECURED.format(folder=self.certificates, username=USERNAME, password=PASSWORD)
        properties = self._folder / "server.properties"
        properties.write_text(text)
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")  # a leading - would be read as an option
        users = [f"--add-scram={mechanism}=[name={USERNAME},password={PASSWORD}]" for mechanism in _SCRAM if self._secure]
        format_storage = [*_JAVA, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties), *users]
        formatted = subprocess.run(format_storage, capture_output=True, text=True, check=False)
        if formatted.returncode != 0:
            raise BrokerError(f"the broker's storage could not be formatted: {formatted.stderr[-500:]}")

    def resume(self) -> None:
        """Start the broker on the data that is there."""
        written = self._folder / "broker.log"
        with written.open("ab") as log:
            self._process = subprocess.Popen([*_JAVA, "kafka.Kafka", str(self._folder / "server.properties")], stdout=log, stderr=log)
            self._wait(self._process, written, log.tell())

    def _wait(self, process: subprocess.Popen[bytes], log: Path, start: int) -> None:
        """Wait until the broker says that it has started: that a port answers would not show whose it is."""
        deadline = time.monotonic() + START_S
        pause = threading.Event()
        while time.monotonic() < deadline and process.poll() is None:
            if STARTED in log.read_bytes()[start:]:
                return
            pause.wait(0.1)
        lines = log.read_bytes()[start:].decode(errors="replace").splitlines()
        said = "\n".join(["", *[line for line in lines if "Exception" in line][:5], "...", *lines[-10:]])
        if process.poll() is not None:
            raise _EndedError(f"the broker ended with code {process.returncode} while it started: {said}")
        self.pause()
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
    parser.add_argument("--port", type=int, default=9092, help="of the plain listener; SSL and SASL_SSL have the next two")
    parser.add_argument("--secure", action="store_true", help="SSL and SASL_SSL listeners beside the plain one")
    arguments = parser.parse_args()
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        with Broker(arguments.port, secure=arguments.secure) as broker:
            if arguments.secure:
                certificates = broker.certificates
                print(f"SSL on {broker.ssl} (CA {certificates}/ca.pem, client certificate {certificates}/client.pem, client.key)")
                print(f"SASL_SSL on {broker.sasl_ssl} (the same CA; SCRAM-SHA-512, SCRAM-SHA-256, PLAIN; user {USERNAME}, password {PASSWORD})")
            print(f"Kafka listens on {broker.bootstrap}; Ctrl-C stops it", flush=True)
            stopped.wait()
    except BrokerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
