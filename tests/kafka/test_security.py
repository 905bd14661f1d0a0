"""TLS and SASL on a real broker: everything that talks to Kafka gets in, and what does not is told which setting to change."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from deployment import Deployment, count, stop
from events import stream
from pydantic import SecretStr

from pointsman.models.context import Context
from pointsman.models.sketch import sketch
from pointsman.schemas import OptimizationConfig, Track, decode, encode
from pointsman.schemas.access import AccessError, Patience, admission
from pointsman.schemas.settings import KafkaSettings, SettingsError
from pointsman.sinks.router_view import RouterView
from pointsman.streams.core import Core
from pointsman.streams.producer import Producer, SyncProducer
from pointsman.streams.recording import read_lines
from pointsman.streams.topics import ensure_topics, specs

pytestmark = pytest.mark.kafka
CONFIG = OptimizationConfig(strategy="adaptive", tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)))
PASSWORD = "throw-away"


def sasl(broker: Any, **changes: Any) -> dict[str, Any]:
    """The settings that reach the SASL_SSL listener."""
    return {
        "bootstrap_servers": broker.sasl_ssl,
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(broker.certificates / "ca.pem"),
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": "pointsman",
        "sasl_password": PASSWORD,
    } | changes


def secured(broker: Any, name: str, folder: Path, **changes: Any) -> Deployment:
    """A deployment that uses the SASL_SSL listener only."""
    fields = sasl(broker, **changes)
    return Deployment(fields.pop("bootstrap_servers"), name, folder, CONFIG, **fields)


def command(folder: Path, fields: dict[str, Any], *arguments: object, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would: settings in a file, the password in the environment."""
    file = folder / "settings.toml"
    kafka = "".join(f'{name} = "{value}"\n' for name, value in fields.items() if name != "sasl_password")
    file.write_text(f'strategy = "adaptive"\n[[tracks]]\nname = "local"\n[[tracks]]\nname = "api"\ncost_per_1k_output_tokens = 0.6\n[kafka]\n{kafka}')
    environment = os.environ | ({"POINTSMAN_KAFKA__SASL_PASSWORD": fields["sasl_password"]} if "sasl_password" in fields else {})
    name, *rest = map(str, arguments)
    sets = [word for flag in flags for word in ("--set", flag)]
    program = [sys.executable, "-m", "pointsman.streams.cli", name, "--config", str(file), *sets, *rest]
    return subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=120)


def error(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command failed with."""
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    assert done.returncode == 2 and line.startswith("Error: kafka")
    return line


def test_a_recording_through_a_secured_broker_gives_the_bytes_of_its_replay(secured_broker: Any, tmp_path: Path) -> None:
    events = [event for event in stream(71, 200) if event.scope == "chat"]
    recording = tmp_path / "recording.jsonl"
    recording.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    with secured(secured_broker, "secured", tmp_path) as deployment:
        expected = deployment.expected(events)
        fields = sasl(secured_broker, topic_prefix=deployment.settings.topic_prefix)
        assert f"{len(events)} events published" in command(tmp_path, fields, "simulate", recording, "--speed", "0").stdout
        worker = deployment.start("one")
        assert deployment.outputs(count(expected)) == expected
        assert stop(worker) == 0
        done = command(tmp_path, fields, "record", "--output", tmp_path / "journal.jsonl", "--until-idle", "3")
        assert done.stdout == f"{len(events)} events\n", done.stderr
        read = [
            command(tmp_path, fields, "replay", f"kafka:///{fields['topic_prefix']}journal?partition={number}", "--output", tmp_path / f"{number}")
            for number in (0, 1)
        ]
    assert [one.returncode for one in read] == [0, 0], read
    assert [decode(line).event_id for _, line in read_lines(tmp_path / "journal.jsonl")] == [event.event_id for event in events]
    command(tmp_path, fields, "replay", recording, "--output", tmp_path / "file.jsonl")
    assert {(tmp_path / name).read_bytes() for name in ("0", "1")} == {b"", (tmp_path / "file.jsonl").read_bytes()}


def test_a_producer_and_a_router_get_in(secured_broker: Any, tmp_path: Path) -> None:
    with secured(secured_broker, "routed", tmp_path, sasl_mechanism="PLAIN") as deployment:
        events = [event for event in stream(72, 60) if event.scope == "chat"]
        with SyncProducer(deployment.settings) as producer:
            for event in events:
                producer.publish(event)
        deployment.start("one")
        deployment.outputs(count(deployment.expected(events)))

        async def route() -> list[str]:
            async with RouterView(deployment.settings) as view:
                await asyncio.wait_for(view.ready(), 30)
                return [view.decide("chat", request_id=f"q{number}", query="Summarise").track for number in range(20)]

        found = asyncio.run(route())
    core = Core(CONFIG)
    for event in events:
        core.step(event)
    context = Context.of(None, None, None, sketch("Summarise"))
    assert found == [core.decide("chat", context, f"q{number}").track for number in range(20)]


@pytest.mark.parametrize("changes", [{}, {"ssl_certfile": "client.pem", "ssl_keyfile": "client.key"}], ids=["server", "mutual"])
def test_topics_are_made_over_tls_alone(secured_broker: Any, tmp_path: Path, changes: dict[str, str]) -> None:
    prefix = f"tls-{len(changes)}."
    files = {name: str(secured_broker.certificates / file) for name, file in {"ssl_cafile": "ca.pem", **changes}.items()}
    fields = {"bootstrap_servers": secured_broker.ssl, "security_protocol": "SSL", "topic_prefix": prefix, **files}

    done = command(tmp_path, fields, "topics")
    assert len(done.stdout.splitlines()) == len(specs(KafkaSettings()))
    assert asyncio.run(ensure_topics(KafkaSettings(bootstrap_servers=secured_broker.bootstrap, topic_prefix=prefix), check=True)) == []


def test_a_locked_key_needs_its_password(secured_broker: Any, tmp_path: Path) -> None:
    lock = ["openssl", "pkey", "-in", str(secured_broker.certificates / "client.key"), "-aes256", "-passout", "pass:lock", "-out", str(tmp_path / "locked.key")]
    subprocess.run(lock, check=True, capture_output=True)
    files = {"ssl_cafile": "ca.pem", "ssl_certfile": "client.pem", "ssl_keyfile": tmp_path / "locked.key"}
    fields = {"security_protocol": "SSL", **{name: secured_broker.certificates / file for name, file in files.items()}}
    locked = KafkaSettings(bootstrap_servers=secured_broker.ssl, **fields)
    unlocked = KafkaSettings(bootstrap_servers=secured_broker.ssl, ssl_key_password=SecretStr("lock"), **fields)
    assert asyncio.run(admission(unlocked)) is None
    with pytest.raises(SettingsError, match=r"a locked key needs kafka\.ssl_key_password"):
        asyncio.run(admission(locked))


@pytest.mark.parametrize("name", ["topics", "worker", "record", "simulate", "replay"])
def test_every_command_says_in_one_line_that_the_password_is_wrong(secured_broker: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "in.jsonl").write_bytes(encode(stream(73, 1)[0]) + b"\n")
    out = ("--output", tmp_path / "out.jsonl")
    arguments = {"record": out, "simulate": (tmp_path / "in.jsonl",), "replay": ("kafka:///pointsman.journal", *out)}
    done = command(tmp_path, sasl(secured_broker, sasl_password="wrong"), name, *arguments.get(name, ()))
    assert "refuses user 'pointsman': check kafka.sasl_username, kafka.sasl_password" in error(done)


@pytest.mark.parametrize(
    ("listener", "flags", "said"),
    [
        ("sasl_ssl", ("kafka.ssl_cafile=OTHER",), "set kafka.ssl_cafile to the file of the CA"),
        ("sasl_ssl", ("kafka.ssl_cafile=missing.pem",), "kafka.ssl_cafile: missing.pem: No such file or directory; give a readable PEM file"),
        ("sasl_ssl", ("kafka.ssl_cafile=README.md",), "kafka.ssl_cafile: README.md: no certificate in it"),
        ("sasl_ssl", ("kafka.ssl_certfile=CLIENT", "kafka.ssl_keyfile=KEY"), "key values mismatch"),
        ("sasl_ssl", ("kafka.security_protocol=PLAINTEXT",), "speaks TLS, and kafka.security_protocol is PLAINTEXT"),
        ("sasl_ssl", ("kafka.security_protocol=SSL",), "hangs up: is it starting, and is kafka.security_protocol = SSL right"),
        ("ssl", (), "has no SASL on this port: set kafka.security_protocol to SSL"),
        ("bootstrap", (), "hangs up: is it starting, and is kafka.security_protocol = SASL_SSL right"),
        ("bootstrap", ("kafka.security_protocol=SASL_PLAINTEXT",), "set kafka.security_protocol to PLAINTEXT"),
    ],
)
def test_what_is_set_wrong_is_named(secured_broker: Any, broker_module: Any, tmp_path: Path, listener: str, flags: tuple[str, ...], said: str) -> None:
    broker_module.make_certificates(tmp_path / "other")
    named = {"OTHER": tmp_path / "other" / "ca.pem", "CLIENT": tmp_path / "other" / "client.pem", "KEY": tmp_path / "other" / "server.key"}
    chosen = tuple(flag.replace(key, f'"{path}"') for flag in flags for key, path in named.items() if key in flag) or flags
    done = command(tmp_path, sasl(secured_broker, bootstrap_servers=getattr(secured_broker, listener)), "topics", flags=chosen)
    assert said in error(done)


def test_a_broker_that_advertises_a_name_outside_its_certificate_is_named(broker_module: Any, tmp_path: Path) -> None:
    with broker_module.Broker(secure=True, names="DNS:localhost") as broker:
        port = broker.ssl.rpartition(":")[2]
        done = command(tmp_path, sasl(broker, bootstrap_servers=f"localhost:{port}", security_protocol="SSL"), "simulate", "tests/golden/journal.jsonl")
    assert f"kafka 127.0.0.1:{port} has a certificate for another name" in error(done)


def test_a_router_and_a_producer_are_told_too(secured_broker: Any) -> None:
    settings = KafkaSettings(**sasl(secured_broker, sasl_password="wrong"))

    async def route() -> None:
        async with RouterView(settings, default_track="api") as view:
            assert view.decide("chat", request_id="r1").track == "api"
            await asyncio.wait_for(view.ready(), 30)

    async def publish() -> None:
        async with Producer(settings) as producer:
            await producer.resource_sampled(scope="chat", host="h1")

    for work in (route, publish):
        with pytest.raises(AccessError, match="refuses user 'pointsman'"):
            asyncio.run(work())


def test_a_refusal_after_the_first_answer_is_said_once_and_waited_for(secured_broker: Any, caplog: pytest.LogCaptureFixture) -> None:
    patience = Patience(KafkaSettings(**sasl(secured_broker, sasl_password="wrong")), "Trying again")

    async def wait() -> None:
        stop = asyncio.Event()
        stop.set()
        with pytest.raises(AccessError):
            await patience.wait(KafkaConnectionError(), stop)
        patience.end()
        for _ in range(3):
            await patience.wait(KafkaConnectionError(), stop)

    asyncio.run(wait())
    assert sum("refuses user" in record.message for record in caplog.records) == 1
