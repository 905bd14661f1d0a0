// What hosts sample, each gauge with its line and, where there is one, its limit.

import { $, attr, drawSpark, h, keyed, spark, style, text } from "./dom.js";
import { gauge, said, share, time, unitOf, utc } from "./format.js";

const POINTS = 120;
const keyOf = (row) => JSON.stringify([row.host, row.gauge]);

/** Every gauge of every host; those with a limit first. */
export function showResources(view, series) {
  const past = new Map((series?.resources ?? []).map((row) => [keyOf(row), row]));
  const rows = [...(view?.resources ?? [])].sort((a, b) => (b.limit !== null) - (a.limit !== null) || a.host.localeCompare(b.host) || a.gauge.localeCompare(b.gauge));
  const shown = rows.length ? rows : [null];
  keyed($("resources"), shown, (row) => (row ? keyOf(row) : ""), (row) => (row ? make(row) : h("li", { class: "empty" }, "No host reports its resources here.")), (node, row) => row && update(node, row, past.get(keyOf(row))));
}

function make(row) {
  const line = spark();
  style(line, "--c", "var(--accent)");
  return h("li", { class: "gauge", "data-gauge": row.gauge, "data-host": row.host }, h("p", { class: "line" }, h("span", { class: "name" }, said(row.gauge)), h("b", { "data-metric": "value" })), line, h("p", { class: "note" }));
}

function update(node, row, past) {
  const [line, drawing, note] = node.children, unit = row.unit || unitOf(row.gauge);
  const limit = row.limit ?? null, over = limit !== null && row.value > limit;
  text(line.lastChild, gauge(row.value, unit));
  attr(line.lastChild, "data-value", row.value);
  attr(line.lastChild, "class", over ? "over" : null);
  drawSpark(drawing, (past?.value ?? []).slice(-POINTS), limit, limit !== null);
  text(note, `${row.host}${limit === null ? "" : ` · ${over ? "over" : share(row.value / limit) + " of"} the limit ${gauge(limit, unit)}`}`);
  attr(node, "title", `at ${time(row.at)} (${utc(row.at)})`);
}
