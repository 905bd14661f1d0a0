// Objectives: what is left of each error budget, how fast it goes, and when nothing will be left.

import { $, attr, h, keyed, shown, style, text } from "./dom.js";
import { stretch, count, measured, number, said, share, time, utc } from "./format.js";

const PAGE = 14.4, TICKET = 1;

/** Every objective; those that burn first, then the one with the least left. */
export function showObjectives(view) {
  const burning = new Map((view?.alerts ?? []).filter((alert) => alert.kind === "slo_burn").map((alert) => [alert.subject, alert.severity]));
  const rows = [...(view?.objectives ?? [])].sort((a, b) => burning.has(b.objective) - burning.has(a.objective) || a.budget_left - b.budget_left);
  const listed = rows.length ? rows : [null];
  keyed($("objectives"), listed, (row) => row?.objective ?? "", (row) => (row ? make(row) : h("li", { class: "empty" }, "No objective is configured.")), (node, row) => row && update(node, row, burning.get(row.objective) ?? null, view.clock));
}

/** What is asked for, as a person says it. */
export function objectiveName(row) {
  const bound = row.metric === "success" ? "succeed" : `have ${said(row.metric)} ${row.metric === "quality_score" ? "of at least" : "of at most"} ${measured(row.metric, row.bound)}`;
  const of = [row.track && `on ${row.track}`, row.category && `of ${row.category}`].filter(Boolean).join(" ");
  return `${+(100 * row.share).toFixed(6)}\u202f%${of ? ` ${of}` : ""} ${bound} in ${stretch(row.window_s)}`;
}

function make(row) {
  return h("li", { class: "figure objective", "data-name": row.objective },
    h("p", { class: "line" }, h("span"), h("span", { "data-metric": "budget_left" })),
    h("span", { class: "bar", "aria-hidden": "true" }, h("i")),
    h("p", { class: "note" }), h("p", { class: "burns" }));
}

function update(node, row, severity, clock) {
  const [line, bar, note, burns] = node.children, over = row.budget_left <= 0;
  attr(node, "data-severity", severity);
  text(line.firstChild, objectiveName(row));
  attr(line.firstChild, "title", row.objective);
  text(line.lastChild, !row.requests ? "–" : over ? `overspent by ${share(-row.budget_left)}` : `${share(row.budget_left)} left`);
  attr(line.lastChild, "data-value", row.budget_left);
  attr(line.lastChild, "class", over || severity ? "over" : null);
  style(bar.firstChild, "--x", Math.max(0, Math.min(1, row.requests ? row.budget_left : 0)));
  style(bar, "--c", over || severity === "critical" ? "var(--critical)" : severity ? "var(--warning)" : "var(--good)");
  text(note, row.requests ? `${count(row.broken)} of ${count(row.requests)} broke it${ends(row, clock)}` : "nothing counted yet");
  attr(note, "title", row.spent_at ? `${time(row.spent_at, clock)} (${utc(row.spent_at)})` : null);
  shown(burns, row.requests > 0);
  keyed(burns, longBurns(row.burns ?? []), (burn) => String(burn.window_s), (burn) => h("span", { title: `over ${stretch(burn.window_s)}` }, h("b"), ` in ${stretch(burn.window_s)}`), (span, burn) => {
    text(span.firstChild, `${number(burn.rate)}×`);
    attr(span, "data-level", burn.rate >= PAGE ? "critical" : burn.rate > TICKET ? "warning" : null);
  });
}

/** When nothing is left, if ever. */
function ends(row, clock) {
  if (row.budget_left <= 0) return "";
  return row.spent_at === null || row.spent_at === undefined ? ", at this pace the budget lasts" : `, at this pace it is spent in ${stretch(Math.max(0, row.spent_at - clock))}`;
}

/** Of a month's windows an hour, six and three days; of others' what stands in their place. */
const longBurns = (burns) => [-5, -3, -1].map((place) => burns.at(place)).filter(Boolean);
