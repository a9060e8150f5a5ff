// Listens to the server's events and resumes after the last one that was shown: nothing lost, nothing twice.

const LONGEST_PAUSE = 15_000; // milliseconds
const ASLEEP = 30_000; // milliseconds hidden after which an open connection is not believed any more

export class Stream {
  /** Hears message(data), said(line), state(data) and connection("connecting" | "open" | "reconnecting" | "offline"). */
  constructor({ message, said, state, connection }) {
    this.hear = { message, said, state, connection };
    this.after = 0;
    this.failures = 0;
    this.source = null;
    this.timer = null;
    this.started = false;
    window.addEventListener("online", () => this.restart());
    window.addEventListener("offline", () => this.lost());
    document.addEventListener("visibilitychange", () => this.look());
  }

  start(after) {
    this.after = after;
    this.started = true;
    this.hear.connection("connecting");
    this.open();
  }

  open() {
    this.shut();
    if (!navigator.onLine) return this.hear.connection("offline");
    this.source = new EventSource(`/chat/v1/events?after=${this.after}`);
    this.source.addEventListener("open", () => {
      this.failures = 0;
      this.hear.connection("open");
    });
    this.source.addEventListener("message", (event) => this.take(JSON.parse(event.data)));
    this.source.addEventListener("said", (event) => this.hear.said(JSON.parse(event.data)));
    this.source.addEventListener("state", (event) => this.hear.state(JSON.parse(event.data)));
    this.source.addEventListener("error", () => this.lost());
  }

  take(message) {
    if (message.stream <= this.after) return;
    this.after = message.stream;
    this.hear.message(message);
  }

  /** The browser would reconnect by itself, but not after an HTTP error, and without telling anybody. */
  lost() {
    if (!this.started) {
      if (!navigator.onLine) this.hear.connection("offline");
      return;
    }
    this.shut();
    this.hear.connection(navigator.onLine ? "reconnecting" : "offline");
    this.failures += 1;
    const pause = Math.min(1000 * 2 ** (this.failures - 1), LONGEST_PAUSE) * (0.75 + Math.random() / 2);
    this.timer = setTimeout(() => this.open(), pause);
  }

  restart() {
    if (this.started) this.open();
    else this.hear.connection("open");
  }

  look() {
    if (document.hidden) this.hiddenAt = Date.now();
    else if (this.started && Date.now() - (this.hiddenAt ?? Date.now()) > ASLEEP) this.open();
  }

  shut() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }
}
