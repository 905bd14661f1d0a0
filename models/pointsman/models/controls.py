"""What people say of alerts: somebody looks after one, nobody wants to hear of some, and some things are worked on.

An alert is raised all the same while it is muted; it only says so. Whenever that changes for an alert that stands, it is raised again with the new mark, so
that whoever follows the alerts knows at every moment which of them people are to be told of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointsman.schemas import AlertAcknowledged, AlertRaised, AlertResolved, AlertSilenced, MaintenanceScheduled, Reason

from .findings import Told
from .mutes import Mute, Mutes

MOST_STANDING = 512
MOST_INCIDENTS = 64
LOOK_S = 60.0  # how often a quiet scope is looked at while a muted alert stands: within the five minutes in which a shell still ticks it
_MARKS = {"type", "event_id", "scope", "occurred_at", "source", "caused_by", "muted", "acknowledged_by", "reason"}


@dataclass(slots=True)
class Standing:
    """An alert as it was raised last, how it was muted then, whether people were ever told of it, and who looks after it."""

    fields: dict[str, Any]
    muted: Mute | None
    is_told: bool
    acknowledged_by: str | None = None


class Controls:
    """Silences, maintenance and acknowledgements of one scope, and the alerts that stand; all of it a function of the events.

    >>> controls = Controls()
    >>> _ = controls.advance(1.7e9)
    >>> silence = AlertSilenced(event_id="e", scope="chat", occurred_at=1.7e9, fingerprint="local/*", until=1.7e9 + 3600, by="ana")
    >>> controls.told(silence)
    []
    >>> alert = {"fingerprint": "local/latency_ms/anomaly", "kind": "anomaly"}
    >>> controls.muted(alert, 1.7e9 + 60), controls.muted(alert, 1.7e9 + 3600)
    ('silenced', None)
    """

    def __init__(self) -> None:
        self.clock = 0.0
        self._mutes = Mutes()
        self._standing: dict[str, Standing] = {}
        self._incidents: dict[str, tuple[Mute | None, bool]] = {}
        self._boundary: float | None = None
        self.evicted = 0

    # what is asked

    def muted(self, fields: Mapping[str, Any], now: float) -> Mute | None:
        """Why nobody is to be told of an alert now; of an incident, why of none of its alerts, and of one without alerts, if all its places are worked on."""
        if "alerts" in fields:
            if not fields["alerts"]:
                worked_on = [self.is_maintained(track, None, now) for track in fields.get("tracks", ())]
                worked_on += [self.is_maintained(None, host, now) for host in fields.get("hosts", ())]
                return "maintenance" if worked_on and all(worked_on) else None
            answers: list[Mute | None] = [self.muted(_as_fields(alert), now) for alert in fields["alerts"]]
            return answers[0] if answers and None not in answers else None
        return self._mutes.of(fields, now)

    def marks(self, fields: Mapping[str, Any], now: float, *, is_end: bool) -> dict[str, Any]:
        """What an alert says of people when it is emitted. Who was told that it began is told that it ended, and nobody else."""
        known = self._standing.get(fields["fingerprint"])
        if known is None:
            return {"muted": self.muted(fields, now)}
        muted = self.muted(fields, now) if not is_end else None if known.is_told else known.muted
        return {"muted": muted, "acknowledged_by": known.acknowledged_by}

    def mark_incident(self, fields: Mapping[str, Any], *, is_end: bool) -> Mute | None:
        """Why nobody is to be told of an incident that is about to be emitted; as with alerts, who was told of it is told of its end."""
        name = fields["incident"]
        before, is_told = self._incidents.pop(name, (None, False))
        if is_end:
            return None if is_told else before
        muted = self.muted(fields, self.clock)
        self._incidents[name] = (muted, is_told or muted is None)
        if len(self._incidents) > MOST_INCIDENTS:
            del self._incidents[next(iter(self._incidents))]
        return muted

    def is_remarked(self, fields: Mapping[str, Any]) -> bool:
        """Whether people are to be told of an incident otherwise than when it was emitted last."""
        known = self._incidents.get(fields["incident"])
        return known is not None and known[0] != self.muted(fields, self.clock)

    def is_maintained(self, track: str | None, host: str | None, now: float) -> bool:
        """Whether a track or a host is worked on now, so that what it does is not what is normal."""
        return self._mutes.is_maintained(track, host, now)

    def standing(self) -> list[dict[str, Any]]:
        """The alerts that stand, as they were raised last."""
        return [known.fields for known in self._standing.values()]

    def acknowledged(self, fingerprint: str) -> str | None:
        """Who looks after an alert that stands."""
        known = self._standing.get(fingerprint)
        return known.acknowledged_by if known is not None else None

    def refusal(self, event: AlertAcknowledged | AlertSilenced | MaintenanceScheduled) -> Reason | None:
        """Why an event can mean nothing here, if so."""
        if isinstance(event, AlertAcknowledged):
            if event.fingerprint is None or event.fingerprint in self._standing:
                return None
            return Reason(code="unknown_alert", message=f"no alert {event.fingerprint!r} stands in this scope: name one that does by its fingerprint")
        return self._mutes.refusal(event, max(self.clock, event.occurred_at))

    # what happens

    def told(self, event: AlertAcknowledged | AlertSilenced | MaintenanceScheduled) -> list[Told]:
        """What follows from what a person said: the alerts that stand and for which something changed, once more."""
        if isinstance(event, AlertAcknowledged):
            return self._acknowledge(event)
        self._mutes.add(event)
        return self._review()

    def heard(self, alert: AlertRaised | AlertResolved) -> bool:
        """Keep which alerts stand. False for one that was only told again, with other marks: nothing happened to what it is about.

        What still stands after maintenance is news, since in maintenance it was none.
        """
        known = self._standing.get(alert.fingerprint)
        if isinstance(alert, AlertResolved):
            self._standing.pop(alert.fingerprint, None)
            return True
        fields = alert.model_dump(exclude=_MARKS, exclude_none=True)
        if known is not None:
            is_news = known.fields != fields or (known.muted == "maintenance" and alert.muted is None)
            known.fields, known.muted, known.is_told = fields, alert.muted, known.is_told or alert.muted is None
            return is_news
        if len(self._standing) >= MOST_STANDING:
            del self._standing[next(iter(self._standing))]
            self.evicted += 1
        self._standing[alert.fingerprint] = Standing(fields, alert.muted, alert.muted is None)
        return True

    def advance(self, now: float) -> list[Told]:
        """Silences end, maintenance begins and ends; alerts that still stand are told then."""
        is_due, self.clock = self.is_due(now), now
        return self._review() if is_due else []

    def is_due(self, now: float) -> bool:
        """Whether a silence ends by now, or maintenance begins or ends."""
        return self._boundary is not None and self._boundary <= now

    def _acknowledge(self, event: AlertAcknowledged) -> list[Told]:
        known = self._standing.get(event.fingerprint or "")
        if known is None:
            return []
        known.acknowledged_by = event.by or event.source
        return [(AlertRaised, known.fields | {"reason": f"{known.acknowledged_by[:200]} looks after it"})]

    def _review(self) -> list[Told]:
        """Drop what is over; every alert that stands and is muted otherwise than before, with its new mark."""
        self._boundary = self._mutes.drop(self.clock)
        return [
            (AlertRaised, known.fields | {"reason": _why(known.muted, muted)})
            for known in self._standing.values()
            if (muted := self.muted(known.fields, self.clock)) != known.muted
        ]

    # time and state

    def next_due(self) -> float | None:
        """When an alert that stands may have to be told: until then a scope is looked at now and then, however quiet it is."""
        if self._boundary is None or not self._standing:
            return None
        is_waiting = any(known.muted is not None for known in self._standing.values())
        return min(self._boundary, self.clock + LOOK_S) if is_waiting else self._boundary

    def status(self) -> dict[str, Any]:
        """What is muted and looked after, as plain values."""
        return self._mutes.status() | {
            "muted": {name: known.muted for name, known in self._standing.items() if known.muted is not None},
            "acknowledged": {name: known.acknowledged_by for name, known in self._standing.items() if known.acknowledged_by is not None},
        }

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "clock": self.clock,
            "boundary": self._boundary,
            "mutes": self._mutes.snapshot(),
            "standing": [[known.fields, known.muted, known.is_told, known.acknowledged_by] for known in self._standing.values()],
            "incidents": {name: list(row) for name, row in self._incidents.items()},
            "evicted": self.evicted,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Controls":
        """The controls that left this snapshot."""
        controls = cls()
        controls.clock, controls.evicted = state["clock"], state["evicted"]
        controls._mutes = Mutes.restore(state["mutes"])
        controls._standing = {row[0]["fingerprint"]: Standing(*row) for row in state["standing"]}
        controls._incidents = {name: (muted, is_told) for name, (muted, is_told) in state["incidents"].items()}
        controls._boundary = state["boundary"]
        return controls


def _as_fields(alert: Any) -> Mapping[str, Any]:
    return alert if isinstance(alert, Mapping) else alert.model_dump()


def _why(before: Mute | None, now: Mute | None) -> str:
    if now is not None:
        return "it was silenced" if now == "silenced" else "maintenance has begun"
    return f"{'its silence' if before == 'silenced' else 'maintenance'} has ended, and it still stands"


__all__ = ["Controls"]
