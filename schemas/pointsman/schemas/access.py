"""Reaching Kafka: a broker that is away is waited for; one that does not let this client in is an error that names the setting to change.

aiokafka says of any failure only that it could not connect (and logs the cause). So after a failure each broker is asked once more, directly.
"""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

from .settings import KafkaSettings, security

PROBE_S = 5.0
MOST_PROBED = 5
SHORTEST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
_TLS_ALERT = 0x15  # the first byte of the answer that a TLS listener gives to a plain client, which takes it for a length
_WRONG_NAME = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH

log = logging.getLogger(__name__)


class AccessError(Exception):
    """Kafka does not let this client in, and waiting mends nothing; the message names the settings to change."""


class Patience:
    """Waits for a broker that is away, longer each time, and says so once; any number of tasks may share it.

    A broker that refuses this client is an error as long as none has answered; later it is said and waited for, as rights come back.
    """

    def __init__(self, settings: KafkaSettings, consequence: str) -> None:
        self._settings = settings
        self._consequence = consequence
        self._since: float | None = None
        self._said: str | None = None
        self._has_answered = False

    async def wait(self, error: Exception, stop: asyncio.Event | None = None) -> None:
        """Pause as long as the broker has been away so far, within 0.1 and 5 s, or until `stop`; raises `AccessError`."""
        began = time.monotonic()
        is_first = self._since is None
        since = self._since = began if self._since is None else self._since
        refused = False
        try:
            said = await explained(self._settings, error)
        except AccessError as refusal:
            if not self._has_answered:
                raise
            said, refused = str(refusal), True
        if is_first or (refused and said != self._said):
            log.warning("%s%s %s", said, "" if said.endswith("?") else ".", self._consequence)
            self._said = said
        with suppress(TimeoutError):
            await asyncio.wait_for((stop or asyncio.Event()).wait(), min(max(began - since, SHORTEST_PAUSE_S), LONGEST_PAUSE_S))

    def end(self) -> None:
        """The broker has answered."""
        if self._since is not None:
            log.warning("kafka %s answers", self._settings.bootstrap_servers)
        self._since = self._said = None
        self._has_answered = True


async def admission(settings: KafkaSettings) -> str | None:
    """Sign in at the brokers, as known and as advertised; raises `AccessError` where one refuses for good.

    What comes back is what to look at where one hangs up, and None where all is well or a broker is away.
    """
    from aiokafka.conn import collect_hosts
    from aiokafka.errors import KafkaError

    given = security(settings)
    said: str | None = None
    addresses = [(host, port) for host, port, _ in collect_hosts(settings.bootstrap_servers)]
    for host, port in addresses:  # grows by what is advertised
        try:
            advertised = await asyncio.wait_for(_sign_in(host, port, given), 2.0 * PROBE_S)
        except (KafkaError, OSError) as error:
            if (refusal := _refusal(settings, error)) is not None:
                raise AccessError(f"kafka {host}:{port} {refusal}") from error
            if _is_hang_up(error):
                said = f"kafka {host}:{port} hangs up: is it starting, and is kafka.security_protocol = {settings.security_protocol} right for this port?"
        else:
            addresses += [address for address in advertised if address not in addresses][: max(0, MOST_PROBED - len(addresses))]
    return said


async def explained(settings: KafkaSettings, error: Exception, hint: str = "is the broker up?") -> str:
    """What a failure to reach Kafka comes from, as one sentence; raises `AccessError` as `admission` does."""
    from aiokafka.errors import KafkaError

    said = await admission(settings)
    if said is None and "Unable to bootstrap" in str(error):
        said = f"kafka {settings.bootstrap_servers}: no broker answers; {hint}"
    return said or (f"kafka {settings.bootstrap_servers}: {error}; {hint}" if isinstance(error, KafkaError | OSError) else str(error))


async def _sign_in(host: str, port: int, given: dict[str, Any]) -> list[tuple[str, int]]:
    """Connect, sign in and ask for the brokers' addresses; raises what goes wrong."""
    from aiokafka.conn import create_conn
    from aiokafka.protocol.metadata import MetadataRequest

    connection: Any = await create_conn(host, port, request_timeout_ms=int(PROBE_S * 1000), **given)
    try:
        answer = await connection.send(MetadataRequest([]))
        return [(broker[1], broker[2]) for broker in answer.brokers]
    finally:
        await connection.close()


def _refusal(settings: KafkaSettings, error: BaseException) -> str | None:
    """What to change, where waiting would not help."""
    import ssl

    from aiokafka.errors import IllegalSaslStateError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

    cause = error.__cause__ or error
    protocol = settings.security_protocol
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = cause.verify_message.rstrip(".")
        if cause.verify_code in _WRONG_NAME:
            return f"has a certificate for another name ({why}): use one that it has, in kafka.bootstrap_servers and as advertised listener"
        return f"has a certificate that is not trusted ({why}): set kafka.ssl_cafile to the file of the CA that signed it"
    if isinstance(cause, ssl.SSLError):
        reason = (cause.reason or str(cause)).lower().replace("_", " ")
        return f"and this client do not agree on TLS ({reason}): check kafka.security_protocol, and kafka.ssl_certfile where the broker wants a certificate"
    if isinstance(cause, asyncio.IncompleteReadError) and (cause.expected or 0) >> 24 == _TLS_ALERT:
        return f"speaks TLS, and kafka.security_protocol is {protocol}: set it to {'SASL_SSL' if protocol.startswith('SASL') else 'SSL or SASL_SSL'}"
    if isinstance(error, SaslAuthenticationFailed):
        return f"refuses user {settings.sasl_username!r}: check kafka.sasl_username, kafka.sasl_password and kafka.sasl_mechanism ({settings.sasl_mechanism})"
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"does not offer {settings.sasl_mechanism}: set kafka.sasl_mechanism to one that it offers"
    if isinstance(error, IllegalSaslStateError):
        return f"has no SASL on this port: set kafka.security_protocol to {protocol.removeprefix('SASL_')}, or use the port for SASL"
    return None


def _is_hang_up(error: BaseException) -> bool:
    return isinstance(error.__cause__ or error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError | EOFError)


__all__ = ["AccessError", "Patience", "admission", "explained"]
