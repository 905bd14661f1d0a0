// What is wrong, why it may be, and whom it concerns: open incidents, then those that are over.

import { $, attr, h, keyed, shown, text } from "./dom.js";
import { count, money, share, time, utc } from "./format.js";
import { alertSentence, mark, suspectName } from "./sentences.js";

/** The incidents of a scope. */
export function showIncidents(view) {
  const found = view?.incidents ?? [], open = found.filter((one) => one.is_open), past = found.filter((one) => !one.is_open);
  keyed($("incidents"), open.length ? open : [null], (one) => one?.incident ?? "", (one) => (one ? make(one, "h3") : h("li", { class: "empty" }, "No incident is open.")), (node, one) => one && update(node, one, view.clock));
  shown($("past-incidents-box"), past.length > 0);
  text($("past-incidents-count"), `(${past.length})`);
  keyed($("past-incidents"), past, (one) => one.incident, (one) => make(one, "h3"), (node, one) => update(node, one, view.clock));
}

function make(one, title) {
  const part = (name, list) => h("section", { class: "part", "data-part": name }, h("h4", {}, name), h(list));
  return h("li", { class: "incident", "data-incident": one.incident },
    h("span", { class: "mark", "aria-hidden": "true" }),
    h("div", {},
      h(title, {}, h("span", { class: "severity" }), h("span", { class: "title", dir: "auto" })),
      h("p", { class: "note" }),
      h("p", { class: "reach" }),
      h("div", { class: "parts" }, part("Suspected", "ol"), part("Alerts", "ul"), part("Looks like", "ul")),
      h("details", { class: "more" }, h("summary", {}, "Course"), h("ol", { class: "course", tabindex: "0", "aria-label": "Course" }))));
}

function update(node, one, clock) {
  const [head, when, reach, parts, course] = node.lastChild.children;
  attr(node, "data-severity", one.is_open && !one.muted ? one.severity : null);
  text(node.firstChild, one.is_open ? mark(one.severity) : "✓");
  text(head.firstChild, one.is_open ? one.severity : "resolved");
  text(head.lastChild, ` · ${one.title}`);
  text(when, [one.incident, one.is_open ? `since ${time(one.since, clock)}` : `${time(one.since, clock)} to ${time(one.ended_at, clock)}`, one.acknowledged_by ? `looked after by ${one.acknowledged_by}` : "", one.muted ? `nobody is told: ${one.muted}` : ""].filter(Boolean).join(" · "));
  attr(when, "title", utc(one.since));
  text(reach, reached(one));
  const [suspects, alerts, similar] = parts.children;
  list(suspects, one.suspects, (suspect) => `${suspect.kind} ${suspect.name}`, (suspect) => [suspectName(suspect), ` ${share(suspect.score)} `, suspect.evidence]);
  list(alerts, one.alerts, (alert) => alert.fingerprint, (alert) => [alert.resolved_at ? "over" : alert.severity, " · ", alertSentence({ subject: alert.track ?? alert.host ?? "", ...alert })]);
  list(similar, one.similar, (other) => other.incident, (other) => [other.incident, ` of ${time(other.since, clock)}, ${share(other.similarity)} alike: `, [other.cause, other.resolution, other.note].filter(Boolean).join("; ") || "nobody said what ended it"]);
  keyed(course.lastChild, (one.course ?? []).map((step, index) => ({ ...step, index })), (step) => `${step.at} ${step.index} ${step.said}`, (step) => h("li", {}, h("time", { title: utc(step.at) }, time(step.at, clock)), ` ${step.said}`));
}

/** A list of one part; nothing is shown of an empty one. */
function list(part, items, keyOf, said) {
  shown(part, items.length > 0);
  keyed(part.lastChild, items, keyOf, () => h("li", { dir: "auto" }, h("b"), h("span"), h("span")), (node, item) => said(item).forEach((words, index) => text(node.children[index], words)));
}

const named = (title, names) => (names?.length ? `${title} ${names.join(", ")}` : "");

/** How far it reaches. */
function reached(one) {
  const whole = `${count(one.requests)} ${one.requests === 1 ? "request" : "requests"} (${share(one.requests_share)})`;
  const extra = one.cost_usd ? `${money(one.cost_usd)} extra` : "";
  return [whole, extra, named("tracks", one.tracks), named("hosts", one.hosts), named("categories", one.categories), named("scopes", one.scopes)].filter(Boolean).join(" · ");
}
