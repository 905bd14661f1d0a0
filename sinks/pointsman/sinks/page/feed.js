// The newest outputs as sentences: what arrives while it is paused waits, and is counted.

import { $, attr, h, text } from "./dom.js";
import { time, utc } from "./format.js";
import { level, sentence } from "./sentences.js";

const MOST = 200;
const KINDS = {
  Incidents: ["incident.opened/1", "incident.updated/1", "incident.resolved/1"],
  Alerts: ["alert.raised/1", "alert.resolved/1"],
  Routing: ["recommendation.issued/1", "strategy.adapted/1"],
  Windows: ["window.closed/1"],
  Scaling: ["scaling.recommended/1", "scaling.scored/1"],
  Forecasts: ["forecast.issued/1"],
  Bottlenecks: ["bottleneck.reported/1"],
  Models: ["models.reported/1"],
  Objectives: ["objective.reported/1"],
  Refused: ["event.rejected/1"],
};
const QUIET = ["Forecasts", "Models", "Objectives"];

/** The types that are followed; predictions and policies come in thousands, and the board has their sum. */
export const TYPES = Object.values(KINDS).flat();

const chosen = new Set(Object.keys(KINDS).filter((kind) => !QUIET.includes(kind)));
const kindOf = (event) => Object.keys(KINDS).find((kind) => KINDS[kind].includes(event.type));
let events = [], shown = [], isPaused = false, waiting = 0, pause = null;

/** Make the controls. */
export function startFeed() {
  const chips = Object.keys(KINDS).map((kind) => h("label", { class: "chip" }, h("input", { type: "checkbox", checked: chosen.has(kind), on: { change: (event) => { chosen[event.target.checked ? "add" : "delete"](kind); draw(); } } }), kind));
  pause = h("button", { type: "button", "aria-pressed": "false", on: { click: toggle } }, "Pause");
  $("kinds").append(...chips, pause);
  draw();
}

/** An alert comes by the series, too, without its id. */
const same = (event) => (event.fingerprint ? `${event.type} ${event.fingerprint} ${event.occurred_at}` : (event.event_id ?? event));

/** Take in what arrived, oldest first. */
export function addToFeed(arrived) {
  const known = new Set(events.map(same));
  const news = arrived.filter((event) => kindOf(event) && !known.has(same(event))).reverse();
  if (!news.length) return;
  events = [...news, ...events].slice(0, MOST);
  if (isPaused) {
    waiting += news.length;
    text(pause, `Go on (${waiting} new)`);
  } else draw();
}

export function clearFeed() {
  events = [];
  waiting = 0;
  draw();
}

function toggle() {
  isPaused = !isPaused;
  waiting = 0;
  attr(pause, "aria-pressed", String(isPaused));
  text(pause, isPaused ? "Go on" : "Pause");
  if (!isPaused) draw();
}

let isAsked = false;

function draw() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    paint();
  });
}

/** New rows go on top, old ones leave below; nothing else is touched. */
function paint() {
  const list = $("feed"), wanted = events.filter((event) => chosen.has(kindOf(event)));
  const known = new Set(wanted);
  for (const row of shown) if (!known.has(row.event)) row.node.remove();
  const kept = new Map(shown.filter((row) => known.has(row.event)).map((row) => [row.event, row.node]));
  shown = wanted.map((event) => ({ event, node: kept.get(event) ?? make(event) }));
  let place = null;
  for (const { node } of shown) {
    const next = place ? place.nextSibling : list.firstChild;
    if (next !== node) list.insertBefore(node, next);
    place = node;
  }
  while (place ? place.nextSibling : list.firstChild) (place ? place.nextSibling : list.firstChild).remove();
  if (!shown.length) list.append(h("li", { class: "empty" }, h("span", { class: "what" }, "Nothing has arrived since this page was opened.")));
}

const make = (event) => h("li", { "data-id": event.event_id, "data-level": level(event) }, h("time", { title: utc(event.occurred_at) }, time(event.occurred_at, event.occurred_at)), h("span", { class: "kind" }, event.type.replace(/\/\d+$/, "")), h("span", { class: "what", dir: "auto" }, sentence(event)));
