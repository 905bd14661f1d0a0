"""The broker of `ops/kafka`: which ports it takes, and what it says when it cannot start."""

import socket
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.kafka
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not OUTGOING.is_file(), reason="the range of outgoing connections is known on Linux only")
def test_ports_are_free_different_and_below_those_of_outgoing_connections(broker_module: Any) -> None:
    ports = broker_module._free_ports(50)
    assert len(set(ports)) == 50 and max(ports) < int(OUTGOING.read_text().split()[0])


def test_a_port_that_is_taken_is_in_the_error(own_broker: Any, broker_module: Any) -> None:
    port = int(own_broker.bootstrap.rpartition(":")[2])
    with pytest.raises(broker_module.BrokerError, match="Address already in use"), broker_module.Broker(port):
        pass


def test_a_broker_keeps_its_data_and_its_port_through_a_pause(own_broker: Any) -> None:
    before = own_broker.bootstrap
    own_broker.pause()
    own_broker.resume()
    with socket.create_connection(own_broker.bootstrap.split(":")):
        assert own_broker.bootstrap == before
