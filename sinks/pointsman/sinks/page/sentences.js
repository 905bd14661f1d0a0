// Outputs as a person would say them.

import { duration, measured, money, number, rate, said, share } from "./format.js";

const MARKS = { critical: "◆", warning: "▲", info: "●" };
export const mark = (severity) => MARKS[severity] ?? "●";

const KINDS = { anomaly: "Unusual", constraint: "Constraint", slo_burn: "Objective", drift: "Drift", forecast: "Forecast", budget: "Budget" };

/** What an alert says, in words: its fingerprint names the subject, the metric and sometimes the way in which it is off. */
export function alertSentence(alert) {
  const parts = String(alert.fingerprint).split("/"), last = parts.at(-1), subject = parts.slice(0, -1).join("/") || String(alert.subject);
  if (alert.kind === "slo_burn") return `${alert.subject}: burns its error budget ${number(alert.observed)}× as fast as it may${alert.budget_left === null || alert.budget_left === undefined ? "" : `, ${alert.budget_left > 0 ? `${share(alert.budget_left)} of it left` : "nothing left"}`}`;
  const before = parts.slice(0, -2).join("/"), metric = parts.at(-2);
  if (alert.kind === "drift" && last === "coverage") return `${before}: 90 % intervals of ${said(metric)} ${alert.type === "alert.resolved/1" ? "hold" : "held"} ${share(alert.observed)}`;
  if (alert.kind === "drift" && last === "unknown") return `${before}: a load unlike what was lived through (${number(alert.observed)} in flight, known up to ${number(alert.expected)})`;
  if (alert.kind === "forecast") return `${before}: ${said(metric)} is expected to be ${measured(metric, alert.observed)}, the limit is ${measured(metric, alert.expected)}`;
  if (alert.metric && (alert.kind === "anomaly" || alert.kind === "drift")) return `${alert.track ?? alert.host ?? "all traffic"}: ${said(alert.metric)} ${measured(alert.metric, alert.observed)}, usual is ${measured(alert.metric, alert.expected)}`;
  if (alert.kind === "slo_burn") return `${alert.fingerprint}: burns its error budget at ${number(alert.observed)} times the pace, allowed is ${number(alert.expected)}`;
  return `${subject}: ${said(last)} ${measured(last, alert.observed)}, ${alert.kind === "anomaly" ? "expected" : "at most"} ${measured(last, alert.expected)}`.replace("at most", isFloor(last) ? "at least" : "at most");
}

const isFloor = (metric) => /quality|success/.test(metric);

export const alertKind = (alert) => KINDS[alert.kind] ?? said(alert.kind);

/** What is suspected: which kind of thing, and its name. */
export const suspectName = (suspect) => `${suspect.kind} ${suspect.name}`;

const suspected = (event) => (event.suspects?.length ? `; suspected: ${suspectName(event.suspects[0])}, ${event.suspects[0].evidence}` : "");

const of = ({ track, category }) => [track && ` of ${track}`, category && ` for ${category}`].filter(Boolean).join("");

const SENTENCES = {
  "window.closed/1": (event) => `${event.track}: ${number(event.count)} requests in ${duration((event.end - event.start) * 1000)} (${rate(event.rate_per_s)}), ${share(event.success_share)} succeeded${event.latency_p50_ms === null || event.latency_p50_ms === undefined ? "" : `, median ${duration(event.latency_p50_ms)}, 95th ${duration(event.latency_p95_ms)}`}${event.cost_usd ? `, ${money(event.cost_usd)}` : ""}`,
  "recommendation.issued/1": (event) => `${event.request_id ? `Request ${event.request_id}` : "Traffic"} to ${event.track} with ${share(event.propensity)}${event.reasons?.length ? `: ${event.reasons[0]}` : ""}`,
  "strategy.adapted/1": (event) => `Strategy ${event.previous} became ${event.current}: ${event.why}`,
  "forecast.issued/1": (event) => `${said(event.metric)}${event.track ? ` of ${event.track}` : event.host ? ` on ${event.host}` : ""} in ${duration(event.horizon_s * 1000)}: ${measured(event.metric, event.median)} (${measured(event.metric, event.lower)} to ${measured(event.metric, event.upper)})`,
  "scaling.recommended/1": (event) => `${event.track}: ${event.desired === event.current ? `stay at ${event.current}` : `from ${event.current} to ${event.desired}`} ${event.unit}: ${event.reason}`,
  "scaling.scored/1": (event) => `${event.track}: the advice left ${share(event.unserved_share)} of the demand unserved and had ${share(event.over_provisioned_share)} too much`,
  "alert.raised/1": (event) => `${alertKind(event)}, ${event.severity}: ${alertSentence(event)}`,
  "alert.resolved/1": (event) => `${alertKind(event)} is over: ${alertSentence(event)}`,
  "incident.opened/1": (event) => `${event.incident}, ${event.severity}: ${event.title}${suspected(event)}`,
  "incident.updated/1": (event) => `${event.incident}, ${event.severity}: ${event.reason}${suspected(event)}`,
  "incident.resolved/1": (event) => `${event.incident} is over after ${duration((event.ended_at - event.since) * 1000)}: ${event.title}`,
  "objective.reported/1": (event) => `Objective ${event.objective}${of(event)}: ${share(event.budget_left)} of the error budget left${event.burns?.length ? `, burning at ${number(event.burns[0].rate)} times the pace` : ""}`,
  "bottleneck.reported/1": (event) => `${event.track}${of({ category: event.category })}: slow requests wait ${duration(event.queueing_ms)} and are served in ${duration(event.service_ms)}${event.advice?.length ? `; ${event.advice[0].action} may save ${duration(event.advice[0].gain_ms)}` : ""}`,
  "models.reported/1": (event) => `${event.track}, ${said(event.metric)}: ${event.models?.find((model) => model.role === "champion")?.name ?? "no model"} leads${event.coverage === null || event.coverage === undefined ? "" : `, its 90 % intervals held ${share(event.coverage)}`}`,
  "objective.reported/1": (event) => `${event.objective}: ${share(event.budget_left)} of the error budget left, ${number(event.broken)} of ${number(event.requests)} broke it`,
  "bottleneck.reported/1": (event) => `${event.track}${event.category ? `, ${event.category}` : ""}: ${event.stages?.[0]?.stage ?? "no stage"} makes slow requests slow (${share(event.stages?.[0]?.share)} of it)${event.advice?.length ? `; ${event.advice[0].action} saves ${duration(event.advice[0].gain_ms)}` : ""}`,
  "event.rejected/1": (event) => `Refused: ${event.reason?.message ?? "no reason"} (${event.place})`,
};

/** An output in a sentence; an unknown type by its name. */
export function sentence(event) {
  try { return SENTENCES[event.type]?.(event) ?? `${event.type} ${event.event_id}`; } catch { return `${event.type} ${event.event_id ?? ""}`; }
}

/** How much an output matters to who glances at the list. */
export function level(event) {
  if (event.muted) return null;
  if (event.type === "alert.raised/1" || event.type === "incident.opened/1") return event.severity === "critical" ? "critical" : "warning";
  if (event.type === "event.rejected/1") return "warning";
  return event.type === "alert.resolved/1" || event.type === "incident.resolved/1" ? "good" : null;
}
