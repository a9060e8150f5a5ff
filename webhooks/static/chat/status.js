// Shows who answers now, whether we are connected, and that a reply is on its way.

import { say } from "./texts.js";
import { atEnd, toEnd } from "./view.js";

const state = document.getElementById("state");
const connection = document.getElementById("connection");
const typing = document.getElementById("typing");
const human = document.getElementById("human");
const stop = document.getElementById("stop");
const PATIENCE = { connecting: 1500, reconnecting: 1200, offline: 0 }; // milliseconds: a blink is no news
const LONGEST_TYPING = 45_000; // milliseconds
let banner = null;
let typingEnds = null;
let answering = "bot";

export function showState(now) {
  answering = now.state;
  if (answering !== "bot") showTyping(false);
  const text = sentence(now);
  state.className = `strip ${now.state}${text ? " shown" : ""}`;
  state.querySelector("p").textContent = text;
  stop.hidden = now.state !== "queued";
  human.disabled = now.state === "agent";
}

function sentence(now) {
  if (now.state === "queued") return now.position > 1 ? say("queued", { position: now.position }) : say("queued_next");
  if (now.state === "agent") return say("agent", { name: now.agent ?? "" });
  return now.state === "closed" ? say("closed") : "";
}

export function showConnection(now) {
  clearTimeout(banner);
  const show = () => {
    connection.textContent = now === "open" ? "" : say(now);
    connection.classList.toggle("shown", now !== "open");
  };
  if (now === "open") show();
  else banner = setTimeout(show, connection.classList.contains("shown") ? 0 : PATIENCE[now]);
}

export function showTyping(on) {
  clearTimeout(typingEnds);
  const stick = atEnd();
  typing.hidden = !on || answering !== "bot";
  if (stick) toEnd();
  if (!typing.hidden) typingEnds = setTimeout(() => showTyping(false), LONGEST_TYPING);
}
