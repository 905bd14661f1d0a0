"""Every series of a scope beside what is usual: outcomes as they are judged, series that deviate, and the alarms that stand."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from pointsman.schemas import AlertRaised, AlertResolved, OptimizationConfig, QualityAssessed, RequestCompleted, Severity

from .findings import Deviation, Judged, Told
from .join import Attempt
from .watch_series import Away, Step
from .watch_track import WatchedTrack

RECENT = 1024
MOST_TRACKS = 64
CRITICAL = 4.0


class Watch:
    """Judges outcomes as they come. An alarm that stands is resolved when its series is as it was, has stayed where it went, or is not heard of any more."""

    def __init__(self, config: OptimizationConfig) -> None:
        self._settings = config.signals
        self._tracks: dict[str, WatchedTrack] = {}
        self._recent: deque[Judged] = deque(maxlen=RECENT)
        self._standing: dict[tuple[str, str], dict[str, Any]] = {}
        self.refused = 0

    def configure(self, config: OptimizationConfig) -> None:
        """From here on this configuration; tracks that it does not name are watched no longer."""
        self._settings = config.signals
        known = {track.name for track in config.tracks}
        self._tracks = {name: track for name, track in self._tracks.items() if not known or name in known}
        self._standing = {key: fields for key, fields in self._standing.items() if key[0] in self._tracks}
        for track in self._tracks.values():
            track.set_per_month(config.signals.false_alarms_per_month)

    def recent(self) -> deque[Judged]:
        """The last 1,024 outcomes, as they were judged."""
        return self._recent

    def deviations(self, now: float) -> list[Deviation]:
        """Every series that is away from what is usual, alarm or not."""
        found = []
        for name, track in self._tracks.items():
            for metric in track.metrics():
                away = track.away(metric)
                if away is not None:
                    found.append(
                        Deviation(metric, name, None, round(away.effect, 3), away.since, round(away.score, 4), short(away.observed), short(away.expected))
                    )
        return found

    # what happens

    def completed(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> list[Told]:
        """An attempt ends; `attempt` is None where nothing is known of its start."""
        track = self._track(event.track)
        if track is None:
            return []
        found = track.observe(event, attempt, now)
        category, attributes = (attempt.context.category, attempt.attributes or {}) if attempt is not None else (None, {})
        judged = Judged(now, event.request_id, event.track, category, attributes, event.success, found.deviations, found.extra_ms, found.extra_usd)
        self._recent.append(judged)
        return self._say(event.track, track, found.steps, now)

    def assessed(self, event: QualityAssessed, now: float) -> list[Told]:
        """A judgement comes after the outcome."""
        track = self._track(event.track)
        return self._say(event.track, track, track.assessed(event.score, now).steps, now) if track is not None else []

    def advance(self, now: float) -> list[Told]:
        """The clock moves: what is not heard of any more stands no longer."""
        told: list[Told] = []
        for name, metric in [key for key in self._standing if self._tracks[key[0]].get(key[1]).pace.is_silent(now)]:
            self._tracks[name].get(metric).silent()
            told.append((AlertResolved, self._standing.pop((name, metric))))
        return told

    def _track(self, name: str) -> WatchedTrack | None:
        track = self._tracks.get(name)
        if track is None:
            if len(self._tracks) >= MOST_TRACKS:
                self.refused += 1
                return None
            track = self._tracks[name] = WatchedTrack(self._settings.false_alarms_per_month)
        return track

    def _say(self, name: str, track: WatchedTrack, steps: list[tuple[str, Step]], now: float) -> list[Told]:
        told: list[Told] = []
        for metric, step in steps:
            if step == "resolved":
                fields = self._standing.pop((name, metric), None)
                if fields is not None:
                    told.append((AlertResolved, fields))
                continue
            away, standing = track.away(metric), track.get(metric).standing
            if away is None or standing is None:
                continue
            fields = alert_fields(name, metric, standing.kind, away) | {"track": name}
            self._standing[(name, metric)] = fields
            told.append((AlertRaised, fields))
        return told

    # state

    def status(self) -> dict[str, Any]:
        """What a person wants to know, as plain values."""
        return {"standing": [fields["fingerprint"] for fields in self._standing.values()], "refused": self.refused}

    def snapshot(self) -> dict[str, Any]:
        """The state in named parts, as plain values."""
        head = {
            "tracks": list(self._tracks),
            "refused": self.refused,
            "standing": [[*key, fields] for key, fields in self._standing.items()],
        }
        recent = [[*one[:4], dict(one.attributes), one.success, dict(one.deviations), *one[7:]] for one in self._recent]
        return {"watch": head, "watch_recent": recent} | {f"watch_track:{name}": track.snapshot() for name, track in self._tracks.items()}

    def restore(self, parts: Mapping[str, Any]) -> None:
        """Take up the parts of a snapshot."""
        head = parts["watch"]
        self.refused = head["refused"]
        self._standing = {(name, metric): fields for name, metric, fields in head["standing"]}
        self._recent = deque((Judged(*one) for one in parts["watch_recent"]), maxlen=RECENT)
        per_month = self._settings.false_alarms_per_month
        self._tracks = {name: WatchedTrack.restore(parts[f"watch_track:{name}"], per_month) for name in head["tracks"]}


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


def short(value: float) -> float:
    """Six digits of a value, whatever its size."""
    return float(f"{value:.6g}")


__all__ = ["Watch", "alert_fields", "short"]
