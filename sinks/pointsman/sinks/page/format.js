// Numbers as people read them: three significant digits, units by convention, "–" for what is not known.

const NONE = "–";
const plain = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const known = (value) => typeof value === "number" && Number.isFinite(value);

/** A number with three significant digits, all digits from 1,000 on. */
export const number = (value) => (known(value) ? (Math.abs(value) >= 1000 ? whole : plain).format(value) : NONE);

export const count = (value) => (known(value) ? whole.format(value) : NONE);

/** Milliseconds as [number, unit]. */
export function durationParts(ms) {
  if (!known(ms)) return [NONE, ""];
  const size = Math.abs(ms);
  if (size < 999.5) return [plain.format(ms), "ms"];
  if (size < 599_500) return [plain.format(ms / 1000), "s"];
  if (size < 5_400_000) return [plain.format(ms / 60_000), "min"];
  return [plain.format(ms / 3_600_000), "h"];
}

export const duration = (ms) => durationParts(ms).join("\u202f").trim();

/** A share of 1 as percent; what is nearly all or nearly nothing is not rounded to it. */
export function share(value) {
  if (!known(value)) return NONE;
  const percent = 100 * value;
  if (percent > 0 && percent < 0.1) return "<\u202f0.1\u202f%";
  if (percent < 100 && percent > 99.9) return ">\u202f99.9\u202f%";
  return `${percent >= 99.95 || percent === 0 ? percent.toFixed(0) : percent.toFixed(1)}\u202f%`;
}

export function money(usd) {
  if (!known(usd)) return NONE;
  const size = Math.abs(usd);
  if (size === 0) return "$0";
  if (size >= 1000) return `$${whole.format(usd)}`;
  if (size >= 1) return `$${usd.toFixed(2)}`;
  return `$${usd.toLocaleString("en-US", { maximumSignificantDigits: 2, maximumFractionDigits: 20 })}`;
}

export const rate = (perSecond) => (known(perSecond) ? `${number(perSecond)}\u202f/s` : NONE);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dated = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = (date) => date.toDateString();

/** Local time, with the date where that is not `near`'s. */
export function time(seconds, near = Date.now() / 1000) {
  if (!known(seconds)) return NONE;
  const date = new Date(seconds * 1000);
  return (day(date) === day(new Date(near * 1000)) ? clock : dated).format(date);
}

export const shortTime = (seconds) => (known(seconds) ? minutes.format(new Date(seconds * 1000)) : NONE);

export const utc = (seconds) => (known(seconds) ? new Date(seconds * 1000).toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC") : "");

/** A stretch of time in its largest unit that fits. */
export function stretch(seconds) {
  if (!known(seconds)) return NONE;
  const [size, unit] = [[86_400, "d"], [3600, "h"], [60, "min"]].find(([size]) => seconds >= 2 * size || (seconds >= size && seconds % size === 0)) ?? [1, "s"];
  return `${plain.format(seconds >= 10 * size ? Math.round(seconds / size) : seconds / size)}\u202f${unit}`;
}

/** A gauge with its unit, as a host samples it. */
export function gauge(value, unit) {
  if (!known(value)) return NONE;
  if (unit === "MB") return Math.abs(value) >= 1000 ? `${plain.format(value / 1000)}\u202fGB` : `${plain.format(value)}\u202fMB`;
  return unit ? `${number(value)}\u202f${unit}` : number(value);
}

/** Names as they are said: `gpu_memory_used_mb` is "gpu memory used". */
export const said = (name) => String(name ?? "").replace(/_(mb|ms|usd|percent|c)$/, "").replaceAll("_", " ");

const UNITS = { _mb: "MB", _ms: "ms", _percent: "%", _usd: "USD", _c: "°C" };

/** The unit that a metric's name carries, else what is known of it. */
export function unitOf(metric) {
  const end = Object.keys(UNITS).find((suffix) => String(metric).endsWith(suffix));
  if (end) return UNITS[end];
  return { arrival_rate: "/s", token_rate: "tokens/s" }[metric] ?? "";
}

/** A metric's value with the unit that its name carries. */
export function measured(metric, value) {
  const unit = unitOf(metric);
  if (metric === "error") return share(value);
  if (unit === "ms") return duration(value);
  if (unit === "USD") return money(value);
  return gauge(value, unit);
}
