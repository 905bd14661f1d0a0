// Where the time of slow requests goes, stage by stage beside what is usual, and what could be done about it.

import { $, attr, h, keyed, style, text } from "./dom.js";
import { count, duration, share, time, utc } from "./format.js";

const MOST_STAGES = 6;
const keyOf = (row) => JSON.stringify([row.track, row.category]);

/** The newest report of every track, as a whole and by category; the slowest first. */
export function showBottlenecks(view) {
  const rows = [...(view?.bottlenecks ?? [])].sort((a, b) => b.latency_p95_ms - a.latency_p95_ms);
  const shown = rows.length ? rows : [null];
  keyed($("bottlenecks"), shown, (row) => (row ? keyOf(row) : ""), (row) => (row ? make() : h("li", { class: "empty" }, "Nothing was reported: no stage stands out, or too few requests were slow.")), (node, row) => row && update(node, row));
}

const make = () => h("li", { class: "bottleneck" }, h("h3", {}, h("bdi", { class: "name" }), h("small")), h("p", { class: "note" }), h("ol", { class: "parts" }), h("ul", { class: "advised" }));

function update(node, row) {
  const [head, note, parts, advised] = node.children;
  attr(node, "data-track", row.track);
  attr(node, "data-category", row.category);
  text(head.firstChild, row.category ? `${row.track}, ${row.category}` : row.track);
  text(head.lastChild, ` ${count(row.slow_requests)} of ${count(row.requests)} requests were slow, 95th ${duration(row.latency_p95_ms)}`);
  attr(head, "title", `${time(row.start)} to ${time(row.end)} (${utc(row.end)})`);
  text(note, `They wait ${duration(row.queueing_ms)} and are served for ${duration(row.service_ms)}.${row.critical_path?.length > 1 ? ` Their end waits for ${row.critical_path.join(" → ")}.` : ""}`);
  const longest = Math.max(1, ...row.stages.map((stage) => stage.slow_ms));
  keyed(parts, row.stages.slice(0, MOST_STAGES), (stage) => stage.stage, part, (item, stage) => fill(item, stage, longest));
  keyed(advised, row.advice ?? [], (one) => one.action, () => h("li", {}, h("b"), h("span")), (item, one) => {
    text(item.firstChild, `Saves ${duration(one.gain_ms)} (${share(one.gain_share)}), costs ${one.costs}`);
    text(item.lastChild, `: ${one.action}`);
  });
}

const part = () => h("li", {}, h("span", { class: "name" }), h("span", { class: "bar", "aria-hidden": "true" }, h("i"), h("i")), h("span", { class: "figures" }));

function fill(item, stage, longest) {
  const [name, bar, figures] = item.children;
  text(name, stage.is_queueing ? `${stage.stage} (waiting)` : stage.stage);
  style(bar, "--c", stage.is_queueing ? "var(--warning)" : "var(--soft)");
  style(bar.firstChild, "--x", Math.min(1, stage.slow_ms / longest));
  style(bar.lastChild, "--x", Math.min(1, stage.typical_ms / longest));
  text(figures, `${duration(stage.typical_ms)} → ${duration(stage.slow_ms)} · ${share(stage.share)}`);
  attr(item, "data-stage", stage.stage);
  attr(item, "data-share", stage.share);
}
