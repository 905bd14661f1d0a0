"""Forerunners: what was seen before incidents of a kind often enough, and rarely otherwise, announces the next one, for as long as it keeps its promise.

A notice is a series that begins to deviate, or a lesser alert (a bound, a forecast), while no incident is open. It is watched for half an hour: which kinds of
incidents followed, or that none did.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pointsman.schemas import AlertRaised, AlertResolved

from .findings import Deviation, Told
from .precursor_records import HORIZON_S, Case, Records

SHORTEST_LEAD_S = 60.0  # a notice that comes later than this before an incident warns nobody: it is counted neither for nor against
MOST_WATCHED = 128
MOST_PROMISED = 128
MOST_OPEN = 64
PREFIX = "forerunner/"
_LESSER = ("constraint", "forecast")


class Notice(NamedTuple):
    """What was noticed: `key` is the same whenever it is noticed again."""

    key: str
    subject: str
    metric: str | None
    track: str | None
    host: str | None
    observed: float
    expected: float


@dataclass(slots=True)
class Watched:
    """A notice whose half hour is not over: what followed so far, and which kind of incident was promised because of it."""

    notice: Notice
    began: float
    followed: Case = field(default_factory=dict)
    promise: str | None = None


class Precursors:
    """Notices that are watched, and the promises that rest on their records."""

    def __init__(self) -> None:
        self._records = Records()
        self._watched: dict[str, Watched] = {}
        self._promised: dict[str, str] = {}
        self._open: dict[str, None] = {}
        self._off: list[str] = []

    # what happens

    def deviate(self, deviations: Iterable[Deviation], now: float) -> list[Told]:
        """The series that are off now, mildly or not; one that was not before is a notice."""
        notices = [_noticed(one) for one in deviations]
        before = {*self._off}
        self._off = [notice.key for notice in notices]
        return [told for notice in notices if notice.key not in before for told in self._notice(notice, now)]

    def heard(self, alert: AlertRaised | AlertResolved, now: float) -> list[Told]:
        """A lesser alert is a notice; our own promises are none."""
        if not isinstance(alert, AlertRaised) or alert.kind not in _LESSER or alert.fingerprint.startswith(PREFIX):
            return []
        return self._notice(Notice(alert.fingerprint, alert.subject, alert.metric, alert.track, alert.host, alert.observed, alert.expected), now)

    def opened(self, incident: str, kind: str, now: float) -> list[Told]:
        """An incident has come, `kind` is its fingerprint; promises of it are kept."""
        self._records.begin(now)
        self._records.came(kind, incident)
        self._open[incident] = None
        if len(self._open) > MOST_OPEN:
            del self._open[next(iter(self._open))]
        told: list[Told] = []
        for watched in self._watched.values():
            lead = now - watched.began
            watched.followed.setdefault(kind, lead)
            if watched.promise == kind:
                told.append(self._said(AlertResolved, watched, kind, f"{incident} has come, {_span(lead)} after the notice"))
                watched.promise = None
        return told

    def closed(self, incident: str) -> None:
        """An incident is over."""
        self._open.pop(incident, None)

    def advance(self, now: float) -> list[Told]:
        """The half hours that are over become cases; promises that were not kept end."""
        over: list[str] = []
        for key, watched in self._watched.items():  # the first noticed first
            if watched.began + HORIZON_S > now:
                break
            over.append(key)
        return [told for key in over for told in self._judged(self._watched.pop(key))]

    # one notice

    def _notice(self, notice: Notice, now: float) -> list[Told]:
        self._records.begin(now)
        if self._open or notice.key in self._watched or len(self._watched) >= MOST_WATCHED:
            return []
        watched = self._watched[notice.key] = Watched(notice, now, promise=self._promise(notice.key, now))
        if watched.promise is None:
            return []
        usually = _span(self._records.lead(notice.key, watched.promise))
        return [self._said(AlertRaised, watched, watched.promise, f"{self._records.tally(notice.key, watched.promise)}, usually after {usually}")]

    def _promise(self, key: str, now: float) -> str | None:
        """What a notice announces: what it has announced before, until it is dropped, or what it has come to announce."""
        kind = self._promised.get(key) or self._records.announced(key, now)
        if kind is not None:
            self._promised[key] = kind
            if len(self._promised) > MOST_PROMISED:
                del self._promised[next(iter(self._promised))]
        return kind

    def _judged(self, watched: Watched) -> list[Told]:
        """A case for the record; a promise that was not kept ends, and is made no more where that happened too often."""
        key, case = watched.notice.key, {kind: lead for kind, lead in watched.followed.items() if lead >= SHORTEST_LEAD_S}
        if case or not watched.followed:
            self._records.add(key, case)
        kind = self._promised.get(key)
        is_dropped = kind is not None and not self._records.is_kept(key, kind)
        if is_dropped:
            del self._promised[key]
        if watched.promise is None:
            return []
        tally = self._records.tally(key, watched.promise)
        reason = f"dropped as a forerunner: {tally}" if is_dropped else f"none came within {_span(HORIZON_S)}; {tally}"
        return [self._said(AlertResolved, watched, watched.promise, reason)]

    def _said(self, model: type[AlertRaised | AlertResolved], watched: Watched, kind: str, reason: str) -> Told:
        notice, precision = watched.notice, round(self._records.precision(watched.notice.key, kind), 6)
        return model, {
            "fingerprint": f"{PREFIX}{notice.key}"[:256],
            "kind": "forecast",
            "severity": "warning",
            "subject": notice.subject,
            "observed": notice.observed,
            "expected": notice.expected,
            "score": precision,
            "since": watched.began,
            "metric": notice.metric,
            "track": notice.track,
            "host": notice.host,
            "precision": precision,
            "reason": reason[:256],
        }

    # time and state

    def next_due(self) -> float | None:
        """When the half hour of a notice with a promise is over; what has none can wait for whatever comes next."""
        return min((watched.began + HORIZON_S for watched in self._watched.values() if watched.promise is not None), default=None)

    def status(self) -> list[dict[str, Any]]:
        """The forerunners: what they announce, and in which share of cases it came."""
        return [
            {"notice": key, "fingerprint": kind, "like": self._records.example(kind), "precision": self._records.precision(key, kind)}
            for key, kind in self._promised.items()
        ]

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "records": self._records.snapshot(),
            "watched": [[list(one.notice), one.began, one.followed, one.promise] for one in self._watched.values()],
            "promised": self._promised,
            "open": [*self._open],
            "off": self._off,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Precursors":
        """What left this snapshot."""
        precursors = cls()
        watched = [Watched(Notice(*notice), began, followed, promise) for notice, began, followed, promise in state["watched"]]
        precursors._records = Records.restore(state["records"])
        precursors._watched = {one.notice.key: one for one in watched}
        precursors._promised, precursors._off = state["promised"], state["off"]
        precursors._open = dict.fromkeys(state["open"])
        return precursors


def _noticed(deviation: Deviation) -> Notice:
    subject = deviation.track or deviation.host or "scope"
    return Notice(f"{subject}/{deviation.metric}"[:240], subject, deviation.metric, deviation.track, deviation.host, deviation.observed, deviation.expected)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


__all__ = ["PREFIX", "Notice", "Precursors"]
