// Budgets with their pace, and how much of each track to have.

import { $, attr, h, keyed, shown, style, text } from "./dom.js";
import { money, share, said, time, utc } from "./format.js";

const BUDGETS = { usd_per_request: "a request", usd_per_hour: "an hour", usd_per_day: "a day" };

/** Both lists. */
export function showMoney(view) {
  list("budgets", view?.budgets ?? [], "No budget is configured.", (row) => row.name, budget);
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

function scaling(node, row) {
  const change = row.desired === row.current ? `stay at ${row.current}` : `${row.current} → ${row.desired}`;
  put(node, row.track, `${change} ${row.unit ?? ""}`.trim(), row.reason ?? "", { raw: row.desired });
  attr(node, "title", row.effective_at ? `for ${time(row.effective_at)} (${utc(row.effective_at)})` : null);
}
