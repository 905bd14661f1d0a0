// One series at a time: what it was, what had been forecast of it, and the coming hours with their 90 % interval.

import { Chart, axis, timeAxis } from "./charts.js";
import { resolved } from "./colours.js";
import { $, attr, h, keyed, shown, text } from "./dom.js";
import { duration, measured, said, time, utc } from "./format.js";

const COLOUR = "--accent";
let chart = null, chosen = "", ahead = null, now = null, last = [null, null];

const keyOf = (row) => JSON.stringify([row.metric, row.track ?? null, row.host ?? null]);
const named = (row) => `${said(row.metric)}${row.track ? ` of ${row.track}` : row.host ? ` on ${row.host}` : ""}`;
const format = (value) => measured(JSON.parse(chosen || "[null]")[0], value);

for (const id of ["forecast-series", "forecast-ahead"]) {
  $(id).addEventListener("change", () => {
    chosen = $("forecast-series").value;
    ahead = id === "forecast-ahead" ? Number($("forecast-ahead").value) : ahead;
    showForecasts(...last);
  });
}

/** The chosen series' chart and the table of its horizons. */
export function showForecasts(view, series) {
  last = [view, series];
  const known = view?.forecasts ?? [], past = series?.forecasts ?? [];
  const all = new Map([...known, ...past].map((row) => [keyOf(row), row]));
  keyed($("forecast-series"), [...all], ([key]) => key, ([key, row]) => h("option", { value: key }, named(row)));
  if (!all.has(chosen)) chosen = all.has('["arrival_rate",null,null]') ? '["arrival_rate",null,null]' : (all.keys().next().value ?? "");
  $("forecast-series").value = chosen;
  const rows = known.filter((row) => keyOf(row) === chosen).sort((a, b) => a.horizon_s - b.horizon_s);
  const horizons = rows.map((row) => row.horizon_s);
  keyed($("forecast-ahead"), horizons, (value) => value, (value) => h("option", { value }, duration(value * 1000)));
  if (!horizons.includes(ahead)) ahead = horizons.filter((value) => value <= 3600).at(-1) ?? horizons[0] ?? null;
  if (ahead !== null) $("forecast-ahead").value = ahead;
  for (const id of ["forecast-series", "forecast-ahead"]) attr($(id), "disabled", !horizons.length);
  now = view?.clock ?? null;
  chart ??= new Chart($("forecast"), {
    title: legend(), label: "Forecast", height: 240, options, readout, columns,
    summary: () => `${all.has(chosen) ? named(all.get(chosen)) : "Forecast"}: ${rows.map((row) => `in ${duration(row.horizon_s * 1000)} ${format(row.median)}, 90 % between ${format(row.lower)} and ${format(row.upper)}`).join("; ")}.`,
  });
  chart.set(data(rows.filter((row) => row.horizon_s <= (ahead ?? 0)), past.filter((row) => keyOf(row) === chosen)), chosen);
  keyed($("horizons").tBodies[0], rows, (row) => row.horizon_s, (row) => h("tr", { "data-horizon": row.horizon_s }, h("td", {}, duration(row.horizon_s * 1000)), h("td"), h("td")), (node, row) => {
    attr(node, "title", `for ${utc(row.target_time)}`);
    text(node.cells[1], format(row.median));
    attr(node.cells[1], "data-value", row.median);
    text(node.cells[2], `${format(row.lower)} to ${format(row.upper)}`);
  });
  shown($("horizons"), rows.length > 0);
  shown($("no-horizons"), !rows.length);
}

const legend = () => h("p", { class: "legend", "aria-hidden": "true" }, ...[["k-was", "was"], ["k-ahead", "forecast"], ["k-band accent", "90 %"]].map(([kind, name]) => h("span", {}, h("i", { class: kind }), name)));

/** Time, upper, lower, median, what came: the past by the shortest horizon, then the fan ahead. */
function data(fan, past) {
  const points = new Map();
  const at = (when) => points.get(when) ?? points.set(when, [null, null, null, null]).get(when);
  const shortest = past.toSorted((a, b) => a.horizon_s - b.horizon_s)[0];
  for (const row of past) row.target_time.forEach((when, index) => { if (row.actual?.[index] !== null && row.actual?.[index] !== undefined) at(when)[3] = row.actual[index]; });
  const newest = Math.max(0, ...[...points.keys()]);
  shortest?.target_time.forEach((when, index) => { if (when <= newest || when <= now) at(when).splice(0, 3, shortest.upper[index], shortest.lower[index], shortest.median[index]); });
  for (const row of fan) at(row.target_time).splice(0, 3, row.upper, row.lower, row.median);
  const times = [...points.keys()].sort((a, b) => a - b);
  return [times, ...[0, 1, 2, 3].map((column) => times.map((when) => points.get(when)[column]))];
}

function options() {
  const line = (more) => ({ stroke: () => resolved(COLOUR), width: 1.5, points: { show: false }, spanGaps: true, ...more });
  return {
    series: [{}, line({ stroke: () => resolved(COLOUR, 0), width: 0 }), line({ stroke: () => resolved(COLOUR, 0), width: 0 }), line({ dash: [5, 3] }), line({ stroke: () => resolved("--ink"), width: 2 })],
    bands: [{ series: [1, 2], fill: () => resolved(COLOUR, 0.15) }],
    scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.05] } },
    axes: [timeAxis(), axis({ size: 62, space: 40, values: (_, ticks) => ticks.map((tick) => format(tick)) })],
    hooks: { draw: [divide] },
  };
}

/** The line between what was and what is to come. */
function divide(plot) {
  if (now === null) return;
  const { ctx, bbox } = plot, x = Math.round(plot.valToPos(now, "x", true));
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  ctx.save();
  ctx.fillStyle = resolved("--line-strong");
  ctx.fillRect(x, bbox.top, devicePixelRatio, bbox.height);
  ctx.restore();
}

function readout(data, index) {
  const at = index ?? data[0].length - 1;
  const [when, upper, lower, median, actual] = data.map((values) => values[at]);
  const was = actual === null ? "" : ` · was ${format(actual)}`;
  const told = median === null ? "" : ` · forecast ${format(median)} (${format(lower)} to ${format(upper)})`;
  return `${time(when, now ?? undefined)}${was}${told}`;
}

const columns = (data) => [["Was", data[4], format], ["Forecast", data[3], format], ["Lower", data[2], format], ["Upper", data[1], format]];
