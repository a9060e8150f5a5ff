// The web chat page: puts the parts together. The conversation begins with the first message, not with a visit.

import { call, newId } from "./api.js";
import { draft, onSend, write } from "./composer.js";
import { onFiles } from "./files.js";
import { Outgoing } from "./outgoing.js";
import { showConnection, showState, showTyping } from "./status.js";
import { Stream } from "./stream.js";
import { language } from "./texts.js";
import { came } from "./unread.js";
import * as view from "./view.js";

const KEPT = "tingsu.unsent"; // over a reload of this tab only
const byId = (id) => document.getElementById(id);
const elements = new Map(); // client id -> element of the visitor's own message, whichever page it was said on

const stream = new Stream({
  message: (message) => {
    showTyping(false);
    view.add(message, tapped);
    came();
  },
  said: (line) => {
    if (elements.has(line.id)) return;
    elements.set(line.id, view.add(line));
    byId("starters").hidden = true;
  },
  state: (now) => {
    showState(now);
    if (now.state !== "bot") view.closeChoices(); // a tap would be stale; the bot asks again when it is back
  },
  connection: showConnection,
});

const outgoing = new Outgoing({
  session: document.body.dataset.session === "kept",
  begin,
  told: (item, fate, reason) => {
    view.showFate(elements.get(item.id), fate, reason, item.text && (() => write(item.text)));
    if (fate === "sent") {
      if (!stream.started) stream.start(0);
      if (item.tap === undefined) showTyping(true);
    }
  },
});

/** Opens a session; gives the milliseconds to wait when the server does not let us yet. */
async function begin() {
  const answer = await call("POST", "sessions", { language });
  if (answer.status !== 201) return answer.wait || 5000;
  stream.started = false;
  return 0;
}

function say(item, shown) {
  byId("transcript").hidden = false;
  byId("starters").hidden = true;
  view.closeChoices(item.button);
  const at = new Date().toISOString();
  const message = { side: "customer", author: "", text: shown, files: item.files ?? [], buttons: [], at };
  elements.set(item.id, view.add(message));
  outgoing.add(item);
}

function tapped(button, payload, label) {
  say({ id: newId(), tap: payload, label, button }, label);
}

async function load() {
  byId("failed").hidden = true;
  byId("loading").hidden = false;
  try {
    const past = await history();
    if (past) show(past);
    else byId("starters").hidden = false;
    byId("log").setAttribute("aria-busy", "false");
    restore(new Set(past?.messages.map((message) => message.id)));
  } catch {
    byId("failed").hidden = false;
  }
  byId("loading").hidden = true;
}

/** What was said before; undefined for a new visitor. Throws when it cannot be had now. */
async function history() {
  if (document.body.dataset.session === "none") return undefined;
  const { status, body } = await call("GET", "history");
  if (status === 401) return undefined;
  if (status !== 200) throw new Error(String(status));
  return body;
}

function show(past) {
  view.forget();
  for (const message of past.messages) {
    const element = view.add(message, tapped);
    if (message.id) elements.set(message.id, element);
  }
  view.toEnd();
  byId("starters").hidden = past.messages.length > 0;
  byId("transcript").hidden = past.messages.length === 0;
  showState(past.state);
  stream.start(past.after);
}

/** Takes up what a reload interrupted, but for what the server has by now. */
function restore(known) {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  sessionStorage.removeItem(KEPT);
  if (!kept) return;
  for (const item of kept.items) {
    if (!known.has(item.id)) say(item, item.label ?? item.text ?? "");
  }
  if (kept.draft) write(kept.draft);
}

window.addEventListener("pagehide", () => {
  const items = outgoing.items.map(({ id, text, tap, label, files }) => ({ id, text, tap, label, files }));
  if (items.length || draft()) sessionStorage.setItem(KEPT, JSON.stringify({ items, draft: draft() }));
});

onSend((text, files) => say({ id: newId(), text, files }, text));
onFiles(async () => (await outgoing.ensureSession().catch(() => 1)) === 0);
byId("human").addEventListener("click", (event) => tapped(undefined, "human", event.target.textContent));
byId("stop").addEventListener("click", (event) => tapped(undefined, "stop_waiting", event.target.textContent));
byId("again").addEventListener("click", load);
for (const button of byId("starters").children) {
  button.addEventListener("click", () => say({ id: newId(), text: button.dataset.say }, button.dataset.say));
}
byId("language").addEventListener("click", async (event) => {
  event.preventDefault();
  try {
    await call("POST", "language", { language: event.target.dataset.to });
  } finally {
    location.assign(event.target.href);
  }
});
load();
