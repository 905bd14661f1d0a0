"""What the HTTP API needs of whatever stands behind it: an embedded optimizer, or a deployment on Kafka."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pointsman.schemas import PolicyPublished, Reason

from .embedded import Bounds, Recommended
from .event_stream import EventStream
from .explain import Explanation
from .http_bodies import Posted
from .http_metrics import Meter

AWAY_AFTER_S = 2


class Away(Exception):
    """What stands behind the API does not answer; try again in a moment."""


class Backend(Protocol):
    """Takes events and answers questions, on one event loop; what is not known is a `LookupError`, what does not answer is `Away`."""

    meter: Meter
    stream: EventStream

    async def record(self, posted: Sequence[Posted]) -> list[Reason | None]:
        """Record events, to stay when this returns; per event why it was refused, or None. Raises `Overloaded`."""
        ...

    async def recommend(self, fields: Mapping[str, Any]) -> Recommended:
        """The track for one request; `LookupError` where no track is known, `ValueError` for a field that cannot be used."""
        ...

    async def status(self, scope: str | None) -> tuple[dict[str, Any], int]:
        """What is known per scope, and how many scopes are left out."""
        ...

    async def series(self, scope: str) -> dict[str, Any]:
        """What was, for charts."""
        ...

    async def policy(self, scope: str) -> PolicyPublished | None:
        """The policy in force, where there is one yet."""
        ...

    async def explain(self, scope: str, request_id: str) -> Explanation:
        """Why a request took its track."""
        ...

    async def bounds(self) -> Mapping[str, Bounds]:
        """Of every scope the constraints, and how its budgets stand, as far as that is known."""
        ...

    async def ready(self) -> None:
        """Return where events are taken; raises `Away` with a sentence where they are not."""
        ...

    async def close(self) -> None:
        """Finish what waits, and stop."""
        ...


__all__ = ["AWAY_AFTER_S", "Away", "Backend"]
