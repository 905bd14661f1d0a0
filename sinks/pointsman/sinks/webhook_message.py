"""What a webhook is told, by Standard Webhooks 1.0: a body of type, time and data, an id by which repeats are known, and a signature."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pointsman.schemas import AlertRaised, AlertResolved, Event, IncidentOpened, IncidentResolved, IncidentUpdated, encode

from .moment import moment
from .webhook_slack import slack

Tellable = AlertRaised | AlertResolved | IncidentOpened | IncidentUpdated | IncidentResolved
KINDS: tuple[type[Event], ...] = (AlertRaised, AlertResolved, IncidentOpened, IncidentUpdated, IncidentResolved)
_OF_THE_RECORD = ("event_id", "caused_by", "source")


@dataclass(frozen=True, slots=True)
class Message:
    """An id that is the same whenever the same is said, and a body."""

    id: str
    body: bytes

    def headers(self, at: float, key: bytes | None) -> dict[str, str]:
        """The headers of one attempt at a time in epoch seconds; signed where there is a key."""
        own = {"content-type": "application/json", "webhook-id": self.id, "webhook-timestamp": str(int(at))}
        return own | ({"webhook-signature": signature(self, int(at), key)} if key is not None else {})


def signature(message: Message, at: int, key: bytes) -> str:
    """`v1,` and the base64 of the HMAC-SHA256 of id, time and body.

    The example of the specification's own libraries:

    >>> key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> signature(Message("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'), 1614265330, key)
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = b".".join((message.id.encode(), str(at).encode(), message.body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def identity(event: Tellable) -> str:
    """The idempotency key: of scope, fingerprint or incident, and all that is said of it. A repeat has the same, also where a journal was folded anew."""
    said = {name: value for name, value in json.loads(encode(event)).items() if name not in _OF_THE_RECORD}
    digest = hashlib.blake2b(json.dumps(said, sort_keys=True, separators=(",", ":")).encode(), digest_size=16)
    return f"msg_{digest.hexdigest()}"


def subject(event: Tellable) -> tuple[str, str, str]:
    """What an event is about: its scope, and which incident or alert."""
    if isinstance(event, AlertRaised | AlertResolved):
        return event.scope, "alert", event.fingerprint
    return event.scope, "incident", event.incident


def message_of(event: Tellable, form: Literal["json", "slack"]) -> Message:
    """An event as it is posted."""
    body: Mapping[str, Any] = (
        slack(event) if form == "slack" else {"type": event.type, "timestamp": moment(event.occurred_at), "data": json.loads(encode(event))}
    )
    return Message(identity(event), json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


__all__ = ["KINDS", "Message", "Tellable", "identity", "message_of", "signature", "subject"]
