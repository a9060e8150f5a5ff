// The words that scripts say, rendered by the server in the page's language.

const texts = JSON.parse(document.body.dataset.texts);

export const language = document.body.dataset.language;
export const locale = language === "zh" ? "zh-CN" : "en-GB";

export function say(key, values = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
