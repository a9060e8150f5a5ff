// Draws the conversation. Every text reaches the page as textContent, never as markup.

import { locale, say } from "./texts.js";

const log = document.getElementById("log");
const messages = document.getElementById("messages");
const newer = document.getElementById("newer");
const NEAR = 80; // pixels from the end that still count as reading along
const TOGETHER = 5 * 60_000; // milliseconds within which one speaker's messages share a heading
const REFERENCE = /(TS-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z])/;
let last = { day: "", side: "", author: "", at: 0 };

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function dayName(at) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const days = Math.round((midnight - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return say("today");
  if (days === 1) return say("yesterday");
  return at.toLocaleDateString(locale, { year: "numeric", month: "long", day: "numeric" });
}

function speaker({ side, author }) {
  if (side === "customer") return say("you");
  return side === "agent" ? say("by_agent", { name: author }) : document.querySelector(".who h1").textContent;
}

function heading(message, at) {
  const meta = make("p", "meta", speaker(message));
  const time = make("time", "", at.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = at.toISOString();
  meta.append(time);
  return meta;
}

/** A reference stays on one line and is selected whole: people copy it and read it out. */
function bubble(text) {
  const element = make("div", "bubble");
  element.dir = "auto";
  for (const part of text.split(REFERENCE)) {
    element.append(REFERENCE.test(part) ? make("span", "reference", part) : part);
  }
  return element;
}

/** Adds a message and gives its element. `tapped(button, payload, label)` hears its choices. */
export function add(message, tapped) {
  const at = new Date(message.at);
  const stick = atEnd();
  const day = dayName(at);
  if (day !== last.day) messages.append(make("p", "day", day));
  const follows = day === last.day && message.side === last.side && message.author === last.author && at - last.at < TOGETHER;
  last = { day, side: message.side, author: message.author, at };
  const element = make("div", `message ${message.side === "customer" ? "mine" : message.side}${follows ? " follows" : ""}`);
  element.append(heading(message, at));
  if (message.text) element.append(bubble(message.text));
  if (message.files?.length) element.append(fileList(message.files));
  if (message.buttons.length) element.append(choices(message.buttons, tapped));
  messages.append(element);
  if (stick || message.side === "customer") toEnd();
  else newer.hidden = false;
  return element;
}

/** A file that the server has can be fetched back; it is always saved, never opened as a page. */
function fileList(files) {
  const list = make("ul", "sent-files");
  for (const { name, number } of files) {
    const item = make("li");
    const label = make("bdi", "", name);
    if (number === undefined) item.append(label);
    else {
      const link = make("a");
      link.href = `/chat/v1/files/${number}`;
      link.download = "";
      link.append(label);
      item.append(link);
    }
    list.append(item);
  }
  return list;
}

function choices(buttons, tapped) {
  closeChoices();
  const group = make("div", "choices");
  for (const { payload, label } of buttons) {
    const button = make("button", "", label);
    button.type = "button";
    button.dataset.payload = payload;
    button.addEventListener("click", () => tapped(button, payload, label));
    group.append(button);
  }
  return group;
}

/** Choices of earlier questions cannot be taken any more; asking for a person always can. */
export function closeChoices(chosen) {
  chosen?.classList.add("chosen");
  for (const button of messages.querySelectorAll(".choices button")) {
    if (button !== chosen && ["human", "stop_waiting"].includes(button.dataset.payload)) continue;
    if (button === document.activeElement) log.focus({ preventScroll: true });
    button.disabled = true;
  }
}

/** Under the visitor's own message: on its way, waiting, or refused with a way to change it. */
export function showFate(element, fate, reason, edit) {
  element.querySelector(".fate")?.remove();
  if (fate === "sent") return;
  const line = make("p", `fate ${fate}`, say(fate, { reason }));
  if (fate === "refused" && edit) {
    const button = make("button", "", say("edit"));
    button.type = "button";
    button.addEventListener("click", edit);
    line.append(button);
  }
  element.append(line);
  toEnd();
}

export function atEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
}

export function toEnd() {
  log.scrollTop = log.scrollHeight;
  newer.hidden = true;
}

export function forget() {
  messages.replaceChildren();
  last = { day: "", side: "", author: "", at: 0 };
}

newer.textContent = say("new_messages");
newer.addEventListener("click", toEnd);
log.addEventListener("scroll", () => {
  if (atEnd()) newer.hidden = true;
});
new ResizeObserver(() => {
  if (newer.hidden) toEnd();
}).observe(log);
