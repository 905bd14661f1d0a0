// One chart: a figure with what it says as text, drawn only while it can be seen and only where its data changed.

import { attr, h, shown, text } from "./dom.js";
import { resolved } from "./colours.js";
import { shortTime, time, utc } from "./format.js";

const FONT = '12px "Segoe UI", -apple-system, Roboto, Inter, "Noto Sans", "Helvetica Neue", Arial, sans-serif';
const MOST_ROWS = 60;
const charts = new Set();

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.target.chart.isVisible = entry.isIntersecting;
  for (const entry of entries) if (entry.isIntersecting) entry.target.chart.draw();
}, { rootMargin: "100px" });
const sized = new ResizeObserver((entries) => { for (const entry of entries) entry.target.chart.resize(entry.contentRect.width); });
document.addEventListener("themechange", () => { for (const chart of charts) chart.restyle(); });

/** An axis in the page's quiet colours. */
export const axis = (more = {}) => ({
  stroke: () => resolved("--soft"),
  grid: { stroke: () => resolved("--line"), width: 1 },
  ticks: { show: false },
  font: FONT,
  gap: 6,
  ...more,
});

export const timeAxis = (more = {}) => axis({ space: 70, size: 24, grid: { show: false }, values: (_, ticks) => ticks.map((tick, index) => (index && shortTime(tick) === shortTime(ticks[index - 1]) ? "" : shortTime(tick))), ...more });

/**
 * `options()` gives uPlot's options without size, `readout(data, index)` the line of text at a place,
 * `columns` the names and formats of the table, `summary(data)` the sentence for who cannot see the drawing.
 */
export class Chart {
  isVisible = false;
  #plot = null;
  #data = null;
  #dirty = false;
  #shape = "";
  #width = 0;

  constructor(parent, { title, height, options, readout, columns, summary, label }) {
    Object.assign(this, { height, options, readout, columns, summary });
    this.said = h("span", { class: "readout" });
    this.holder = h("div", { class: "plot", "data-height": height, role: "img", "aria-label": "no data yet" });
    this.nothing = h("div", { class: "nothing" }, "No data yet");
    this.values = h("div", { class: "values", hidden: true, tabindex: "0", role: "region", "aria-label": `${label}, as a table` });
    this.button = h("button", { class: "quiet as-table", type: "button", "aria-expanded": "false", "aria-label": `${label} as a table`, on: { click: () => this.#toggle() } }, "Table");
    this.holder.append(this.nothing);
    this.figure = h("figure", { class: "chart" }, h("figcaption", {}, title ?? h("span"), this.said, this.button), this.holder, this.values);
    parent.append(this.figure);
    this.holder.chart = this;
    charts.add(this);
    seen.observe(this.holder);
    sized.observe(this.holder);
  }

  /** New data; drawn when it can be seen. `shape` names what the options depend on. */
  set(data, shape = "") {
    this.#data = data;
    this.#dirty = true;
    if (shape !== this.#shape) this.#drop();
    this.#shape = shape;
    shown(this.nothing, this.#isEmpty);
    attr(this.holder, "aria-label", this.#isEmpty ? "no data yet" : this.summary(data));
    this.draw();
  }

  get #isEmpty() { return this.#data[0].length < 2; }

  draw() {
    if (!this.isVisible || !this.#dirty || this.#data === null || !this.#width) return;
    this.#dirty = false;
    if (this.#isEmpty) this.#drop();
    else if (this.#plot) this.#plot.setData(this.#data);
    else this.#make();
    this.#say(null);
    if (!this.values.hidden) this.#fill();
  }

  resize(width) {
    const now = Math.floor(width);
    if (!now || now === this.#width) return;
    this.#width = now;
    if (this.#plot) this.#plot.setSize({ width: now, height: this.height });
    else this.draw();
  }

  restyle() {
    if (this.#plot) this.#plot.redraw(false);
  }

  remove() {
    seen.unobserve(this.holder);
    sized.unobserve(this.holder);
    charts.delete(this);
    this.#drop();
    this.figure.remove();
  }

  #make() {
    const own = this.options();
    const hooks = { ...own.hooks, setCursor: [(plot) => this.#say(plot.cursor.idx ?? null)] };
    const cursor = { y: false, points: { show: false }, drag: { x: false, y: false }, sync: { key: "time", setSeries: false }, ...own.cursor };
    this.#plot = new uPlot({ ...own, hooks, cursor, legend: { show: false }, width: this.#width, height: this.height, padding: own.padding ?? [8, 20, 0, 0] }, this.#data, this.holder);
  }

  #drop() {
    this.#plot?.destroy();
    this.#plot = null;
    this.#dirty = true;
  }

  #say(index) {
    if (this.#data === null || this.#data[0].length < 1) return text(this.said, "");
    text(this.said, this.readout(this.#data, index));
  }

  #toggle() {
    this.values.hidden = !this.values.hidden;
    this.button.setAttribute("aria-expanded", String(!this.values.hidden));
    if (!this.values.hidden) this.#fill();
  }

  #fill() {
    const columns = this.columns(this.#data);
    const rows = [...this.#data[0].keys()].reverse().slice(0, MOST_ROWS);
    const head = h("tr", {}, h("th", { scope: "col" }, "Time"), ...columns.map(([name]) => h("th", { scope: "col" }, name)));
    const body = rows.map((row) => h("tr", {}, h("td", { title: utc(this.#data[0][row]) }, time(this.#data[0][row], this.#data[0].at(-1))), ...columns.map(([, values, format]) => h("td", {}, format(values[row])))));
    this.values.replaceChildren(h("table", {}, h("thead", {}, head), h("tbody", {}, ...body)));
  }
}

/** The newest place at which a row of values is known. */
export function newest(values) {
  for (let index = values.length - 1; index >= 0; index -= 1) if (values[index] !== null && values[index] !== undefined) return index;
  return values.length - 1;
}
