// The row of figures that says how the scope is.

import { $, attr, h, shown, text } from "./dom.js";
import { count, durationParts, money, number, share, time, utc } from "./format.js";
import { mark, suspectName } from "./sentences.js";

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
  const open = (view?.incidents ?? []).filter((one) => one.is_open && !one.muted);
  shown($("trouble"), open.length > 0);
  attr($("trouble"), "data-level", open[0] ? (open[0].acknowledged_by ? "acknowledged" : open[0].severity) : null);
  text($("trouble"), open.length ? trouble(open) : "");
  text(asof, view?.clock ? `Events up to ${time(view.clock)}${view.started ? `, known since ${time(view.started, view.clock)}` : ""}` : "No events yet. The page fills by itself when the first ones arrive.");
}

/** Whether anything is wrong, in a sentence: how many incidents are open, the worst of them, and who looks after it. */
function trouble(open) {
  const [worst] = open, suspect = worst.suspects?.[0];
  const many = open.length === 1 ? "One incident is open" : `${count(open.length)} incidents are open`;
  return `${mark(worst.severity)} ${many}, ${worst.severity}${suspect ? `: ${suspectName(suspect)} is suspected` : ""}. ${worst.acknowledged_by ? `${worst.acknowledged_by} looks after it.` : "Nobody looks after it yet."}`;
}

function sum(rows, name) {
  const known = (rows ?? []).map((row) => row[name]).filter((value) => typeof value === "number");
  return known.length ? known.reduce((total, value) => total + value, 0) : null;
}
