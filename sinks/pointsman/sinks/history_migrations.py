"""The schema of a history in numbered steps, each applied once and never changed afterwards; a new step goes to the end.

SQLite and PostgreSQL differ in the words for types and in the seconds between two times, and in nothing else that is used here.
"""

import re
from typing import Literal

Dialect = Literal["sqlite", "postgresql"]

_WORDS: dict[Dialect, dict[str, str]] = {
    "sqlite": {"TIME": "TEXT", "FLOAT": "REAL", "BIGINT": "INTEGER", "BOOLEAN": "INTEGER"},
    "postgresql": {"TIME": "timestamptz", "FLOAT": "double precision", "BIGINT": "bigint", "BOOLEAN": "boolean"},
}
_SECONDS: dict[Dialect, str] = {
    "sqlite": r"round((julianday(\2) - julianday(\1)) * 86400.0, 3)",
    "postgresql": r"CAST(EXTRACT(EPOCH FROM (\2 - \1)) AS double precision)",
}

# An attempt is what was started, or what ended without a known start. Its quality is the last judgement by time, else what its completion said.
_OUTCOMES = """
CREATE VIEW outcomes AS
SELECT a.*, coalesce(a.propensity_logged, CASE WHEN a.track = a.recommended_track THEN a.recommended_propensity END) AS propensity FROM (
  SELECT coalesce(c.event_id, s.event_id) AS event_id, s.scope, s.request_id, s.track, s.occurred_at AS time, s.occurred_at AS started_at,
    c.occurred_at AS completed_at, s.propensity AS propensity_logged, s.policy_version, coalesce(c.input_tokens, s.input_tokens) AS input_tokens,
    s.category, {completed}, {recommended}, {judged}, {predicted}
  FROM starts s
  LEFT JOIN completions c ON c.scope = s.scope AND c.request_id = s.request_id AND c.track = s.track
  LEFT JOIN predictions p ON p.scope = s.scope AND p.request_id = s.request_id AND p.track = s.track
  UNION ALL
  SELECT c.event_id, c.scope, c.request_id, c.track, c.occurred_at, NULL, c.occurred_at, NULL, NULL, c.input_tokens, NULL,
    {completed}, {recommended}, {judged}, {predicted}
  FROM completions c
  LEFT JOIN predictions p ON p.scope = c.scope AND p.request_id = c.request_id AND p.track = c.track
  WHERE NOT EXISTS (SELECT 1 FROM starts s WHERE s.scope = c.scope AND s.request_id = c.request_id AND s.track = c.track)
) a;
"""
_COMPLETED = "c.success, c.latency_ms, c.ttft_ms, c.output_tokens, c.cost_usd, c.failure_class, c.error_type, c.cache_hit"
_METRICS = ("latency_ms", "ttft_ms", "output_tokens", "cost_usd", "quality_score")
_PREDICTED = ", ".join(f"p.{metric}_{end}" for metric in _METRICS for end in ("median", "lower", "upper"))
_PREDICTED_COLUMNS = ", ".join(f"{metric}_{end} FLOAT" for metric in _METRICS for end in ("median", "lower", "upper"))


def _asked(column: str, name: str, of: str) -> str:
    """The first recommendation for the request itself."""
    found = f"SELECT r.{column} FROM recommendations r WHERE r.scope = {of}.scope AND r.request_id = {of}.request_id ORDER BY r.occurred_at, r.event_id LIMIT 1"
    return f"({found}) AS {name}"


def _outcomes() -> str:
    """The view, with the columns that both of its halves have."""
    halves = []
    for half, of in zip(_OUTCOMES.split("UNION ALL"), ("s", "c"), strict=True):
        judged = f"SELECT j.score FROM judgements j WHERE j.scope = {of}.scope AND j.request_id = {of}.request_id AND j.track = {of}.track"
        halves.append(
            half.format(
                completed=_COMPLETED,
                recommended=f"{_asked('track', 'recommended_track', of)}, {_asked('propensity', 'recommended_propensity', of)}",
                judged=f"coalesce(({judged} ORDER BY j.occurred_at DESC, j.event_id DESC LIMIT 1), c.quality_score) AS quality",
                predicted=_PREDICTED,
            )
        )
    return "UNION ALL".join(halves)


_FIRST = f"""
CREATE TABLE positions (source TEXT NOT NULL, part TEXT NOT NULL, position BIGINT NOT NULL, PRIMARY KEY (source, part));
CREATE TABLE starts (
  scope TEXT NOT NULL, event_id TEXT NOT NULL, occurred_at TIME NOT NULL, request_id TEXT NOT NULL, track TEXT NOT NULL, propensity FLOAT,
  policy_version BIGINT, recommendation_id TEXT, input_tokens BIGINT, max_output_tokens BIGINT, category TEXT,
  PRIMARY KEY (scope, event_id), UNIQUE (scope, request_id, track)
);
CREATE INDEX starts_time ON starts (scope, occurred_at);
CREATE TABLE completions (
  scope TEXT NOT NULL, event_id TEXT NOT NULL, occurred_at TIME NOT NULL, request_id TEXT NOT NULL, track TEXT NOT NULL, success BOOLEAN NOT NULL,
  latency_ms FLOAT, ttft_ms FLOAT, input_tokens BIGINT, output_tokens BIGINT, cost_usd FLOAT, failure_class TEXT, error_type TEXT, quality_score FLOAT,
  cache_hit BOOLEAN, PRIMARY KEY (scope, event_id), UNIQUE (scope, request_id, track)
);
CREATE INDEX completions_time ON completions (scope, occurred_at);
CREATE TABLE judgements (
  scope TEXT NOT NULL, event_id TEXT NOT NULL, occurred_at TIME NOT NULL, request_id TEXT NOT NULL, track TEXT NOT NULL, score FLOAT NOT NULL, assessor TEXT,
  PRIMARY KEY (scope, event_id)
);
CREATE INDEX judgements_request ON judgements (scope, request_id, track);
CREATE TABLE predictions (
  scope TEXT NOT NULL, event_id TEXT NOT NULL, occurred_at TIME NOT NULL, request_id TEXT NOT NULL, track TEXT NOT NULL, {_PREDICTED_COLUMNS},
  PRIMARY KEY (scope, event_id), UNIQUE (scope, request_id, track)
);
CREATE TABLE recommendations (
  scope TEXT NOT NULL, event_id TEXT NOT NULL, occurred_at TIME NOT NULL, segment TEXT NOT NULL, request_id TEXT, track TEXT NOT NULL,
  propensity FLOAT NOT NULL, plan TEXT NOT NULL, second_track TEXT, strategy TEXT NOT NULL, mode TEXT NOT NULL, policy_version BIGINT NOT NULL,
  reasons TEXT NOT NULL, expires_at TIME,
  PRIMARY KEY (scope, event_id)
);
CREATE INDEX recommendations_time ON recommendations (scope, occurred_at);
CREATE INDEX recommendations_request ON recommendations (scope, request_id);
CREATE TABLE windows (
  scope TEXT NOT NULL, event_id TEXT NOT NULL, occurred_at TIME NOT NULL, track TEXT NOT NULL, "start" TIME NOT NULL, "end" TIME NOT NULL,
  "count" BIGINT NOT NULL, rate_per_s FLOAT NOT NULL, success_share FLOAT NOT NULL, latency_mean_ms FLOAT, latency_p50_ms FLOAT, latency_p95_ms FLOAT,
  latency_p99_ms FLOAT,
  input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cost_usd FLOAT NOT NULL, quality_mean FLOAT, late BIGINT NOT NULL,
  PRIMARY KEY (scope, event_id)
);
CREATE INDEX windows_time ON windows (scope, "start");
CREATE TABLE alert_events (
  scope TEXT NOT NULL, event_id TEXT NOT NULL, occurred_at TIME NOT NULL, type TEXT NOT NULL, fingerprint TEXT NOT NULL, kind TEXT NOT NULL,
  severity TEXT NOT NULL, subject TEXT NOT NULL, observed FLOAT NOT NULL, expected FLOAT NOT NULL, score FLOAT NOT NULL, since TIME NOT NULL,
  PRIMARY KEY (scope, event_id)
);
CREATE INDEX alert_events_time ON alert_events (scope, occurred_at);
CREATE INDEX alert_events_fingerprint ON alert_events (scope, fingerprint, occurred_at);
CREATE VIEW alerts AS
SELECT a.*, SECONDS(a.raised_at, a.resolved_at) AS duration_s FROM (
  SELECT r.scope, r.event_id, r.occurred_at AS raised_at,
    (SELECT min(x.occurred_at) FROM alert_events x
     WHERE x.scope = r.scope AND x.fingerprint = r.fingerprint AND x.type = 'alert.resolved/1' AND x.occurred_at >= r.occurred_at) AS resolved_at,
    r.fingerprint, r.kind, r.severity, r.subject, r.observed, r.expected, r.score, r.since
  FROM alert_events r WHERE r.type = 'alert.raised/1'
) a;
{_outcomes()}
"""
_SECOND = """
CREATE TABLE forecasts (
  scope TEXT NOT NULL, event_id TEXT NOT NULL, occurred_at TIME NOT NULL, metric TEXT NOT NULL, track TEXT, host TEXT, horizon_s FLOAT NOT NULL,
  target_time TIME NOT NULL, median FLOAT NOT NULL, lower FLOAT NOT NULL, upper FLOAT NOT NULL, PRIMARY KEY (scope, event_id)
);
CREATE INDEX forecasts_time ON forecasts (scope, target_time);
CREATE TABLE strategies (
  scope TEXT NOT NULL, event_id TEXT NOT NULL, occurred_at TIME NOT NULL, previous TEXT NOT NULL, current TEXT NOT NULL, why TEXT NOT NULL,
  PRIMARY KEY (scope, event_id)
);
"""
_THIRD = """
CREATE TABLE objectives (
  scope TEXT NOT NULL, event_id TEXT NOT NULL, occurred_at TIME NOT NULL, objective TEXT NOT NULL, metric TEXT NOT NULL, bound FLOAT NOT NULL,
  share FLOAT NOT NULL, window_s FLOAT NOT NULL, track TEXT, category TEXT, requests BIGINT NOT NULL, broken BIGINT NOT NULL, budget_left FLOAT NOT NULL,
  spent_at TIME, PRIMARY KEY (scope, event_id)
);
CREATE INDEX objectives_time ON objectives (scope, occurred_at);
"""
_FOURTH = """
CREATE TABLE incident_events (
  scope TEXT NOT NULL, event_id TEXT NOT NULL, occurred_at TIME NOT NULL, type TEXT NOT NULL, incident TEXT NOT NULL, severity TEXT NOT NULL,
  title TEXT NOT NULL, since TIME NOT NULL, ended_at TIME, suspect_kind TEXT, suspect_name TEXT, suspect_score FLOAT, tracks TEXT NOT NULL,
  hosts TEXT NOT NULL, requests BIGINT NOT NULL, requests_share FLOAT NOT NULL, cost_usd FLOAT NOT NULL, acknowledged_by TEXT, muted TEXT, reason TEXT,
  PRIMARY KEY (scope, event_id)
);
CREATE INDEX incident_events_time ON incident_events (scope, occurred_at);
CREATE INDEX incident_events_incident ON incident_events (scope, incident, occurred_at);
CREATE VIEW incidents AS
SELECT a.*, SECONDS(a.since, a.ended_at) AS duration_s FROM (
  SELECT i.* FROM incident_events i WHERE NOT EXISTS (
    SELECT 1 FROM incident_events n WHERE n.scope = i.scope AND n.incident = i.incident
      AND (n.occurred_at > i.occurred_at OR (n.occurred_at = i.occurred_at AND n.event_id > i.event_id))
  )
) a;
"""
MIGRATIONS = (_FIRST, _SECOND, _THIRD, _FOURTH)


def statements(version: int, dialect: Dialect) -> list[str]:
    """What brings a history from the version before to this one."""
    script = re.sub(r"SECONDS\(([\w.]+), ([\w.]+)\)", _SECONDS[dialect], MIGRATIONS[version - 1])
    for word, said in _WORDS[dialect].items():
        script = re.sub(rf"(?<=[\w\"] )\b{word}\b", said, script)
    return [statement.strip() for statement in script.split(";") if statement.strip()]


__all__ = ["MIGRATIONS", "Dialect", "statements"]
