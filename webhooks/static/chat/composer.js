// The field that messages are written in: Enter sends, Shift+Enter breaks the line, input methods are left alone.

import { ready, take } from "./files.js";
import { say } from "./texts.js";

const form = document.getElementById("composer");
const field = document.getElementById("text");
const count = document.getElementById("count");
const LONGEST = Number(document.body.dataset.longest);
const WARN = 200; // characters left at which the visitor is told

export function onSend(send) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value;
    if ([...text].length > LONGEST || !ready()) return field.focus();
    const files = take();
    if (!text.trim() && !files.length) return field.focus();
    write("");
    send(text.trim() ? text : "", files);
  });
}

/** keyCode 229: Safari ends the composition before the Enter that picked the word arrives. */
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  form.requestSubmit();
});

field.addEventListener("input", measure);

export function draft() {
  return field.value;
}

export function write(text) {
  field.value = text;
  measure();
  field.focus({ preventScroll: true });
}

function measure() {
  const left = LONGEST - [...field.value].length;
  count.textContent = left < 0 ? say("over", { count: -left }) : left < WARN ? say("left", { count: left }) : "";
  count.classList.toggle("over", left < 0);
  field.setAttribute("aria-invalid", String(left < 0));
  if (!CSS.supports("field-sizing", "content")) {
    field.rows = Math.min(5, field.value.split("\n").length);
  }
}
