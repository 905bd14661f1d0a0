// What is out of its bounds, the worst first, then what is over.

import { $, attr, h, keyed, text } from "./dom.js";
import { time, utc } from "./format.js";
import { alertKind, alertSentence, mark } from "./sentences.js";

const WORST = ["critical", "warning", "info"];
const MOST_PAST = 30;

/** The active alerts of a scope. */
export function showAlerts(view) {
  const active = [...(view?.alerts ?? [])].sort((a, b) => WORST.indexOf(a.severity) - WORST.indexOf(b.severity) || b.since - a.since);
  const shown = active.length ? active : [null];
  keyed($("alerts"), shown, (alert) => (alert ? alert.fingerprint : ""), (alert) => (alert ? make(alert) : h("li", { class: "empty" }, "Nothing is out of its bounds.")), (node, alert) => alert && update(node, alert, view.clock));
}

/** Those that were resolved, newest first. */
export function showResolved(series, view) {
  const past = (series.alerts ?? []).filter((alert) => alert.type === "alert.resolved/1").slice(0, MOST_PAST);
  text($("resolved-count"), past.length ? `(${past.length})` : "(none)");
  keyed($("resolved"), past, (alert) => alert.event_id ?? `${alert.fingerprint} ${alert.occurred_at}`, (alert) => make(alert, "past"), (node, alert) => update(node, alert, view?.clock));
}

const make = (alert, more = "") => h("li", { class: `alert ${more}`, "data-fingerprint": alert.fingerprint }, h("span", { class: "mark", "aria-hidden": "true" }), h("div", {}, h("p", {}, h("span", { class: "severity" }), h("span")), h("p"), h("p", { class: "note" })));

function update(node, alert, clock) {
  const over = alert.type === "alert.resolved/1";
  attr(node, "data-severity", over ? null : alert.severity);
  text(node.firstChild, over ? "✓" : mark(alert.severity));
  const [head, what, when] = node.lastChild.children;
  text(head.firstChild, over ? "Resolved" : alert.severity);
  text(head.lastChild, ` · ${alertKind(alert)}`);
  text(what, alertSentence(alert));
  attr(what, "title", alert.fingerprint);
  text(when, over ? `${time(alert.since, clock)} to ${time(alert.occurred_at, clock)}` : `since ${time(alert.since, clock)}`);
  attr(when, "title", utc(alert.since));
}
