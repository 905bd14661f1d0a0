// One request by its id: which track, why, what else there was, and what would have changed it.

import { Away, Refused, json } from "./api.js";
import { $, h } from "./dom.js";
import { duration, measured, money, number, said, share, time, utc } from "./format.js";

/** Answer the form, `/` and Escape. `onWrongToken` is told when the token has to be asked for. */
export function startLookup(scopeOf, onWrongToken) {
  const form = $("lookup"), input = $("request-id"), drawer = $("explained");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
  input.addEventListener("keydown", (event) => { if (event.key === "Escape") { input.value = ""; input.blur(); } });
  $("explained-close").addEventListener("click", () => drawer.close());
  drawer.addEventListener("click", (event) => { if (event.target === drawer) drawer.close(); });
  drawer.addEventListener("close", () => input.focus());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const id = input.value.trim();
    if (!id) return;
    show(id, [h("p", { class: "empty" }, "Looking it up …")]);
    try {
      const found = await json(`/v1/requests/${encodeURIComponent(id)}?${new URLSearchParams({ scope: scopeOf() ?? "" })}`);
      show(id, explanation(found));
    } catch (error) {
      if (error instanceof Refused || error instanceof Away) return show(id, [h("p", { class: "error" }, error.message)]);
      drawer.close();
      onWrongToken(error);
    }
  });

  function show(id, content) {
    $("explained-h").replaceChildren("Request ", h("bdi", {}, id));
    $("explanation").replaceChildren(...content);
    $("explanation").dataset.request = id;
    if (!drawer.open) drawer.showModal();
  }
}

const part = (title, ...content) => h("section", {}, h("h3", {}, title), ...content);
const bulleted = (sentences) => h("ul", { class: "said" }, ...sentences.map((one) => h("li", {}, one)));

/** The explanation as elements. */
function explanation(found) {
  const why = found.explained, best = why.tracks.find((row) => row.track === why.best);
  const decided = found.decided_by === "pointsman" ? `Pointsman, policy ${found.decided_version ?? why.policy_version}` : found.decided_by;
  return [
    h("div", {}, h("p", { class: "verdict" }, h("bdi", { class: "name", "data-track": found.track ?? "" }, found.track ?? "no track"), ` was chosen by ${decided}`),
      h("p", { class: "note", title: utc(found.occurred_at) }, `${time(found.occurred_at)} · strategy ${why.strategy}, mode ${why.mode}${found.propensity === null ? "" : ` · drawn with ${share(found.propensity)}`}`)),
    ...(found.notes.length ? [bulleted(found.notes)] : []),
    part("Alternatives", h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Alternatives" }, alternatives(why))),
    part("What the utility is made of", h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Parts of the utility" }, worth(why)), ...difference(why)),
    part("What would have changed it", ...(why.counterfactuals.length ? changes(why) : [h("p", { class: "note" }, `nothing that is known: ${best?.track ?? why.best} was the only choice`)])),
    part("What was known", h("p", { class: "note" }, known(found.request) || "nothing but that it was asked")),
  ];
}

const between = (value, format) => (value.lower === null ? format(value.mean) : `${format(value.mean)} (${format(value.lower)} to ${format(value.upper)})`);

function alternatives(why) {
  const columns = ["Track", "Probability", "Utility", "Latency", "Success", "Cost", "Quality", "Held back"];
  const rows = why.tracks.map((row) => h("tr", { class: row.track === why.best ? "best" : null, "data-track": row.track },
    ...[h("bdi", {}, row.track), share(row.propensity), signed(row.utility).replace("+", ""), between(row.latency_ms, duration), between(row.success, share), between(row.cost_usd, money), between(row.quality, number), held(row)].map((cell) => h("td", {}, cell))));
  return h("table", {}, h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, ...rows));
}

function held(row) {
  const found = [row.held_by ? `by ${row.held_by}` : "", row.admitted < 1 ? `${share(row.admitted)} admitted` : "", row.running === null ? "" : `${number(row.running)} in flight`, row.penalty ? `penalty ${number(row.penalty)}` : ""];
  return found.filter(Boolean).join(", ") || "no";
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;

function worth(why) {
  const names = Object.keys(why.tracks[0]?.parts ?? {}).filter((name) => why.tracks.some((row) => Math.abs(row.parts[name]) >= 5e-7));
  const rows = why.tracks.map((row) => h("tr", {}, h("td", {}, h("bdi", {}, row.track)), ...names.map((name) => h("td", {}, signed(row.parts[name])))));
  return h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Track"), ...names.map((name) => h("th", { scope: "col" }, said(name))))), h("tbody", {}, ...rows));
}

function difference(why) {
  const found = why.difference;
  if (!found) return [];
  const parts = Object.entries(found.parts).slice(0, 6).map(([name, value]) => `${said(name)} ${signed(value)}`);
  return [h("p", { class: "note" }, `${found.track} less ${found.against}: ${signed(found.utility)}, from ${parts.join(", ") || "nothing"}`)];
}

function changes(why) {
  const possible = why.counterfactuals.filter((row) => row.needed !== null || row.what === "conversation" || row.what === "objectives");
  const never = new Map();
  for (const row of why.counterfactuals) if (!possible.includes(row)) never.set(row.track, [...(never.get(row.track) ?? []), said(row.what)]);
  const rest = [...never].map(([track, names]) => h("p", { class: "note" }, `No ${names.join(" or ")} of ${track} would alone make it the best.`));
  return possible.length ? [h("p", {}, `${why.best} is the best here. It would not be`), bulleted(possible.map(counterfactual)), ...rest] : rest;
}

function counterfactual({ what, track, now, needed, best, side, budget_usd: budget }) {
  switch (what) {
    case "conversation": return `in a new conversation, which ${best} would get: this one was on ${track}`;
    case "objectives": return `were no objective being broken: then ${best}`;
    case "shadow_price": return `at a shadow price ${side} ${number(needed)}${budget === null ? "" : ` (a budget of about ${money(budget)} a request)`}, ${now === null ? "there is no budget now" : `now ${number(now)}`}: then ${best}`;
    case "running": return `with ${needed} requests in flight on ${track} or ${side === "above" ? "more" : "fewer"}, now ${now}: then ${best}`;
    case "admitted": return `if health admitted ${track}`;
    case "ceiling_usd": case "hard_ceiling_usd": return `if a request might cost ${money(needed)}, now ${money(now)}: then ${best}`;
    default: return `if ${track} had ${said(what)} ${measured(what, needed)} instead of ${measured(what, now)}`;
  }
}

function known(request) {
  const attributes = Object.entries(request.attributes ?? {}).map(([name, value]) => `${name} ${value}`);
  return [...Object.entries(request).filter(([name, value]) => name !== "attributes" && value !== null && value !== "").map(([name, value]) => `${said(name)} ${value}`), ...attributes].join(", ");
}
