"""One incident: its alerts, what they say together, and what was last said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from pointsman.schemas import AlertKind, AlertRaised, IncidentAlert, Severity, Suspect

from .contrast import values_of
from .findings import Judged
from .incident_blast import Blast
from .incident_relations import WHOLE, Call, Entity, Relations, entity_of
from .incident_words import LIKELY, title

OPENING: frozenset[AlertKind] = frozenset({"anomaly", "slo_burn", "drift"})
MOST_ALERTS = 64
ORDER: tuple[Severity, ...] = ("info", "warning", "critical")
CRITICAL_SHARE, CRITICAL_REQUESTS = 0.3, 20
SAME_ONSET_S = 15.0
EARLIER_S, FRESH_S = 300.0, 120.0
FAMILIES = (
    frozenset({"latency_ms", "ttft_ms", "latency_p95_ms"}),
    frozenset({"input_tokens", "output_tokens", "cost_usd"}),
    frozenset({"error", "error_share", "success"}),
    frozenset({"quality", "quality_score"}),
)
SUSPECTED = 0.5


@dataclass(slots=True)
class Incident:
    """The state of an open incident.

    `began_at` is since when its first alert stands, `news_at` when an alert that may open one last joined or rose, `said_at` when something was last told.
    """

    name: str
    opened_at: float
    onset: float
    severity: Severity
    alerts: dict[str, IncidentAlert] = field(default_factory=dict)
    suspects: tuple[Suspect, ...] = ()
    blast: Blast = field(default_factory=Blast)
    usual: dict[str, float] = field(default_factory=dict)
    began_at: float = 0.0
    news_at: float = 0.0
    said_at: float = 0.0
    said_requests: int = 0
    review_at: float = 0.0
    acknowledged_by: str | None = None
    dropped: int = 0
    reasons: list[str] = field(default_factory=list)

    # alerts

    def take(self, alert: AlertRaised) -> None:
        """An alert joins, or rises again; where there are too many, the first that is over goes, else this one is only counted."""
        if alert.fingerprint not in self.alerts and len(self.alerts) >= MOST_ALERTS:
            self.dropped += 1
            over = next((name for name, one in self.alerts.items() if one.resolved_at is not None), None)
            if over is None:
                return
            del self.alerts[over]
        before = self.alerts.get(alert.fingerprint)
        self.alerts[alert.fingerprint] = _recorded(alert, min(alert.since, before.since) if before is not None else alert.since)
        if not self.news_at:
            self.began_at = alert.since
        if not self.news_at or opens(alert):
            self.news_at = alert.occurred_at
        if alert.kind in ("anomaly", "drift"):
            self.onset = min(self.onset, max(alert.since, self.began_at - EARLIER_S))

    def resolve(self, fingerprint: str, at: float) -> bool:
        """An alert is over; whether it was one that stood."""
        alert = self.alerts.get(fingerprint)
        if alert is None or alert.resolved_at is not None:
            return False
        self.alerts[fingerprint] = alert.model_copy(update={"resolved_at": at})
        return True

    @property
    def ended_at(self) -> float | None:
        """When the last of its alerts was over, None while one stands; bounds, budgets and forecasts only follow."""
        ends = [alert.resolved_at for alert in self.alerts.values() if opens(alert)]
        return None if None in ends else max((end for end in ends if end is not None), default=self.opened_at)

    def standing(self) -> list[tuple[str | None, str | None, str | None]]:
        """Track, host and metric of the alerts that stand."""
        return [(one.track, one.host, one.metric) for one in self.alerts.values() if one.resolved_at is None]

    # what belongs to it

    def closeness(self, alert: AlertRaised, relations: Relations, calls: Sequence[Call], group_s: float) -> int:
        """How close an alert is to this incident, 0 where it is none of its own; 9 for one that it has.

        What is related joins where it began within `group_s` of the onset, however late it was noticed, or before it and was noticed within `group_s` of the
        last news. The same metric of the same place does at any time, a kindred one where it began within `group_s` of the last news, and what only follows:
        burn rates, bounds, budgets. Once all is over, only the same trouble of the same place, or what began before.
        """
        if alert.fingerprint in self.alerts:
            return 9
        entity, ended = entity_of(alert.track, alert.host), self.ended_at
        own = [entity_of(one.track, one.host) for one in self.alerts.values()]
        close = max((relations.closeness(entity, other, calls) for other in own), default=0)
        here = [one.metric for other, one in zip(own, self.alerts.values(), strict=True) if other == entity]
        is_family = any(_is_family(alert.metric, metric) for metric in here)
        if ended is not None and alert.since > ended and not is_family:
            return 0
        if alert.metric in here or (is_family and alert.since - self.news_at <= group_s):
            return 4
        if alert.kind not in ("anomaly", "drift"):
            return close
        if alert.since - self.onset > group_s or (alert.since < self.onset - group_s and alert.occurred_at - self.news_at > group_s):
            return 0
        return close or int(abs(alert.since - self.onset) <= SAME_ONSET_S)

    def shares_value(self, value: str | None) -> bool:
        """Whether this attribute value, or category, is what is suspected here."""
        if value is None or not self.suspects:
            return False
        first = self.suspects[0]
        return first.score >= SUSPECTED and value == (f"={first.name}" if first.kind == "category" else first.name)

    def covers(self, track: str, relations: Relations) -> bool:
        """Whether requests of a track are concerned: its alerts are of the track, of a host that the track runs on, or of the scope."""
        return any(
            entity == WHOLE or entity == Entity("track", track) or (entity.kind == "host" and relations.runs_on(track, entity.name))
            for entity in (entity_of(one.track, one.host) for one in self.alerts.values())
        )

    def observe(self, judged: Judged, relations: Relations) -> None:
        """An outcome since the onset."""
        if judged.at >= self.onset:
            self.blast.observe(judged, is_covered=self.covers(judged.track, relations))

    def recount(self, recent: Sequence[Judged], relations: Relations) -> None:
        """Count anew what is still remembered; at the opening, and as long as nothing since the onset is forgotten."""
        if recent and recent[0].at < self.onset:
            self.blast = Blast()
            for judged in recent:
                self.observe(judged, relations)

    def suspect(self, ranked: tuple[Suspect, ...], now: float) -> None:
        """Who is suspected now. Evidence fades with the trouble: some time after the last news, or once an alert is over, only a stronger suspicion counts."""
        is_fresh = now - self.news_at <= FRESH_S and all(one.resolved_at is None for one in self.alerts.values())
        if is_fresh or not self.suspects or (ranked and ranked[0].score >= self.suspects[0].score):
            self.suspects = ranked

    def leading(self) -> list[tuple[str, str]]:
        """The first three suspects that are worth naming."""
        return [(one.kind, one.name) for one in self.suspects[:3] if one.score >= LIKELY]

    # what is told

    def judge(self) -> None:
        """The severity by the alerts and the share of requests; it only grows, so that it does not flap."""
        rank = max([ORDER.index(self.severity), *(ORDER.index(one.severity) for one in self.alerts.values() if one.resolved_at is None)])
        if self.blast.share >= CRITICAL_SHARE and self.blast.concerned >= CRITICAL_REQUESTS:
            rank = len(ORDER) - 1
        self.severity = ORDER[rank]

    def fields(self) -> dict[str, Any]:
        """The fields that all events of an incident have."""
        alerts = tuple(self.alerts.values())
        tracks = dict.fromkeys([*(one.track for one in alerts if one.track is not None), *self.blast.named(self.blast.tracks)])
        return {
            "incident": self.name,
            "severity": self.severity,
            "title": title(alerts[0], self.suspects),
            "since": self.onset,
            "alerts": alerts,
            "suspects": self.suspects,
            "tracks": tuple(tracks),
            "hosts": tuple(dict.fromkeys(one.host for one in alerts if one.host is not None)),
            "categories": tuple(self.blast.named(self.blast.categories)),
            "requests": self.blast.concerned,
            "requests_share": round(self.blast.share, 6),
            "cost_usd": round(self.blast.usd, 6),
            "fingerprint": alerts[0].fingerprint,
            "acknowledged_by": self.acknowledged_by,
        }

    # state

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "name": self.name,
            "opened_at": self.opened_at,
            "onset": self.onset,
            "severity": self.severity,
            "alerts": [alert.model_dump() for alert in self.alerts.values()],
            "suspects": [suspect.model_dump() for suspect in self.suspects],
            "blast": self.blast.snapshot(),
            "usual": self.usual,
            "began_at": self.began_at,
            "news_at": self.news_at,
            "said_at": self.said_at,
            "said_requests": self.said_requests,
            "review_at": self.review_at,
            "acknowledged_by": self.acknowledged_by,
            "dropped": self.dropped,
            "reasons": list(self.reasons),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """What left this snapshot."""
        alerts = [IncidentAlert.model_validate(one) for one in state["alerts"]]
        own = {
            "alerts": {alert.fingerprint: alert for alert in alerts},
            "suspects": tuple(Suspect.model_validate(one) for one in state["suspects"]),
            "blast": Blast.restore(state["blast"]),
        }
        return cls(**{**state, **own})


def opens(alert: AlertRaised | IncidentAlert) -> bool:
    """Whether an alert is of trouble, and of trouble that is no good news and does not only follow."""
    return alert.kind in OPENING and alert.severity != "info"


def common_value(alert: AlertRaised, recent: Sequence[Judged]) -> str | None:
    """The value that all, or nearly all, of what deviates since an alert's onset on its track has in common, and others have not."""
    rows = [judged for judged in recent if judged.at >= alert.since and (alert.track is None or judged.track == alert.track)]
    off = [judged for judged in rows if judged.deviations and max(judged.deviations.values()) >= 3.0]
    counts: dict[str, int] = {}
    for judged in off:
        for value in values_of(judged):
            counts[value] = counts.get(value, 0) + 1
    every = [value for value, count in counts.items() if count >= 3 and count >= 0.8 * len(off)]
    shares = {value: sum(value in values_of(judged) for judged in rows) / len(rows) for value in every}
    found = min(shares, key=lambda value: (shares[value], value), default=None)
    return found if found is not None and shares[found] < 0.8 else None


def _recorded(alert: AlertRaised, since: float) -> IncidentAlert:
    return IncidentAlert(
        fingerprint=alert.fingerprint,
        kind=alert.kind,
        severity=alert.severity,
        metric=alert.metric,
        track=alert.track,
        host=alert.host,
        since=since,
        score=alert.score,
        observed=alert.observed,
        expected=alert.expected,
    )


def _is_family(one: str | None, other: str | None) -> bool:
    return one == other or any(one in family and other in family for family in FAMILIES)


__all__ = ["Incident", "common_value", "opens"]
