// Counts what came while the visitor looked elsewhere, in the title of the tab.

const title = document.title;
let count = 0;

export function came() {
  if (!document.hidden) return;
  count += 1;
  document.title = `(${count}) ${title}`;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  count = 0;
  document.title = title;
});
