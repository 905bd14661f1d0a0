// Where traffic is recommended to go and why, and where it went: stacked rates with the recommendation as a strip above them.

import { Chart, axis, newest, timeAxis } from "./charts.js";
import { colourOf, resolved } from "./colours.js";
import { $, attr, h, keyed, shown, style, text } from "./dom.js";
import { number, rate, share, time, utc } from "./format.js";

const STRIP = 7;
const MOST_MOVES = 50, MOST_OTHERS = 4, ALSO = 0.01;
let chart = null, names = [], moves = [];

/** The current recommendation in a sentence, with its reasons. */
export function showRecommended(view) {
  const place = $("recommended"), now = view?.recommended ?? null;
  if (!place.firstChild) place.append(h("p", { class: "advice" }), h("ul", { class: "reasons" }));
  const [sentence, reasons] = place.children;
  attr(place, "data-track", now?.track ?? null);
  attr(place, "data-propensity", now?.propensity ?? null);
  const key = JSON.stringify([now?.track, now?.propensity, now?.since, now?.plan, now?.mode, now?.strategy, now?.policy_version, view?.tracks.map((row) => row.propensity)]);
  if (sentence.dataset.key !== key) {
    sentence.dataset.key = key;
    sentence.replaceChildren(...(now ? said(now, view) : [h("small", {}, "Nothing is recommended yet: the first request brings a policy.")]));
  }
  keyed(reasons, (now?.reasons ?? []).map((reason, index) => ({ reason, index })), ({ index }) => index, () => h("li"), (node, { reason }) => text(node, reason));
  attr(reasons, "tabindex", reasons.scrollHeight > reasons.clientHeight ? "0" : null);
}

function said(now, view) {
  const dot = h("i", { class: "dot", "aria-hidden": "true" });
  style(dot, "--c", `var(${colourOf(now.track)})`);
  const plan = now.plan && now.plan !== "single" ? `, ${now.plan}` : "";
  const mode = { observe: "observed only, not applied", bypass: "bypassed" }[now.mode];
  const since = h("time", { title: utc(now.since) }, `since ${time(now.since, view.clock)}`);
  const others = (view.tracks ?? []).filter((row) => row.track !== now.track && row.propensity >= ALSO).sort((a, b) => b.propensity - a.propensity).slice(0, MOST_OTHERS);
  const also = others.length ? ` · also ${others.map((row) => `${row.track} ${share(row.propensity)}`).join(", ")}` : "";
  return [h("span", {}, dot, h("bdi", { class: "name" }, now.track)), h("span", {}, share(now.propensity)), h("small", {}, since, `${plan} · ${now.strategy}, policy ${number(now.policy_version)}${mode ? ` · ${mode}` : ""}${also}`)];
}

/** Rates of every track on one time axis, and when the recommendation moved. */
export function showTraffic(series, view) {
  chart ??= new Chart($("traffic"), {
    title: h("h3", {}, "Completed requests by track"), label: "Completed requests by track", height: 200, options, readout, columns,
    summary: () => `Completed requests a second by track: ${names.map((name, index) => `${name} ${rate(last(index))}`).join(", ")}. The strip above shows the recommended track.`,
  });
  names = (view?.tracks ?? []).map((row) => row.track).filter((name) => series.tracks[name]);
  names.push(...Object.keys(series.tracks).filter((name) => !names.includes(name)));
  const told = series.recommended ?? { at: [], track: [], propensity: [] };
  moves = told.at.map((at, index) => ({ at, track: told.track[index], propensity: told.propensity[index] })).filter((move, index, all) => !index || move.track !== all[index - 1].track);
  const times = [...new Set(names.flatMap((name) => series.tracks[name].end))].sort((a, b) => a - b);
  const rates = names.map((name) => onto(times, series.tracks[name]));
  const stacked = [];
  rates.forEach((row, index) => stacked.push(row.map((value, at) => (value ?? 0) + (index ? stacked[index - 1][at] : 0))));
  chart.rates = rates;
  chart.set([times, ...stacked], names.join("\n"));
  keyed(keysOf(), [...names, null], (name) => name ?? "", key);
  shown($("moves-box"), moves.length > 0);
  keyed($("moves"), moves.slice(-MOST_MOVES).reverse(), (move) => `${move.at} ${move.track}`, (move) => h("li", {}, h("time", { title: utc(move.at) }, time(move.at, moves.at(-1).at)), " to ", h("bdi", { class: "name" }, move.track), ` with ${share(move.propensity)}`));
}

function onto(times, track) {
  const by = new Map(track.end.map((end, index) => [end, track.rate_per_s[index]]));
  return times.map((at) => by.get(at) ?? null);
}

function keysOf() {
  let node = $("traffic").querySelector(".keys");
  if (!node) $("traffic").append((node = h("div", { class: "keys", "aria-hidden": "true" })));
  return node;
}

function key(name) {
  if (name === null) return h("span", {}, "the strip: where it was recommended to go");
  const dot = h("i", { class: "dot" });
  style(dot, "--c", `var(${colourOf(name)})`);
  return h("span", {}, dot, h("bdi", { class: "name" }, name));
}

function options() {
  const series = names.map((name) => ({ stroke: () => resolved(colourOf(name)), width: 1.25, points: { show: false } }));
  const fills = names.map((name, index) => ({ series: [index + 1, index], fill: () => resolved(colourOf(name), 0.28), dir: -1 }));
  if (series.length) series[0].fill = () => resolved(colourOf(names[0]), 0.28);
  return {
    series: [{}, ...series], bands: fills.slice(1), padding: [STRIP + 8, 20, 0, 0],
    scales: { x: { time: true }, y: { range: (_, low, high) => [0, (high || 1) * 1.08] } },
    axes: [timeAxis(), axis({ size: 44, space: 40, values: (_, ticks) => ticks.map((tick) => number(tick)) })],
    hooks: { draw: [strip] },
  };
}

/** Whose turn it was, drawn above the plot on the plot's own time axis. */
function strip(plot) {
  const { ctx, bbox } = plot, ratio = devicePixelRatio, height = STRIP * ratio;
  ctx.save();
  moves.forEach((move, index) => {
    const from = Math.max(plot.valToPos(move.at, "x", true), bbox.left);
    const to = Math.min(index + 1 < moves.length ? plot.valToPos(moves[index + 1].at, "x", true) : bbox.left + bbox.width, bbox.left + bbox.width);
    if (to <= from) return;
    ctx.fillStyle = resolved(colourOf(move.track));
    ctx.fillRect(from, bbox.top - height - 4 * ratio, Math.max(to - from - ratio, ratio), height);
  });
  ctx.restore();
}

const last = (index) => chart.rates[index]?.[newest(chart.rates[index])];

function readout(data, index) {
  const at = index ?? data[0].length - 1;
  const told = moves.findLast((move) => move.at <= data[0][at]);
  const total = data.length > 1 ? data.at(-1)[at] : null;
  return `${time(data[0][at], data[0].at(-1))} · ${rate(total)}${told ? ` · recommended: ${told.track}` : ""}`;
}

const columns = () => names.map((name, index) => [name, chart.rates[index], rate]);
