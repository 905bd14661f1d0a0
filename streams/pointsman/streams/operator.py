"""The operator's reporter: reads what scopes say of their incidents, and tells the operator's scope, which alone may read of several.

It stands outside of the scopes, as the allocator does: what it says comes to the operator's scope as an input event, is in its journal, and is replayed from
there.
"""

import hashlib

from pointsman.schemas import Event, IncidentOpened, IncidentReported, IncidentResolved, IncidentUpdated

MOST_NAMES = 64
MOST_SUSPECTS = 5


class Reporter:
    """Turns incident events of any scope into `incident.reported/1` in `scope`, the operator's; its own incidents are told to nobody."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    def observe(self, output: Event) -> list[IncidentReported]:
        """What to report of one output. Its id follows from that of the output, so that reporting it again changes nothing."""
        if not isinstance(output, IncidentOpened | IncidentUpdated | IncidentResolved) or output.scope == self.scope or output.muted is not None:
            return []
        state = "resolved" if isinstance(output, IncidentResolved) else "updated" if isinstance(output, IncidentUpdated) else "opened"
        return [
            IncidentReported(
                event_id=f"reported/{hashlib.blake2b(output.event_id.encode('utf-8', 'replace'), digest_size=12).hexdigest()}",
                scope=self.scope,
                occurred_at=output.occurred_at,
                source="operator",
                reporter=output.scope,
                incident=output.incident,
                state=state,
                severity=output.severity,
                since=output.since,
                ended_at=output.ended_at if isinstance(output, IncidentResolved) else None,
                tracks=output.tracks[:MOST_NAMES],
                hosts=output.hosts[:MOST_NAMES],
                suspects=output.suspects[:MOST_SUSPECTS],
                requests=output.requests,
                cost_usd=max(output.cost_usd, 0.0),
            )
        ]


__all__ = ["Reporter"]
