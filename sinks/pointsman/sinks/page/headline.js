// The row of figures that says how the scope is.

import { $, attr, h, text } from "./dom.js";
import { count, durationParts, money, number, share, time, utc } from "./format.js";

const node = (name) => document.querySelector(`[data-metric="${name}"]`);
const note = (name, said) => text(document.querySelector(`[data-note="${name}"]`), said || "\u00a0");

function figure(name, [value, unit], raw) {
  const place = node(name);
  const said = unit ? `${value}\u202f${unit}` : value;
  if (place.dataset.said === said) return attr(place, "data-value", raw ?? null);
  place.dataset.said = said;
  attr(place, "data-value", raw ?? null);
  place.replaceChildren(value, ...(unit ? ["\u202f", h("small", {}, unit)] : []));
}

/** Show the figures of a scope; without a view, that there is none yet. */
export function showHeadline(view, state) {
  figure("rate_per_s", [number(view?.rate_per_s), "/s"], view?.rate_per_s);
  figure("success_share", [share(view?.success_share), ""], view?.success_share);
  figure("latency_p50_ms", durationParts(view?.latency_p50_ms), view?.latency_p50_ms);
  figure("latency_p95_ms", durationParts(view?.latency_p95_ms), view?.latency_p95_ms);
  figure("cost_usd_per_hour", [money(view?.cost_usd_per_hour), ""], view?.cost_usd_per_hour);
  const alerts = view?.alerts ?? [];
  figure("alerts", [view ? count(alerts.length) : "–", ""], alerts.length);
  const worst = ["critical", "warning", "info"].find((level) => alerts.some((alert) => alert.severity === level));
  attr(node("alerts"), "data-level", worst ?? null);
  note("alerts", view ? (worst ? ["critical", "warning", "info"].map((level) => [alerts.filter((alert) => alert.severity === level).length, level]).filter(([many]) => many).map(([many, level]) => `${many} ${level}`).join(", ") : "none active") : "");
  const flying = state?.in_flight ?? sum(view?.tracks, "in_flight");
  note("rate_per_s", flying === null ? "" : `${count(flying)} in flight`);
  note("success_share", view?.completed === undefined || view?.completed === null ? "" : `of ${count(view.completed)} completed`);
  note("latency_p50_ms", "last 5 minutes");
  note("latency_p95_ms", "last 5 minutes");
  note("cost_usd_per_hour", "at this pace");
  const asof = $("asof");
  attr(asof, "data-value", view?.clock ?? null);
  attr(asof, "title", view?.clock ? utc(view.clock) : null);
  text(asof, view?.clock ? `Events up to ${time(view.clock)}${view.started ? `, known since ${time(view.started, view.clock)}` : ""}` : "No events yet. The page fills by itself when the first ones arrive.");
}

function sum(rows, name) {
  const known = (rows ?? []).map((row) => row[name]).filter((value) => typeof value === "number");
  return known.length ? known.reduce((total, value) => total + value, 0) : null;
}
