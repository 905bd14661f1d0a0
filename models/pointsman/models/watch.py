"""Every series of a scope beside what is usual: outcomes as they are judged, series that deviate, and the alarms that stand."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from pointsman.schemas import AlertRaised, AlertResolved, OptimizationConfig, QualityAssessed, RequestCompleted, RequestStarted, ResourceSampled, Severity

from .arrays import short
from .findings import Deviation, Judged, Told
from .join import Attempt
from .watch_host import WatchedHost, readings
from .watch_minutes import ARRIVALS, Key, Minutes, Row
from .watch_series import Away, Step
from .watch_track import WatchedTrack

RECENT = 1024
MOST_TRACKS = 64
MOST_HOSTS = 16
TRACK, HOST, SCOPE = "track", "host", "scope"
OUTCOMES = ("latency_ms", "ttft_ms", "output_tokens", "cost_usd", "quality_score")
CRITICAL = 4.0


class Watch:
    """Judges outcomes and samples as they come, of at most 64 tracks and 16 hosts.

    An alarm that stands is resolved when its series is as it was, has stayed where it went, or is not heard of any more.
    """

    def __init__(self, config: OptimizationConfig) -> None:
        self._settings = config.signals
        self._tracks: dict[str, WatchedTrack] = {}
        self._hosts: dict[str, WatchedHost] = {}
        self._recent: deque[Judged] = deque(maxlen=RECENT)
        self._standing: dict[Key, dict[str, Any]] = {}
        self._minutes = Minutes()
        self._slow: set[Key] = set()
        self._refused = 0

    def configure(self, config: OptimizationConfig) -> None:
        """From here on this configuration; tracks that it does not name are watched no longer."""
        self._settings = config.signals
        known = {track.name for track in config.tracks}
        self._tracks = {name: track for name, track in self._tracks.items() if not known or name in known}
        self._standing = {key: fields for key, fields in self._standing.items() if key[0] != TRACK or key[1] in self._tracks}
        self._slow = {key for key in self._slow if key in self._standing}
        for _, _, one in self._all():
            one.set_per_month(config.signals.false_alarms_per_month)

    def recent(self) -> deque[Judged]:
        """The last 1,024 outcomes, as they were judged."""
        return self._recent

    def deviations(self, now: float) -> list[Deviation]:
        """Every series that is away from what is usual, alarm or not."""
        found = []
        for kind, name, one in self._all():
            for metric in one.metrics():
                away = one.away(metric)
                if away is not None:
                    track, host = (name, None) if kind == TRACK else (None, name)
                    said = round(away.effect, 3), away.since, round(away.score, 4), short(away.observed), short(away.expected)
                    found.append(Deviation(metric, track, host, *said))
        return found

    # what happens

    def started(self, event: RequestStarted, now: float) -> None:
        """A request starts."""
        self._minutes.count((SCOPE, SCOPE, ARRIVALS), 1.0)
        if event.track is not None:
            self.arrived(event.track, now)

    def arrived(self, name: str, now: float) -> None:
        """A request arrives at a track, or is found to have."""
        self._minutes.count((TRACK, name, ARRIVALS), 1.0)
        track = self._track(name)
        if track is not None:
            track.arrivals.arrive(now)

    def completed(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> list[Told]:
        """An attempt ends; `attempt` is None where nothing is known of its start."""
        track = self._track(event.track)
        if track is None:
            return []
        found = track.observe(event, attempt, now)
        self._count(event)
        category, attributes = (attempt.context.category, attempt.attributes or {}) if attempt is not None else (None, {})
        judged = Judged(now, event.request_id, event.track, category, attributes, event.success, found.deviations, found.extra_usd)
        self._recent.append(judged)
        told = self._say((TRACK, event.track), track, found.steps)
        for name, host in self._hosts.items():
            steps = host.silent(now)
            if steps:
                told += self._say((HOST, name), host, steps)
        return told

    def assessed(self, event: QualityAssessed, now: float) -> list[Told]:
        """A judgement comes after the outcome."""
        track = self._track(event.track)
        return self._say((TRACK, event.track), track, track.assessed(event.score, now).steps) if track is not None else []

    def sampled(self, event: ResourceSampled, in_flight: int, now: float) -> list[Told]:
        """A host reports while so many requests run."""
        host = self._hosts.get(event.host)
        if host is None:
            if len(self._hosts) >= MOST_HOSTS:
                self._refused += 1
                return []
            host = self._hosts[event.host] = WatchedHost(self._settings.false_alarms_per_month)
        for metric, value in readings(event):
            self._minutes.count((HOST, event.host, metric), value)
        return self._say((HOST, event.host), host, host.observe(event, in_flight, now))

    def maintained(self, host: str, now: float) -> list[Told]:
        """A host that is worked on reports: it is there, and what it says is not learned."""
        known = self._hosts.get(host)
        return self._say((HOST, host), known, known.hear(now)) if known is not None else []

    def advance(self, now: float) -> list[Told]:
        """The clock moves: what is not heard of any more stands no longer."""
        told: list[Told] = []
        if self._minutes.due(now):
            for row in self._minutes.close(now, self._settings.false_alarms_per_month):
                told += self._say_minute(row)
        for key in list(self._standing) if self._standing else ():
            one = self._one(key)
            if key not in self._slow and one is not None and one.is_silent(key[2], now):
                one.quiet(key[2])
                told.append((AlertResolved, self._standing.pop(key)))
        return told

    def _track(self, name: str) -> WatchedTrack | None:
        track = self._tracks.get(name)
        if track is None:
            if len(self._tracks) >= MOST_TRACKS:
                self._refused += 1
                return None
            track = self._tracks[name] = WatchedTrack(self._settings.false_alarms_per_month)
        return track

    def _count(self, event: RequestCompleted) -> None:
        """What an outcome adds to its minute; errors are rare and have no season, so that they are judged one by one only."""
        for metric in OUTCOMES if event.success else ():
            value = getattr(event, metric)
            if value is not None:
                self._minutes.count((TRACK, event.track, metric), value)

    def _say_minute(self, row: Row) -> list[Told]:
        """The alert of a minute, unless one of that series stands."""
        key = row.key
        if row.step == "resolved":
            if key not in self._slow:
                return []
            self._slow.remove(key)
            return [(AlertResolved, self._standing.pop(key))]
        if key in self._standing or row.away is None:
            return []
        self._slow.add(key)
        fields = alert_fields(key[1], key[2], row.speed, row.away) | ({key[0]: key[1]} if key[0] != SCOPE else {})
        self._standing[key] = fields
        return [(AlertRaised, fields)]

    def _one(self, key: Key) -> WatchedTrack | WatchedHost | None:
        return self._tracks.get(key[1]) if key[0] == TRACK else self._hosts.get(key[1])

    def _all(self) -> Iterator[tuple[str, str, WatchedTrack | WatchedHost]]:
        for name, track in self._tracks.items():
            yield TRACK, name, track
        for name, host in self._hosts.items():
            yield HOST, name, host

    def _say(self, place: tuple[str, str], one: WatchedTrack | WatchedHost, steps: list[tuple[str, Step]]) -> list[Told]:
        """The alerts of what has been raised and resolved; one of a series at a time."""
        told: list[Told] = []
        for metric, step in steps:
            key = (*place, metric)
            if step == "resolved":
                fields = self._standing.pop(key, None) if key not in self._slow else None
                if fields is not None:
                    told.append((AlertResolved, fields))
                continue
            away = one.away(metric)
            if away is not None and key not in self._standing:
                fields = alert_fields(place[1], metric, one.speed(metric), away) | {place[0]: place[1]}
                self._standing[key] = fields
                told.append((AlertRaised, fields))
        return told

    # state

    def status(self) -> dict[str, Any]:
        """What a person wants to know, as plain values."""
        refused = self._refused + self._minutes.refused + sum(host.refused for host in self._hosts.values())
        return {"standing": [fields["fingerprint"] for fields in self._standing.values()], "refused": refused}

    def snapshot(self) -> dict[str, Any]:
        """The state in named parts, as plain values."""
        standing = [[*key, fields] for key, fields in self._standing.items()]
        head = {"tracks": list(self._tracks), "hosts": list(self._hosts), "refused": self._refused, "standing": standing, "slow": sorted(self._slow)}
        recent = [[*one[:4], dict(one.attributes), one.success, dict(one.deviations), *one[7:]] for one in self._recent]
        return {"watch": head, "watch_recent": recent} | self._minutes.snapshot() | {f"watch_{kind}:{name}": one.snapshot() for kind, name, one in self._all()}

    def restore(self, parts: Mapping[str, Any]) -> None:
        """Take up the parts of a snapshot."""
        head = parts["watch"]
        self._refused = head["refused"]
        self._standing = {(kind, name, metric): fields for kind, name, metric, fields in head["standing"]}
        self._slow = {(kind, name, metric) for kind, name, metric in head["slow"]}
        self._minutes.restore(parts)
        self._recent = deque((Judged(*one) for one in parts["watch_recent"]), maxlen=RECENT)
        per_month = self._settings.false_alarms_per_month
        self._tracks = {name: WatchedTrack.restore(parts[f"watch_{TRACK}:{name}"], per_month) for name in head["tracks"]}
        self._hosts = {name: WatchedHost.restore(parts[f"watch_{HOST}:{name}"], per_month) for name in head["hosts"]}


def alert_fields(subject: str, metric: str, kind: str, away: Away) -> dict[str, Any]:
    """The fields of an alert of a watched series."""
    severity: Severity = "critical" if abs(away.effect) >= CRITICAL else "warning"
    return {
        "fingerprint": f"{subject[:200]}/{metric}/{kind}"[:256],
        "kind": kind,
        "severity": severity,
        "subject": subject,
        "metric": metric,
        "observed": short(away.observed),
        "expected": short(away.expected),
        "lower": short(away.lower),
        "upper": short(away.upper),
        "score": round(away.score, 4),
        "since": away.since,
    }


__all__ = ["Watch", "alert_fields"]
