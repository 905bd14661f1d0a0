// The page: one scope, its numbers asked for at most every two seconds and only when something arrived, and its outputs as they happen.

import { showAlerts, showResolved } from "./alerts.js";
import { Away, WrongToken, forget, json, recall, remember } from "./api.js";
import { showBottlenecks } from "./bottlenecks.js";
import { forgetColours } from "./colours.js";
import { $, attr, h, keyed, shown, text } from "./dom.js";
import { TYPES, addToFeed, clearFeed, startFeed } from "./feed.js";
import { showForecasts } from "./forecasts.js";
import { count, time } from "./format.js";
import { showHeadline } from "./headline.js";
import { showIncidents } from "./incidents.js";
import { Live } from "./live.js";
import { startLookup } from "./lookup.js";
import { showMoney } from "./money.js";
import { showObjectives } from "./objectives.js";
import { showResources } from "./resources.js";
import { showRecommended, showTraffic } from "./routing.js";
import { mark } from "./sentences.js";
import { showLatencies, showTracks } from "./tracks.js";

const STATUS_MS = 2000, SERIES_MS = 4000, IDLE_MS = 5000, SCOPES_MS = 60_000, MOST_REQUESTS_PER_S = 50;
const DRAWN = new Set(["window.closed/1", "recommendation.issued/1", "forecast.issued/1", "alert.raised/1", "alert.resolved/1"]);

let scope = new URLSearchParams(location.search).get("scope");
let live = null, status = null, series = null;
let isStatusDue = true, isSeriesDue = true, isAsking = false, isSignedIn = false, statusAt = -Infinity, seriesAt = -Infinity, scopesAt = -Infinity;
let perRequest = 0, perRequestSince = 0, isCrowded = false;

/** Ask for what is due; one question at a time, so that a slow server is never pressed. */
async function refresh() {
  const at = performance.now();
  if (!isSignedIn || isAsking || document.hidden) return;
  if (at - statusAt > (scope === null ? STATUS_MS : IDLE_MS)) isStatusDue = true;
  const asksStatus = isStatusDue && at - statusAt >= STATUS_MS, asksSeries = isSeriesDue && scope !== null && at - seriesAt >= SERIES_MS;
  if (!asksStatus && !asksSeries) return;
  isAsking = true;
  try {
    if (asksStatus) await askStatus();
    if (scope !== null && (asksSeries || seriesAt === -Infinity)) await askSeries();
    notice("");
  } catch (error) {
    failed(error);
  } finally {
    isAsking = false;
  }
}

async function askStatus() {
  statusAt = performance.now();
  isStatusDue = false;
  const asked = scope, asksAll = asked === null || statusAt - scopesAt >= SCOPES_MS;
  const found = await json(asksAll ? "/v1/status" : `/v1/status?${new URLSearchParams({ scope })}`);
  if (asked !== scope) return;
  if (asksAll) {
    scopesAt = statusAt;
    showScopes(Object.keys(found));
  }
  status = found[scope] ?? null;
  showStatus();
  if (scope !== null && live === null) follow();
}

async function askSeries() {
  seriesAt = performance.now();
  isSeriesDue = false;
  const asked = scope;
  const found = await json(`/v1/series?${new URLSearchParams({ scope })}`);
  if (asked !== scope) return;
  if (series === null) addToFeed([...(found.alerts ?? [])].reverse());
  series = found;
  const view = status?.board ?? null;
  showTraffic(series, view);
  showLatencies(view, series);
  showResolved(series, view);
  showForecasts(view, series);
  showTracks(view, series);
  showResources(view, series);
}

function showStatus() {
  const view = status?.board ?? null;
  showHeadline(view, status);
  showRecommended(view);
  showIncidents(view);
  showAlerts(view);
  showTracks(view, series);
  showMoney(view);
  showObjectives(view);
  showBottlenecks(view);
  showForecasts(view, series);
  showResources(view, series);
  attr($("main"), "data-scope", scope);
  const title = scope === null ? "Pointsman" : `${openIncidents(view)}${scope} · Pointsman`;
  if (document.title !== title) document.title = title;
  text($("counts"), view ? `${count(view.outputs)} outputs, ${count(view.dead_letters)} dead letters.` : "");
}

/** What a tab in the background says: the mark of the worst open incident that somebody is told of, and nothing where there is none. */
function openIncidents(view) {
  const worst = view?.incidents?.find((one) => one.is_open && !one.muted);
  return worst ? `${mark(worst.severity)} ` : "";
}

function showScopes(names) {
  const sorted = names.toSorted((a, b) => a.localeCompare(b));
  if (scope === null || (!sorted.includes(scope) && sorted.length && status === null)) choose(sorted[0] ?? null);
  const listed = sorted.length ? sorted : [""];
  keyed($("scope"), listed, (name) => name, (name) => h("option", { value: name }, name || "no scope yet"));
  attr($("scope"), "disabled", !sorted.length);
  if (scope !== null) $("scope").value = scope;
}

function choose(name) {
  if (name === scope) return;
  scope = name;
  live?.stop();
  live = null;
  status = series = null;
  statusAt = seriesAt = -Infinity;
  isStatusDue = isSeriesDue = true;
  forgetColours();
  clearFeed();
}

function follow() {
  perRequestSince = performance.now();
  live = new Live({ scope, types: TYPES.filter((type) => !isCrowded || type !== "recommendation.issued/1"), onState: showState, onFrames: heard, onWrongToken: () => failed(new WrongToken()) });
}

/** Take in what arrived in one piece; recommendations of single requests only say that something happened. */
function heard(frames) {
  const arrived = [];
  for (const frame of frames) {
    if (frame.name === "lost" || frame.name === "behind") { isSeriesDue = isStatusDue = true; continue; }
    if (frame.data.includes('"request_id":"') && frame.data.includes('"recommendation.issued/1"')) { perRequest += 1; continue; }
    try { arrived.push(JSON.parse(frame.data)); } catch { /* not whole: the numbers come from the status anyway */ }
  }
  isStatusDue = true;
  if (arrived.some((event) => DRAWN.has(event.type))) isSeriesDue = true;
  addToFeed(arrived);
  const seconds = (performance.now() - perRequestSince) / 1000;
  if (seconds < 2) return;
  if (perRequest / seconds > MOST_REQUESTS_PER_S && !isCrowded) {
    isCrowded = true;
    live.stop();
    follow();
  }
  perRequest = 0;
  perRequestSince = performance.now();
}

function showState(state, { since } = {}) {
  const said = { live: "live", reconnecting: "reconnecting", offline: `offline since ${time(since)}` }[state];
  attr($("live"), "data-state", state);
  text($("live").lastElementChild, said);
  if (state === "live") isStatusDue = isSeriesDue = true;
}

function failed(error) {
  if (error instanceof WrongToken) return signIn(isSignedIn || recall() ? "The server does not take this token. It may have started again and made a new one: it was shown when it started." : "");
  isStatusDue = isSeriesDue = true;
  if (error instanceof Away) {
    if (live === null) showState("offline", { since: Date.now() / 1000 });
    return;
  }
  notice(error.message ?? String(error));
}

function notice(said) {
  text($("notice"), said);
  shown($("notice"), said !== "");
}

function signIn(why) {
  isSignedIn = false;
  live?.stop();
  live = null;
  forget();
  attr($("live"), "data-state", "signed-out");
  text($("live").lastElementChild, "signed out");
  if (why) text($("token-why"), why);
  if (!$("token").open) $("token").showModal();
}

$("token").addEventListener("cancel", (event) => event.preventDefault());
$("token").addEventListener("close", () => { if (!isSignedIn) $("token").showModal(); });
$("token").querySelector("form").addEventListener("submit", () => {
  remember($("token-text").value.trim(), $("token-keep").checked);
  $("token-text").value = "";
  begin();
});
$("scope").addEventListener("change", () => {
  choose($("scope").value);
  history.replaceState(null, "", `?${new URLSearchParams({ scope })}`);
  refresh();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) { live?.hurry(); refresh(); } });
window.addEventListener("online", () => live?.hurry());
$("openapi").addEventListener("click", async (event) => {
  event.preventDefault();
  try {
    const link = h("a", { href: URL.createObjectURL(new Blob([JSON.stringify(await json("/openapi.json"), null, 2)], { type: "application/json" })), download: "openapi.json" });
    link.click();
  } catch (error) { failed(error); }
});

function begin() {
  isSignedIn = true;
  statusAt = seriesAt = scopesAt = -Infinity;
  isStatusDue = isSeriesDue = true;
  refresh();
}

startFeed();
startLookup(() => scope, failed);
setInterval(refresh, 500);
if (recall()) begin();
else signIn("");
