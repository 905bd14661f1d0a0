"""What people say of alerts: somebody looks after one, nobody wants to hear of some, and some things are worked on.

An alert is raised all the same while it is muted; it only says so. Whenever that changes for an alert that stands, it is raised again with the new mark, so
that whoever follows the alerts knows at every moment which of them people are to be told of.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

from pointsman.schemas import AlertAcknowledged, AlertRaised, AlertResolved, AlertSilenced, MaintenanceScheduled, Reason

from .findings import Told

Mute = Literal["silenced", "maintenance"]
MOST_SILENCES = 256
MOST_WINDOWS = 64
MOST_STANDING = 512
MOST_INCIDENTS = 64
LONGEST_S = 366 * 86_400.0
LOOK_S = 60.0  # how often a quiet scope is looked at while a muted alert stands: within the five minutes in which a shell still ticks it
_MARKS = {"type", "event_id", "scope", "occurred_at", "source", "caused_by", "muted", "acknowledged_by", "reason"}


class Silence(NamedTuple):
    """Patterns of alerts that nobody wants to hear of before `until`."""

    fingerprint: str | None
    subject: str | None
    kind: str | None
    until: float
    by: str | None

    @property
    def key(self) -> tuple[str | None, ...]:
        """What it is about: said again with another end, it replaces the earlier one."""
        return self[:3]

    def covers(self, fields: Mapping[str, Any]) -> bool:
        """Whether an alert matches every pattern given."""
        return (
            (self.kind is None or self.kind == fields["kind"])
            and (self.fingerprint is None or fnmatchcase(fields["fingerprint"], self.fingerprint))
            and (self.subject is None or fnmatchcase(_subject(fields), self.subject))
        )


class Window(NamedTuple):
    """From `start` to `end` these tracks and hosts are worked on; without any it is everything."""

    start: float
    end: float
    tracks: tuple[str, ...]
    hosts: tuple[str, ...]
    by: str | None

    @property
    def key(self) -> tuple[Any, ...]:
        """What it is about: said again with another end, it replaces the earlier one."""
        return self.start, self.tracks, self.hosts

    def covers(self, fields: Mapping[str, Any]) -> bool:
        """Whether an alert is of something that is worked on; one that names neither track nor host goes by its subject."""
        track, host = fields.get("track"), fields.get("host")
        if track is not None or host is not None or not (self.tracks or self.hosts):
            return self.includes(track, host)
        return any(_subject(fields) == name or _subject(fields).startswith(f"{name}/") for name in (*self.tracks, *self.hosts))

    def includes(self, track: str | None, host: str | None) -> bool:
        """Whether this track or this host is worked on."""
        return not (self.tracks or self.hosts) or track in self.tracks or host in self.hosts


@dataclass(slots=True)
class Standing:
    """An alert as it was raised last, how it was muted then, whether people were ever told of it, and who looks after it."""

    fields: dict[str, Any]
    muted: Mute | None
    is_told: bool
    acknowledged_by: str | None = None


class Controls:
    """Silences, maintenance windows and acknowledgements of one scope, and the alerts that stand; all of it a function of the events.

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
        self._silences: dict[tuple[str | None, ...], Silence] = {}
        self._windows: dict[tuple[Any, ...], Window] = {}
        self._standing: dict[str, Standing] = {}
        self._incidents: dict[str, tuple[Mute | None, bool]] = {}
        self._boundary: float | None = None
        self.evicted = 0

    # what is asked

    def muted(self, fields: Mapping[str, Any], now: float) -> Mute | None:
        """Why nobody is to be told of an alert now; of an incident, why of none of its alerts."""
        if "alerts" in fields:
            answers: list[Mute | None] = [self.muted(_as_fields(alert), now) for alert in fields["alerts"]]
            return answers[0] if answers and None not in answers else None
        if any(window.start <= now < window.end and window.covers(fields) for window in self._windows.values()):
            return "maintenance"
        return "silenced" if any(now < silence.until and silence.covers(fields) for silence in self._silences.values()) else None

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
        return any(window.start <= now < window.end and window.includes(track, host) for window in self._windows.values())

    def acknowledged(self, fingerprint: str) -> str | None:
        """Who looks after an alert that stands."""
        known = self._standing.get(fingerprint)
        return known.acknowledged_by if known is not None else None

    def refusal(self, event: AlertAcknowledged | AlertSilenced | MaintenanceScheduled) -> Reason | None:
        """Why an event can mean nothing here, if so."""
        now = max(self.clock, event.occurred_at)
        if isinstance(event, AlertAcknowledged):
            if event.fingerprint is None or event.fingerprint in self._standing:
                return None
            return Reason(code="unknown_alert", message=f"no alert {event.fingerprint!r} stands in this scope: name one that does by its fingerprint")
        if isinstance(event, AlertSilenced):
            return self._refused_silence(_silence(event), now)
        return self._refused_window(_window(event), now)

    def _refused_silence(self, silence: Silence, now: float) -> Reason | None:
        if silence.until - now > LONGEST_S:
            return Reason(code="too_long", message="a silence lasts at most a year: give an earlier until, and silence it again then")
        if silence.key in self._silences:
            return None
        if silence.until <= now:
            return Reason(code="nothing_to_lift", message="until has passed, which lifts a silence, and none with these patterns stands")
        if len(self._silences) >= MOST_SILENCES:
            return Reason(code="too_many_silences", message=f"{MOST_SILENCES} silences stand already: lift some, or use one with a wider pattern")
        return None

    def _refused_window(self, window: Window, now: float) -> Reason | None:
        if window.end - max(window.start, now) > LONGEST_S:
            return Reason(code="too_long", message="a maintenance window lasts at most a year: give an earlier end")
        if window.key in self._windows:
            return None
        if window.end <= now:
            return Reason(code="nothing_to_end", message="this maintenance window is over already, and none with this start, these tracks and hosts is known")
        if len(self._windows) >= MOST_WINDOWS:
            return Reason(code="too_many_windows", message=f"{MOST_WINDOWS} maintenance windows are known already: join some, or end some")
        return None

    # what happens

    def told(self, event: AlertAcknowledged | AlertSilenced | MaintenanceScheduled) -> list[Told]:
        """What follows from what a person said: the alerts that stand and for which something changed, once more."""
        if isinstance(event, AlertAcknowledged):
            return self._acknowledge(event)
        if isinstance(event, AlertSilenced):
            silence = _silence(event)
            self._silences[silence.key] = silence
        else:
            window = _window(event)
            self._windows[window.key] = window
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
        now = self.clock
        self._silences = {key: silence for key, silence in self._silences.items() if silence.until > now}
        self._windows = {key: window for key, window in self._windows.items() if window.end > now}
        self._boundary = min(self._moments(), default=None)
        return [
            (AlertRaised, known.fields | {"reason": _why(known.muted, muted)})
            for known in self._standing.values()
            if (muted := self.muted(known.fields, now)) != known.muted
        ]

    def _moments(self) -> Iterator[float]:
        for silence in self._silences.values():
            yield silence.until
        for window in self._windows.values():
            yield window.start if window.start > self.clock else window.end

    # time and state

    def next_due(self) -> float | None:
        """When an alert that stands may have to be told: until then a scope is looked at now and then, however quiet it is."""
        if self._boundary is None or not self._standing:
            return None
        is_waiting = any(known.muted is not None for known in self._standing.values())
        return min(self._boundary, self.clock + LOOK_S) if is_waiting else self._boundary

    def status(self) -> dict[str, Any]:
        """What is muted and looked after, as plain values."""
        return {
            "silences": [silence._asdict() for silence in self._silences.values()],
            "maintenance": [window._asdict() for window in self._windows.values()],
            "muted": {name: known.muted for name, known in self._standing.items() if known.muted is not None},
            "acknowledged": {name: known.acknowledged_by for name, known in self._standing.items() if known.acknowledged_by is not None},
        }

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "clock": self.clock,
            "silences": [list(silence) for silence in self._silences.values()],
            "windows": [list(window) for window in self._windows.values()],
            "standing": [[known.fields, known.muted, known.is_told, known.acknowledged_by] for known in self._standing.values()],
            "incidents": {name: list(row) for name, row in self._incidents.items()},
            "evicted": self.evicted,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Controls":
        """The controls that left this snapshot."""
        controls = cls()
        controls.clock, controls.evicted = state["clock"], state["evicted"]
        silences = [Silence(*row) for row in state["silences"]]
        windows = [Window(start, end, tuple(tracks), tuple(hosts), by) for start, end, tracks, hosts, by in state["windows"]]
        controls._silences = {silence.key: silence for silence in silences}
        controls._windows = {window.key: window for window in windows}
        controls._standing = {row[0]["fingerprint"]: Standing(*row) for row in state["standing"]}
        controls._incidents = {name: (muted, is_told) for name, (muted, is_told) in state["incidents"].items()}
        controls._boundary = min(controls._moments(), default=None)
        return controls


def _silence(event: AlertSilenced) -> Silence:
    return Silence(event.fingerprint, event.subject, event.kind, event.until, event.by)


def _window(event: MaintenanceScheduled) -> Window:
    return Window(event.start, event.end, tuple(sorted(set(event.tracks))), tuple(sorted(set(event.hosts))), event.by)


def _subject(fields: Mapping[str, Any]) -> str:
    """What an alert is about; an alert of an incident has lost its subject, which is its fingerprint but for the last part."""
    return str(fields.get("subject") or fields["fingerprint"].rsplit("/", 1)[0])


def _as_fields(alert: Any) -> Mapping[str, Any]:
    return alert if isinstance(alert, Mapping) else alert.model_dump()


def _why(before: Mute | None, now: Mute | None) -> str:
    if now is not None:
        return "it was silenced" if now == "silenced" else "maintenance has begun"
    return f"{'its silence' if before == 'silenced' else 'maintenance'} has ended, and it still stands"


__all__ = ["Controls", "Mute", "Silence", "Window"]
