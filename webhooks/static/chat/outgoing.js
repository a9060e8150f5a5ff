// What the visitor has said and the server has not taken yet: sent in order, again and again, with the same id.

import { call } from "./api.js";

const LONGEST_PAUSE = 15_000; // milliseconds

function bodyOf({ id, text, tap, files }) {
  if (tap !== undefined) return { id, tap };
  return { id, ...(text && { text }), ...(files?.length && { files }) };
}

export class Outgoing {
  /** `begin` opens a session; `told(item, fate, reason)` hears sending, unsent, sent or refused. */
  constructor({ session, begin, told }) {
    this.begin = begin;
    this.told = told;
    this.items = [];
    this.working = false;
    this.failures = 0;
    this.session = session;
    this.entered = false; // whether a session was opened for the item that is being sent
    this.wake = () => {};
    window.addEventListener("online", () => this.wake());
  }

  add(item) {
    this.items.push(item);
    this.told(item, navigator.onLine ? "sending" : "unsent");
    this.work();
  }

  async work() {
    if (this.working) return;
    this.working = true;
    while (this.items.length) {
      const pause = await this.attempt(this.items[0]);
      if (pause) await this.rest(pause);
    }
    this.working = false;
  }

  /** Milliseconds to wait before the next attempt; 0 when the item is settled. */
  async attempt(item) {
    try {
      return await this.send(item);
    } catch {
      this.told(item, "unsent");
      return this.backOff();
    }
  }

  async send(item) {
    if (!this.session) return this.enter(item);
    const answer = await call("POST", "messages", bodyOf(item));
    if (answer.status === 401) {
      this.session = false;
      return this.entered ? this.refusedEntry(item) : 0;
    }
    if (answer.status === 429 || answer.status >= 500) {
      this.told(item, "unsent");
      return Math.max(answer.wait, this.backOff());
    }
    this.failures = 0;
    this.entered = false;
    this.items.shift();
    this.told(item, answer.status === 202 ? "sent" : "refused", answer.body.error?.message);
    return 0;
  }

  /** Milliseconds to wait, 0 when there is a session. Who asks while one is being opened waits for the same one. */
  async ensureSession() {
    if (this.session) return 0;
    this.opening ??= this.begin().finally(() => (this.opening = null));
    const wait = await this.opening;
    this.session = !wait;
    return wait;
  }

  /** A session first, then the same item again. */
  async enter(item) {
    const wait = await this.ensureSession();
    this.entered = !wait;
    if (wait) this.told(item, "unsent");
    return wait;
  }

  /** The session that was just opened is not known: the browser keeps no cookie. Not again at once. */
  refusedEntry(item) {
    this.told(item, "unsent");
    return this.backOff();
  }

  backOff() {
    this.failures += 1;
    return Math.min(1000 * 2 ** (this.failures - 1), LONGEST_PAUSE) * (0.75 + Math.random() / 2);
  }

  /** Ends early when the network is back. */
  rest(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
