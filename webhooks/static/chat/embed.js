// Puts the web chat on another site: <script src="https://…/chat/embed.js" data-language="zh" async></script>
// The site's origin has to be in TINGSU_WEBCHAT_ORIGINS. Styles are set by script, so that a strict policy there allows them.

(() => {
  const script = document.currentScript;
  const language = script.dataset.language === "en" ? "en" : "zh";
  const words = {
    zh: { open: "投诉与咨询", close: "收起", title: "投诉与咨询" },
    en: { open: "Complaints and help", close: "Close", title: "Complaints and help" },
  }[language];
  const address = new URL(`/chat?lang=${language}`, script.src);

  const button = document.createElement("button");
  button.type = "button";
  button.textContent = words.open;
  button.setAttribute("aria-expanded", "false");
  Object.assign(button.style, {
    position: "fixed", right: "16px", bottom: "16px", zIndex: 2147483000, minHeight: "48px", padding: "0 20px",
    font: "600 16px/1.2 system-ui, sans-serif", color: "#fff", background: "#0b6b5d", border: "0", borderRadius: "24px",
    boxShadow: "0 4px 16px #0004", cursor: "pointer",
  });

  let frame = null;
  function makeFrame() {
    const made = document.createElement("iframe");
    made.src = address;
    made.title = words.title;
    Object.assign(made.style, {
      position: "fixed", right: "16px", bottom: "76px", zIndex: 2147483000, width: "min(420px, calc(100vw - 32px))",
      height: "min(680px, calc(100vh - 100px))", border: "0", borderRadius: "16px", boxShadow: "0 8px 40px #0005", background: "#fff",
    });
    document.body.append(made);
    return made;
  }

  function show(open) {
    if (open) frame ??= makeFrame();
    if (frame) frame.hidden = !open;
    if (frame) frame.style.display = open ? "block" : "none";
    button.textContent = open ? words.close : words.open;
    button.setAttribute("aria-expanded", String(open));
    if (open) frame.focus();
  }

  button.addEventListener("click", () => show(button.getAttribute("aria-expanded") === "false"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && frame && !frame.hidden) show(false);
  });
  document.body.append(button);
})();
