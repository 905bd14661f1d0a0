"""What the core says of trouble beyond single alerts: incidents with their suspects, objectives and their budgets, bottlenecks."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from .config import Metric
from .envelope import Count, Identifier, OutputEvent, Share, ShortText
from .outputs import AlertKind, Severity

SuspectKind = Literal["track", "host", "provider", "stage", "attribute", "category", "traffic", "configuration", "policy", "ejection", "version"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Suspect(_Record):
    """What may have caused an incident. `name` says which one: a track, a host, `key=value` of an attribute, a version, the `event_id` of a change."""

    kind: SuspectKind
    name: Identifier
    track: Identifier | None = None
    metric: Identifier | None = None
    score: Share
    since: float | None = None
    evidence: str


class IncidentAlert(_Record):
    """One alert of an incident, as it was raised; `resolved_at` once it is over."""

    fingerprint: Identifier
    kind: AlertKind
    severity: Severity
    metric: Identifier | None = None
    track: Identifier | None = None
    host: Identifier | None = None
    since: float
    resolved_at: float | None = None
    score: float
    observed: float
    expected: float


class Similar(_Record):
    """An earlier incident that looked like this one, and what ended it, in the words of whoever said so."""

    incident: Identifier
    similarity: Share
    since: float
    ended_at: float | None = None
    cause: ShortText | None = None
    resolution: str | None = None
    note: str | None = None


class _Incident(OutputEvent):
    incident: Identifier
    severity: Severity
    title: str
    since: float
    alerts: tuple[IncidentAlert, ...]
    suspects: tuple[Suspect, ...] = ()
    tracks: tuple[Identifier, ...] = ()
    hosts: tuple[Identifier, ...] = ()
    categories: tuple[Identifier, ...] = ()
    scopes: tuple[Identifier, ...] = ()
    requests: Count = 0
    requests_share: Share = 0.0
    cost_usd: float = 0.0
    fingerprint: Identifier
    similar: tuple[Similar, ...] = ()
    acknowledged_by: ShortText | None = None
    muted: Literal["silenced", "maintenance"] | None = None


class IncidentOpened(_Incident):
    """Alerts that belong together have begun: what is affected, and what is suspected, the most suspected first."""

    TYPE: ClassVar[str] = "incident.opened/1"
    type: Literal["incident.opened/1"] = "incident.opened/1"


class IncidentUpdated(_Incident):
    """More is known of it; `reason` says what."""

    TYPE: ClassVar[str] = "incident.updated/1"
    type: Literal["incident.updated/1"] = "incident.updated/1"
    reason: str


class IncidentResolved(_Incident):
    """All its alerts are over, and nothing new has come for a while."""

    TYPE: ClassVar[str] = "incident.resolved/1"
    type: Literal["incident.resolved/1"] = "incident.resolved/1"
    ended_at: float


class Burn(_Record):
    """How fast an error budget went over the last `window_s` seconds: 1 is the pace that spends it exactly by the end of the objective's window."""

    window_s: float
    rate: float
    requests: Count
    broken: Count


class ObjectiveReported(OutputEvent):
    """How an objective is doing: its error budget and how fast it goes.

    `budget_left` = 1 - broken / ((1 - share) x the requests that a whole window has): of a stream that began at `since`, less than a window ago, `requests` x
    `window_s` / (`occurred_at` - `since`). `spent_at` is when nothing is left at the pace of the last hour (in an alert: of its rule's window), what leaves
    the window given back.
    """

    TYPE: ClassVar[str] = "objective.reported/1"
    type: Literal["objective.reported/1"] = "objective.reported/1"
    objective: Identifier
    metric: Metric
    bound: float
    share: Share
    window_s: float
    track: Identifier | None = None
    category: Identifier | None = None
    since: float
    requests: Count
    broken: Count
    budget_left: float
    burns: tuple[Burn, ...] = ()
    spent_at: float | None = None


class StageShare(_Record):
    """One stage of the requests of a track: what it takes usually and in slow ones (medians), and its share of what makes them slow."""

    stage: Identifier
    is_queueing: bool
    typical_ms: float
    slow_ms: float
    share: Share


class Advice(_Record):
    """What could be done, how much latency of slow requests it may save by what was measured, and what it costs."""

    action: str
    gain_ms: float
    gain_share: Share
    costs: Literal["nothing", "configuration", "money"]


class BottleneckReported(OutputEvent):
    """Where the time of the slow requests of a track goes: stage by stage, queueing apart from service, with advice, cheapest first."""

    TYPE: ClassVar[str] = "bottleneck.reported/1"
    type: Literal["bottleneck.reported/1"] = "bottleneck.reported/1"
    track: Identifier
    category: Identifier | None = None
    start: float
    end: float
    requests: Count
    slow_requests: Count
    latency_p50_ms: float
    latency_p95_ms: float
    queueing_ms: float
    service_ms: float
    stages: tuple[StageShare, ...]
    critical_path: tuple[Identifier, ...] = ()
    advice: tuple[Advice, ...] = ()


__all__ = [
    "Advice",
    "BottleneckReported",
    "Burn",
    "IncidentAlert",
    "IncidentOpened",
    "IncidentResolved",
    "IncidentUpdated",
    "ObjectiveReported",
    "Similar",
    "StageShare",
    "Suspect",
    "SuspectKind",
]
