// Every track: a row of figures, and its latency beside what had been predicted.

import { Chart, axis, newest, timeAxis } from "./charts.js";
import { colourOf, resolved } from "./colours.js";
import { $, attr, drawSpark, h, keyed, shown, spark, style, text } from "./dom.js";
import { count, duration, money, number, rate, share, time } from "./format.js";

const MARKS = { healthy: "●", degraded: "▲", cooldown: "◼", ejected: "◼", probing: "◌" };
const SPARK_WINDOWS = 60;

/** The table of tracks. */
export function showTracks(view, series) {
  const rows = view?.tracks ?? [];
  shown($("no-tracks"), !rows.length);
  shown($("tracks"), rows.length > 0);
  keyed($("tracks").tBodies[0], rows, (row) => row.track, make, (node, row) => update(node, row, series?.tracks[row.track]));
}

function make(row) {
  const node = h("tr", { role: "row", "data-track": row.track });
  const cell = (label, name, ...children) => {
    const value = h("span", { "data-metric": name });
    node.append(h("td", { role: "cell", "data-label": label }, ...children, value));
    return value;
  };
  const dot = h("i", { class: "dot", "aria-hidden": "true" });
  const health = h("span", { class: "health", "data-metric": "health" });
  node.append(h("td", { role: "rowheader" }, h("span", { class: "who" }, dot, h("bdi", { class: "name" }, row.track)), health));
  const bars = [h("span", { class: "bar", "aria-hidden": "true" }, h("i")), h("span", { class: "bar", "aria-hidden": "true" }, h("i"))];
  const cells = { health, share: cell("Share", "share", bars[0]), rate: cell("Rate", "rate_per_s") };
  cells.rate.after((cells.spark = spark()));
  Object.assign(cells, {
    success: cell("Success", "success_share"), latency: cell("Latency p50 · p95", "latency_p50_ms"), predicted: cell("Predicted, 90 %", "predicted"),
    held: cell("Held", "coverage"), flying: cell("In flight", "in_flight", bars[1]), cost: cell("Cost", "cost_usd"), quality: cell("Quality", "quality"),
  });
  node.cells_ = { ...cells, bars };
  style(node, "--c", `var(${colourOf(row.track)})`);
  return node;
}

function update(node, row, past) {
  const { cells_: cells } = node;
  const put = (place, said, raw) => { text(place, said); attr(place, "data-value", raw ?? null); };
  put(cells.health, row.health ? `${MARKS[row.health] ?? ""} ${row.health}` : "", row.health);
  attr(cells.health, "data-health", row.health);
  put(cells.share, share(row.share), row.share);
  attr(cells.share.parentNode, "title", row.propensity === null || row.propensity === undefined ? null : `share of the completions; recommended with ${share(row.propensity)}`);
  style(cells.bars[0].firstChild, "--x", row.share ?? 0);
  put(cells.rate, rate(row.rate_per_s), row.rate_per_s);
  drawSpark(cells.spark, (past?.rate_per_s ?? []).slice(-SPARK_WINDOWS));
  put(cells.success, share(row.success_share), row.success_share);
  put(cells.latency, `${duration(row.latency_p50_ms)} · ${duration(row.latency_p95_ms)}`, row.latency_p50_ms);
  attr(cells.latency, "data-p95", row.latency_p95_ms ?? null);
  attr(cells.latency.parentNode, "title", [["99th", row.latency_p99_ms], ["to the first token, predicted", row.predicted?.ttft_ms?.median], ["timeout", row.timeout_ms]].filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => `${name} ${duration(value)}`).join(", ") || null);
  const told = row.predicted?.latency_ms ?? null;
  put(cells.predicted, told ? `${duration(told.median)} (${duration(told.lower)} to ${duration(told.upper)})` : "–", told?.median);
  put(cells.held, share(row.coverage?.latency_ms), row.coverage?.latency_ms);
  const limit = row.max_concurrency ?? null;
  put(cells.flying, row.in_flight === null || row.in_flight === undefined ? (limit === null ? "–" : `limit ${count(limit)}`) : `${count(row.in_flight)}${limit === null ? "" : ` / ${count(limit)}`}`, row.in_flight);
  shown(cells.bars[1], limit !== null && typeof row.in_flight === "number");
  attr(cells.bars[1], "data-over", limit !== null && row.in_flight > limit);
  style(cells.bars[1].firstChild, "--x", limit ? Math.min(1, (row.in_flight ?? 0) / limit) : 0);
  put(cells.cost, money(row.cost_usd), row.cost_usd);
  put(cells.quality, number(row.quality), row.quality);
}

/** One latency chart per track. */
export function showLatencies(view, series) {
  const place = $("latency");
  const rows = (view?.tracks ?? []).filter((row) => series.tracks[row.track]);
  const gone = new Map([...place.children].map((node) => [node, node.chart]));
  keyed(place, rows, (row) => row.track, latencyChart, (node, row) => {
    gone.delete(node);
    const past = series.tracks[row.track];
    node.chart.set([past.end, ...[past.predicted_upper_ms, past.predicted_lower_ms, past.predicted_median_ms, past.latency_p95_ms, past.latency_p50_ms].map(positive)]);
  });
  for (const chart of gone.values()) chart.remove();
}

/** A logarithm needs more than nothing: below a hundredth of a millisecond is drawn as that. */
const positive = (values) => values.map((value) => (value === null ? null : Math.max(value, 0.01)));

function latencyChart({ track }) {
  const holder = h("div", { "data-track": track });
  const dot = h("i", { class: "dot", "aria-hidden": "true" });
  style(dot, "--c", `var(${colourOf(track)})`);
  const colour = (alpha) => () => resolved(colourOf(track), alpha);
  const line = (more) => ({ stroke: colour(1), width: 1, points: { show: false }, spanGaps: false, ...more });
  holder.chart = new Chart(holder, {
    title: h("h3", {}, dot, h("bdi", { class: "name" }, track)), label: `Latency of ${track}`, height: 160,
    options: () => ({
      series: [{}, line({ stroke: colour(0), width: 0 }), line({ stroke: colour(0), width: 0 }), line({ stroke: () => resolved("--soft"), width: 1.25, dash: [4, 3] }), line({ width: 0.9 }), line({ width: 2 })],
      bands: [{ series: [1, 2], fill: colour(0.16) }],
      scales: { x: { time: true }, y: { distr: 3, range: (plot) => reach(plot.data) } },
      axes: [timeAxis(), axis({ size: 58, splits: (_, __, low, high) => ticks(low, high), filter: (_, found) => found, values: (_, found) => found.map((tick) => duration(tick)) })],
    }),
    readout: (data, index) => {
      const at = index ?? newest(data[5]);
      const [, upper, lower, median, p95, p50] = data.map((values) => values[at]);
      const told = median === null || median === undefined ? "" : ` · predicted ${duration(median)}, ${duration(lower)} to ${duration(upper)}`;
      return `${time(data[0][at], data[0].at(-1))} · ${duration(p50)}, 95th ${duration(p95)}${told}`;
    },
    columns: (data) => [["p50", data[5], duration], ["p95", data[4], duration], ["Predicted", data[3], duration], ["Lower", data[2], duration], ["Upper", data[1], duration]],
    summary: (data) => {
      const at = newest(data[5]);
      return `Latency of ${track} over ${data[0].length} windows. Newest: median ${duration(data[5][at])}, 95th percentile ${duration(data[4][at])}, predicted ${duration(data[3][at])}, 90 % interval ${duration(data[2][at])} to ${duration(data[1][at])}.`;
    },
  });
  return holder;
}

/** Decades for a logarithmic axis: room for what happened and was expected; a very wide interval may leave the plot, its ends are in the text and the table. */
function reach(data) {
  const known = (values) => values.filter((value) => value > 0);
  const middle = [data[3], data[4], data[5]].flatMap(known), ends = [data[1], data[2]].flatMap(known);
  const all = middle.length ? middle : ends;
  if (!all.length) return [10, 1000];
  const least = Math.min(...all), most = Math.max(...all);
  return [Math.max(Math.min(least, ...ends), least / 3) / 1.15, Math.min(Math.max(most, ...ends), most * 3) * 1.15];
}

/** 1, 2 and 5 of each decade where there is room for them, else every decade. */
function ticks(low, high) {
  const steps = Math.log10(high / low) > 1.7 ? [1] : [1, 2, 5], found = [];
  for (let decade = 10 ** Math.floor(Math.log10(low)); decade <= high; decade *= 10) found.push(...steps.map((step) => step * decade));
  return found.filter((tick) => tick >= low && tick <= high);
}
