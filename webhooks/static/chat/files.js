// Files that the visitor wants to send: uploaded at once, shown with their progress, and hung on the next message.

import { say } from "./texts.js";

const form = document.getElementById("composer");
const list = document.getElementById("files");
const input = document.getElementById("file");
const MOST = Number(document.body.dataset.files);
const LARGEST = Number(document.body.dataset.largest); // bytes

let ensureSession;
let files = []; // {name, size, state: waiting | uploading | done | refused, file, element}

/** `session` opens one if there is none; gives false when that is not possible now. */
export function onFiles(session) {
  ensureSession = session;
}

/** Whether the message can go now: nothing is still on its way. */
export function ready() {
  return files.every((file) => file.state !== "uploading");
}

/** Gives what has arrived, as the API wants it, and forgets it here; what was refused is forgotten too. */
export function take() {
  const arrived = files.filter((file) => file.state === "done").map(({ name, file }) => ({ file, name }));
  files = [];
  list.replaceChildren();
  return arrived;
}

function add(chosen) {
  for (const one of chosen) {
    if (files.length >= MOST) return note(say("files_most", { count: MOST }));
    const file = { name: one.name, size: one.size, state: "uploading", source: one };
    files.push(file);
    draw(file);
    if (one.size > LARGEST) fail(file, say("files_size"));
    else upload(file);
  }
}

async function upload(file) {
  show(file, "uploading", say("files_uploading", { percent: 0 }));
  if (!(await ensureSession())) return fail(file, say("files_network"), true);
  const request = new XMLHttpRequest(); // fetch tells nothing of how far an upload is
  request.open("POST", "/chat/v1/files");
  request.responseType = "json";
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    const percent = total ? Math.floor((100 * loaded) / total) : 0;
    show(file, "uploading", percent < 100 ? say("files_uploading", { percent }) : say("files_checking"));
    file.element.style.setProperty("--done", `${percent}%`);
  });
  request.addEventListener("load", () => arrived(file, request));
  request.addEventListener("error", () => fail(file, say("files_network"), true));
  request.addEventListener("timeout", () => fail(file, say("files_network"), true));
  request.timeout = 180_000;
  file.request = request;
  request.send(file.source);
}

function arrived(file, { status, response }) {
  if (status === 201) {
    Object.assign(file, { file: response.file, size: response.size });
    return show(file, "done", "");
  }
  fail(file, response?.error?.message ?? say("files_network"), status >= 500 || status === 429);
}

function fail(file, reason, again = false) {
  show(file, "refused", reason);
  file.element.querySelector(".again").hidden = !again;
}

function draw(file) {
  const element = document.createElement("li");
  const name = document.createElement("bdi");
  name.textContent = file.name;
  const fate = document.createElement("span");
  fate.className = "fate";
  fate.setAttribute("role", "status");
  const again = button("again", say("files_again"), () => upload(file));
  again.hidden = true;
  const remove = button("remove", "×", () => forget(file));
  remove.setAttribute("aria-label", say("files_remove", { name: file.name }));
  element.append(name, fate, again, remove);
  list.append(element);
  file.element = element;
}

function button(className, text, pressed) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = className;
  made.textContent = text;
  made.addEventListener("click", pressed);
  return made;
}

function show(file, state, text) {
  file.state = state;
  file.element.className = state;
  file.element.querySelector(".again").hidden = true;
  const fate = file.element.querySelector(".fate");
  if (fate.textContent !== text) fate.textContent = text;
}

function forget(file) {
  file.request?.abort();
  files = files.filter((one) => one !== file);
  file.element.remove();
  input.focus({ preventScroll: true });
}

function note(text) {
  const line = document.createElement("li");
  line.className = "refused";
  line.setAttribute("role", "alert");
  line.textContent = text;
  list.append(line);
  setTimeout(() => line.remove(), 6000);
}

document.getElementById("attach").addEventListener("click", () => input.click());
input.addEventListener("change", () => {
  add(input.files);
  input.value = "";
});
form.addEventListener("paste", (event) => {
  if (!event.clipboardData.files.length) return;
  event.preventDefault();
  add(event.clipboardData.files);
});
document.addEventListener("dragover", (event) => {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  form.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  form.classList.remove("dropping");
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  add(event.dataTransfer.files);
});
