// Questions to the server this page came from, with the token; every failure is one of three kinds.

const KEY = "pointsman.token";

/** The server does not take the token. */
export class WrongToken extends Error {}
/** The server cannot be reached, or stops. */
export class Away extends Error {}
/** The server answered, with a code and a sentence. */
export class Refused extends Error {
  constructor(status, reason) {
    super(reason.message ?? `the server answered ${status}`);
    this.status = status;
    this.code = reason.code ?? "";
  }
}

let token = null;

function store(kind) {
  try { return window[kind]; } catch { return null; }
}

/** The token from the address (`#token=...`, taken out of it at once), else the kept one. */
export function recall() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    history.replaceState(null, "", location.pathname + location.search);
    remember(given, false);
  }
  token ??= store("sessionStorage")?.getItem(KEY) ?? store("localStorage")?.getItem(KEY) ?? null;
  return token;
}

/** Keep the token for this tab, or on this device. */
export function remember(given, forLong) {
  token = given;
  forget();
  token = given;
  try { store(forLong ? "localStorage" : "sessionStorage")?.setItem(KEY, given); } catch { /* it lasts until the page is closed */ }
}

export function forget() {
  token = null;
  store("sessionStorage")?.removeItem(KEY);
  store("localStorage")?.removeItem(KEY);
}

/** A response that is fine; raises `WrongToken`, `Away` or `Refused`. */
export async function ask(path, { headers = {}, signal } = {}) {
  if (!token) throw new WrongToken("no token yet");
  const used = token;
  let answer;
  try {
    // A header carries bytes: a token with other characters than ASCII is sent as the UTF-8 that the server compares.
    const bytes = String.fromCharCode(...new TextEncoder().encode(used));
    answer = await fetch(path, { headers: { authorization: `Bearer ${bytes}`, ...headers }, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Away("the server cannot be reached");
  }
  if (answer.ok) return answer;
  if (answer.status === 401) throw new WrongToken(used === token ? "the token is not taken" : "");
  const reason = await answer.json().catch(() => ({}));
  if (answer.status === 503 || answer.status === 502 || answer.status === 504) throw new Away(reason.message ?? `the server answered ${answer.status}`);
  throw new Refused(answer.status, reason);
}

export const json = async (path, options) => {
  const answer = await ask(path, options);
  try { return await answer.json(); } catch { throw new Away("the answer broke off"); }
};
