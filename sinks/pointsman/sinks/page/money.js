// Budgets with their pace, objectives, and how much of each track to have.

import { $, attr, h, keyed, shown, style, text } from "./dom.js";
import { money, number, share, said, time, utc } from "./format.js";

const BUDGETS = { usd_per_request: "a request", usd_per_hour: "an hour", usd_per_day: "a day" };

/** The three lists. */
export function showMoney(view) {
  list("budgets", view?.budgets ?? [], "No budget is configured.", (row) => row.name, budget);
  list("objectives", view?.objectives ?? [], "No objective is configured.", (row) => JSON.stringify([row.name, row.metric, row.bound, row.percentile, row.target, row.kind]), objective);
  list("scaling", view?.scaling ?? [], "No scaling advice: no track is set up for it, or none is needed.", (row) => row.track, scaling);
}

function list(id, rows, empty, keyOf, update) {
  const listed = rows.length ? rows : [{ empty }];
  keyed($(id), listed, (row) => row.empty ?? keyOf(row), (row) => (row.empty ? h("li", { class: "empty" }, row.empty) : make(row)), (node, row) => row.empty || update(node, row));
}

const make = (row) => h("li", { class: "figure", "data-name": row.name ?? row.track ?? "" }, h("p", { class: "line" }, h("span"), h("span", { "data-metric": "value" })), h("span", { class: "bar", "aria-hidden": "true", hidden: true }, h("i")), h("p", { class: "note" }));

function put(node, name, value, note, { raw, part = null, over = false } = {}) {
  const [line, bar, under] = node.children;
  text(line.firstChild, name);
  text(line.lastChild, value);
  attr(line.lastChild, "data-value", raw ?? null);
  attr(line.lastChild, "class", over ? "over" : null);
  text(under, note);
  shown(bar, part !== null);
  if (part !== null) style(bar.firstChild, "--x", Math.max(0, Math.min(1, part)));
  style(bar, "--c", over ? "var(--critical)" : "var(--accent)");
}

function budget(node, row) {
  const known = typeof row.pace === "number";
  const over = known && row.pace > 1;
  put(node, `${money(row.limit)} ${BUDGETS[row.name] ?? said(row.name)}`, row.spent === null || row.spent === undefined ? "–" : `${money(row.spent)} ${row.name === "usd_per_request" ? "on average" : "spent"}`,
    known ? `${over ? "over" : "within"} it: ${share(row.pace)} at this pace` : "no spending yet", { raw: row.spent, part: known ? row.pace : null, over });
}

function objective(node, row) {
  const what = row.name ?? [said(row.metric ?? row.target ?? row.kind), row.percentile ? `${row.percentile}th percentile` : "", row.bound === undefined ? "" : `${row.is_floor ? "at least" : "at most"} ${number(row.bound)}`].filter(Boolean).join(", ");
  const wanted = row.share ?? row.goal ?? null;
  const over = typeof row.held === "number" && typeof wanted === "number" && row.held < wanted;
  put(node, what, typeof row.held === "number" ? `held ${share(row.held)}` : "–", row.price ? `breaking it costs ${number(row.price)} of utility now` : "", { raw: row.held, part: row.held ?? null, over });
}

function scaling(node, row) {
  const change = row.desired === row.current ? `stay at ${row.current}` : `${row.current} → ${row.desired}`;
  put(node, row.track, `${change} ${row.unit ?? ""}`.trim(), row.reason ?? "", { raw: row.desired });
  attr(node, "title", row.effective_at ? `for ${time(row.effective_at)} (${utc(row.effective_at)})` : null);
}
