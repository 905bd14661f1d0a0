"""Who is told of what: silences by patterns, and maintenance of tracks and hosts, each until it is over."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

from pointsman.schemas import AlertSilenced, MaintenanceScheduled, Reason

Mute = Literal["silenced", "maintenance"]
MOST_SILENCES = 256
MOST_WINDOWS = 64
LONGEST_S = 366 * 86_400.0


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


class Mutes:
    """The silences and maintenance windows of a scope that are not over."""

    def __init__(self) -> None:
        self._silences: dict[tuple[str | None, ...], Silence] = {}
        self._windows: dict[tuple[Any, ...], Window] = {}

    def of(self, fields: Mapping[str, Any], now: float) -> Mute | None:
        """Why nobody is to be told of an alert now."""
        if any(window.start <= now < window.end and window.covers(fields) for window in self._windows.values()):
            return "maintenance"
        return "silenced" if any(now < silence.until and silence.covers(fields) for silence in self._silences.values()) else None

    def is_maintained(self, track: str | None, host: str | None, now: float) -> bool:
        """Whether a track or a host is worked on now."""
        return any(window.start <= now < window.end and window.includes(track, host) for window in self._windows.values())

    def refusal(self, event: AlertSilenced | MaintenanceScheduled, now: float) -> Reason | None:
        """Why an event can mean nothing here, if so."""
        return self._refused_silence(_silence(event), now) if isinstance(event, AlertSilenced) else self._refused_window(_window(event), now)

    def _refused_silence(self, silence: Silence, now: float) -> Reason | None:
        if silence.until - now > LONGEST_S:
            return Reason(code="too_long", message="a silence lasts at most a year: give an earlier until, and silence it again then")
        if silence.key in self._silences:
            return None
        if silence.until <= now:
            return Reason(code="nothing_to_lift", message="until has passed, which lifts a silence, and none with these patterns stands")
        if sum(known.until > now for known in self._silences.values()) >= MOST_SILENCES:
            return Reason(code="too_many_silences", message=f"{MOST_SILENCES} silences stand already: lift some, or use one with a wider pattern")
        return None

    def _refused_window(self, window: Window, now: float) -> Reason | None:
        if window.end - max(window.start, now) > LONGEST_S:
            return Reason(code="too_long", message="a maintenance window lasts at most a year: give an earlier end")
        if window.key in self._windows:
            return None
        if window.end <= now:
            return Reason(code="nothing_to_end", message="this maintenance window is over already, and none with this start, these tracks and hosts is known")
        if sum(known.end > now for known in self._windows.values()) >= MOST_WINDOWS:
            return Reason(code="too_many_windows", message=f"{MOST_WINDOWS} maintenance windows are known already: join some, or end some")
        return None

    def add(self, event: AlertSilenced | MaintenanceScheduled) -> None:
        """Keep one; with the same patterns, or the same start and names, it takes the place of the earlier one."""
        if isinstance(event, AlertSilenced):
            silence = _silence(event)
            self._silences[silence.key] = silence
        else:
            window = _window(event)
            self._windows[window.key] = window

    def drop(self, now: float) -> float | None:
        """Drop what is over; when the next one begins or ends."""
        self._silences = {key: silence for key, silence in self._silences.items() if silence.until > now}
        self._windows = {key: window for key, window in self._windows.items() if window.end > now}
        return min(self._moments(now), default=None)

    def _moments(self, now: float) -> Iterator[float]:
        for silence in self._silences.values():
            yield silence.until
        for window in self._windows.values():
            yield window.start if window.start > now else window.end

    def status(self) -> dict[str, Any]:
        """What is muted until when, as plain values."""
        return {
            "silences": [silence._asdict() for silence in self._silences.values()],
            "maintenance": [window._asdict() for window in self._windows.values()],
        }

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {"silences": [list(one) for one in self._silences.values()], "windows": [list(one) for one in self._windows.values()]}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Mutes":
        """What left this snapshot."""
        mutes = cls()
        silences = [Silence(*row) for row in state["silences"]]
        windows = [Window(start, end, tuple(tracks), tuple(hosts), by) for start, end, tracks, hosts, by in state["windows"]]
        mutes._silences = {silence.key: silence for silence in silences}
        mutes._windows = {window.key: window for window in windows}
        return mutes


def _silence(event: AlertSilenced) -> Silence:
    return Silence(event.fingerprint, event.subject, event.kind, event.until, event.by)


def _window(event: MaintenanceScheduled) -> Window:
    return Window(event.start, event.end, tuple(sorted(set(event.tracks))), tuple(sorted(set(event.hosts))), event.by)


def _subject(fields: Mapping[str, Any]) -> str:
    """What an alert is about; an alert of an incident has lost its subject, which is its fingerprint but for the last part."""
    return str(fields.get("subject") or fields["fingerprint"].rsplit("/", 1)[0])


__all__ = ["MOST_SILENCES", "MOST_WINDOWS", "Mute", "Mutes", "Silence", "Window"]
