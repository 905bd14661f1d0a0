"""A real Kafka broker for the tests that need one."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from programs import install, lacking

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def bootstrap() -> Iterator[str]:
    """The address of a broker: the one that POINTSMAN_TEST_BROKER names, a container, or one from `ops/kafka`."""
    given = os.environ.get("POINTSMAN_TEST_BROKER")
    if given:
        yield given
        return
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        from testcontainers.community.kafka import KafkaContainer

        with KafkaContainer("confluentinc/cp-kafka:8.0.0").with_kraft() as container:
            yield container.get_bootstrap_server()
        return
    with _own_broker() as broker:
        yield broker.bootstrap


@pytest.fixture
def own_broker() -> Iterator[Any]:
    """A broker for one test, which may pause and resume it."""
    with _own_broker() as broker:
        yield broker


@pytest.fixture(scope="session")
def secured_broker() -> Iterator[Any]:
    """A broker with an SSL and a SASL_SSL listener, and the certificates to reach them."""
    with _own_broker(secure=True) as broker:
        yield broker


@pytest.fixture(scope="session")
def broker_module() -> Any:
    """The file `ops/kafka/broker.py`."""
    return _broker_module()


def _broker_module() -> Any:
    spec = importlib.util.spec_from_file_location("broker", ROOT / "ops" / "kafka" / "broker.py")
    if spec is None or spec.loader is None:
        raise RuntimeError("ops/kafka/broker.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _own_broker(**options: Any) -> Iterator[Any]:
    if not all(shutil.which(name) for name in ("java", "mvn")):
        install(("openjdk-17-jre-headless", "maven"))
    module = _broker_module()
    try:
        with module.Broker(**options) as broker:
            yield broker
    except module.BrokerError as error:
        lacking(str(error))
