"""Reaching Kafka: what is said of a broker that is away, and of settings with which none can be reached."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from pointsman.schemas.access import Patience, explained
from pointsman.schemas.settings import KafkaSettings, SettingsError, security

AWAY = KafkaSettings(bootstrap_servers="127.0.0.1:1")


def test_a_broker_that_is_away_is_said_once_and_again_after_it_has_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def wait() -> None:
        patience, stop = Patience(AWAY, "Trying again"), asyncio.Event()
        stop.set()
        for _ in range(2):
            await asyncio.gather(*(patience.wait(KafkaConnectionError("gone"), stop) for _ in range(3)))
            patience.end()
            patience.end()

    asyncio.run(wait())
    away, back = "kafka 127.0.0.1:1: KafkaConnectionError: gone; is the broker up? Trying again", "kafka 127.0.0.1:1 answers"
    assert [record.message for record in caplog.records if record.name.startswith("pointsman")] == [away, back, away, back]


def test_a_broker_that_is_away_is_no_refusal() -> None:
    assert asyncio.run(explained(AWAY, KafkaConnectionError("gone"), "is it?")) == "kafka 127.0.0.1:1: KafkaConnectionError: gone; is it?"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"security_protocol": "SASL_PLAINTEXT"}, "set kafka.sasl_mechanism, kafka.sasl_username, kafka.sasl_password, too"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u"}, "is SASL_SSL: set kafka.sasl_password, too"),
        ({"security_protocol": "SSL", "ssl_certfile": "missing.pem"}, "kafka.ssl_certfile: missing.pem: No such file or directory; give a readable PEM file"),
        ({"security_protocol": "SSL", "ssl_keyfile": __file__}, "set kafka.ssl_certfile"),
        ({"security_protocol": "SSL", "ssl_certfile": __file__}, "kafka.ssl_certfile, kafka.ssl_keyfile: "),
    ],
)
def test_what_is_missing_for_the_protocol_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match="kafka") as caught:
        security(KafkaSettings(**fields))
    assert said in str(caught.value)


def test_only_what_the_protocol_needs_is_given(tmp_path: Path) -> None:
    settings = KafkaSettings(ssl_cafile=tmp_path / "missing.pem", sasl_mechanism="PLAIN", sasl_username="u")
    assert security(settings) == {"security_protocol": "PLAINTEXT"}
