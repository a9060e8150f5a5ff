/* What the console's pages do by themselves: merge fresh state without disturbing the person at work, keep
   drafts, count time, and answer to keys. Everything works without it, only less smoothly. */
"use strict";

(function () {
  const byId = (id) => document.getElementById(id);
  const served = new WeakMap(); // element -> its HTML as the server sent it

  // A length of time goes by itself and is no change.
  const html = (element) => element.outerHTML.replace(/(<time data-since[^>]*>)[^<]*/g, "$1");

  function remember(container) {
    for (const child of container.children) {
      if (child.hasAttribute("data-keyed")) remember(child);
      else served.set(child, html(child));
    }
  }

  function copyAttributes(from, to) {
    for (const { name, value } of from.attributes) {
      if (!name.startsWith("hx-") && to.getAttribute(name) !== value) to.setAttribute(name, value);
    }
  }

  // Makes `old` show what `fresh` says, touching only what differs; gives the elements that are new.
  function merge(old, fresh) {
    const known = new Map(Array.from(old.children, (child) => [child.id, child]));
    const added = [];
    let place = old.firstElementChild;
    for (const next of Array.from(fresh.children)) {
      let here = known.get(next.id);
      known.delete(next.id);
      if (here && here.hasAttribute("data-keyed") && next.hasAttribute("data-keyed")) {
        copyAttributes(next, here);
        added.push(...merge(here, next));
      } else if (!here || (!here.hasAttribute("data-keep") && served.get(here) !== html(next))) {
        if (next.hasAttribute("data-keyed")) remember(next);
        else served.set(next, html(next));
        old.insertBefore(next, place);
        if (here) {
          if (here === place) place = place.nextElementSibling;
          here.remove();
        }
        added.push(next);
        continue;
      }
      if (here === place) place = place.nextElementSibling;
      else old.insertBefore(here, place);
    }
    for (const gone of known.values()) gone.remove();
    return added;
  }

  const factOf = (root) => Number(root.querySelector("#version")?.dataset.fact || 0);

  htmx.defineExtension("keyed", {
    isInlineSwap: () => false,
    handleSwap(style, target, fragment) {
      if (style !== "keyed") return false;
      const fresh = fragment.querySelector("#version") ? fragment : fragment.firstElementChild;
      if (factOf(fresh) < factOf(target) && !fresh.querySelector("[data-banner]")) return []; // overtaken on the way
      const banner = fresh.querySelector("[data-banner]");
      if (!banner && byId("banner")) fresh.querySelector("#banner")?.replaceWith(byId("banner").cloneNode(true));
      const focused = document.activeElement?.id;
      const log = byId("transcript");
      const atEnd = log && log.scrollHeight - log.scrollTop - log.clientHeight < 80;
      const before = log?.lastElementChild?.id;
      const added = merge(target, fresh);
      if (focused && document.activeElement?.id !== focused) byId(focused)?.focus({ preventScroll: true });
      if (log && log.lastElementChild?.id !== before) atEnd ? toEnd() : (byId("newer").hidden = false);
      restoreDrafts();
      showTitle();
      return added;
    },
  });

  // ---- the end of the transcript

  function toEnd() {
    const log = byId("transcript");
    if (!log) return;
    log.scrollTop = log.scrollHeight;
    byId("newer").hidden = true;
  }

  // ---- drafts: kept in this tab until they are sent

  const drafts = () => document.querySelectorAll("textarea[data-draft]");
  const storage = (box) => `draft-${box.dataset.draft}`;

  function restoreDrafts() {
    for (const box of drafts()) {
      const kept = sessionStorage.getItem(storage(box));
      if (kept && !box.value) box.value = kept;
    }
    countLeft();
  }

  function keepDraft(box) {
    if (box.value) sessionStorage.setItem(storage(box), box.value);
    else sessionStorage.removeItem(storage(box));
  }

  function countLeft() {
    const box = byId("text");
    if (!box) return;
    const left = Number(box.dataset.most) - Array.from(box.value).length;
    byId("left").textContent = left < 500 ? box.dataset.left.replace("{n}", left) : "";
    byId("left").classList.toggle("late", left < 0);
  }

  // ---- time goes by

  function span(seconds) {
    const minutes = Math.max(0, Math.floor(seconds / 60));
    const text = document.body.dataset;
    if (minutes < 1) return text.now;
    if (minutes < 60) return text.minutes.replace("{n}", minutes);
    if (minutes < 1440) return text.hours.replace("{n}", Math.floor(minutes / 60)).replace("{m}", minutes % 60);
    return text.days.replace("{n}", Math.floor(minutes / 1440));
  }

  function tick() {
    for (const time of document.querySelectorAll("time[data-since]")) {
      const text = span((Date.now() - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  const title = document.title;
  function showTitle() {
    const waiting = Number(byId("counts")?.dataset.waiting || 0);
    document.title = waiting ? `(${waiting}) ${title}` : title;
  }

  // ---- trouble is said, and what was typed stays

  function toast(text) {
    const box = byId("toast");
    box.textContent = text;
    box.hidden = !text;
  }

  const on = (name, act) => document.body.addEventListener(name, act);

  on("htmx:beforeSwap", (event) => {
    const answer = event.detail.xhr;
    if (answer.getResponseHeader("X-Tingsu-Fragment")) event.detail.shouldSwap = true; // a refusal shows the fresh state
    if (event.detail.shouldSwap) toast("");
  });
  on("htmx:responseError", (event) => {
    const answer = event.detail.xhr;
    if (event.detail.requestConfig.verb === "get" || answer.getResponseHeader("X-Tingsu-Fragment")) return;
    toast(document.body.dataset.failed);
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    on(name, (event) => event.detail.requestConfig.verb !== "get" && toast(document.body.dataset.unreachable));
  }
  on("htmx:sseError", () => (byId("offline").hidden = false));
  on("htmx:sseOpen", () => (byId("offline").hidden = true));
  on("htmx:afterSettle", showTitle);
  on("tingsu:sent", (event) => {
    const box = byId("text");
    byId("reply").elements.client_id.value = event.detail.client;
    box.value = "";
    keepDraft(box);
    countLeft();
    toEnd();
  });
  on("htmx:afterRequest", (event) => {
    const note = event.detail.elt.querySelector?.("textarea[name=note]");
    if (note && event.detail.successful) {
      note.value = "";
      keepDraft(note);
    }
  });

  // ---- keys

  const typing = (element) => element.closest("input, textarea, select, [contenteditable]");
  const rows = () => Array.from(document.querySelectorAll(".row .cover"));

  function step(by) {
    const links = rows();
    const row = document.activeElement?.closest(".row");
    const now = row ? links.indexOf(row.querySelector(".cover")) : -1;
    links[Math.min(links.length - 1, Math.max(0, now + by))]?.focus();
  }

  function claim() {
    const row = document.activeElement?.closest(".row");
    const button = row ? row.querySelector("[data-key=c]") : byId("act-claim") || document.querySelector("#waiting-list [data-key=c]");
    button?.click();
  }

  const KEYS = {
    c: claim,
    r: () => byId("text")?.focus(),
    j: () => step(1),
    k: () => step(-1),
    g: () => document.querySelector(".back")?.click(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.target.id === "text" && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (byId("mode").dataset.mine === "yes") byId("reply").requestSubmit();
      return;
    }
    const plain = !(event.ctrlKey || event.metaKey || event.altKey || event.isComposing);
    const act = KEYS[event.key];
    if (act && plain && !typing(event.target)) {
      event.preventDefault();
      act();
    }
  });

  document.addEventListener("input", (event) => {
    if (event.target.matches("textarea[data-draft]")) keepDraft(event.target);
    if (event.target.id === "text") countLeft();
  });
  byId("newer")?.addEventListener("click", toEnd);
  byId("transcript")?.addEventListener("scroll", (event) => {
    const log = event.target;
    if (log.scrollHeight - log.scrollTop - log.clientHeight < 80) byId("newer").hidden = true;
  });

  const live = byId("live");
  if (live) remember(live);
  restoreDrafts();
  toEnd();
  showTitle();
  setInterval(tick, 10000);
})();
