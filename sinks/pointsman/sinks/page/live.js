// Outputs as they happen: server-sent events by fetch, since EventSource cannot send the token. It connects again by itself, from the last id it saw.

import { Refused, WrongToken, ask } from "./api.js";

const LONGEST_S = 15;
const SILENT_S = 40; // the server says something every 15 s

/** Splits text into server-sent events; what is not whole yet waits. */
export class Frames {
  #rest = "";

  *push(piece) {
    const blocks = (this.#rest + piece).split("\n\n");
    this.#rest = blocks.pop();
    for (const block of blocks) {
      const found = { id: null, name: "message", data: "" };
      for (const line of block.split("\n")) {
        if (line.startsWith("data: ")) found.data += line.slice(6);
        else if (line.startsWith("id: ")) found.id = line.slice(4);
        else if (line.startsWith("event: ")) found.name = line.slice(7);
      }
      yield found;
    }
  }
}

/** Follows one scope until `stop`. Tells `onState` live, reconnecting or offline, `onFrames` what came in one piece, `onWrongToken` when it has to be asked for. */
export class Live {
  #stopped = new AbortController();
  #last = null;
  #wake = null;

  constructor({ scope, types, onState, onFrames, onWrongToken }) {
    Object.assign(this, { scope, types, onState, onFrames, onWrongToken });
    this.#follow();
  }

  stop() {
    this.#stopped.abort();
    this.#wake?.();
  }

  /** Try again now, not when the time has come. */
  hurry() {
    this.#wake?.();
  }

  async #follow() {
    let tries = 0, since = null;
    while (!this.#stopped.signal.aborted) {
      const once = new AbortController();
      const stop = () => once.abort();
      this.#stopped.signal.addEventListener("abort", stop, { once: true });
      try {
        await this.#read(once, () => { tries = 0; since = null; });
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        if (error instanceof WrongToken) return this.onWrongToken();
        if (error instanceof Refused && error.status === 422) this.#last = null;
      } finally {
        this.#stopped.signal.removeEventListener("abort", stop);
        once.abort();
      }
      if (this.#stopped.signal.aborted) return;
      tries += 1;
      since ??= Date.now() / 1000;
      this.onState(tries > 2 ? "offline" : "reconnecting", { since, tries });
      const wait = Math.min(LONGEST_S, 0.5 * 2 ** (tries - 1)) * (0.75 + Math.random() / 2);
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, wait * 1000);
      });
    }
  }

  async #read(once, onOpen) {
    const query = new URLSearchParams({ scope: this.scope });
    for (const type of this.types) query.append("type", type);
    const headers = this.#last === null ? {} : { "last-event-id": this.#last };
    let alarm = setTimeout(() => once.abort(), SILENT_S * 1000);
    try {
      const answer = await ask(`/v1/stream?${query}`, { headers, signal: once.signal });
      onOpen();
      this.onState("live", {});
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const frames = new Frames();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(alarm);
        alarm = setTimeout(() => once.abort(), SILENT_S * 1000);
        const whole = [...frames.push(value)];
        for (const frame of whole) if (frame.id !== null) this.#last = frame.id;
        const said = whole.filter((frame) => frame.data);
        if (said.length) this.onFrames(said);
      }
    } finally {
      clearTimeout(alarm);
    }
  }
}
