// Live progress: the page is fetched again, and the parts that are marked are replaced. Without a script the page is
// whole, and a reload shows the same.
"use strict";

const EVERY_MS = Number(document.body.dataset.live || 0);
const MOST_MS = 60000;
let wait = EVERY_MS;

async function refresh() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-refresh]")) {
        const next = page.getElementById(part.id);
        // What somebody stands on with the keyboard is not taken away.
        if (next && !part.contains(document.activeElement) && next.innerHTML !== part.innerHTML) {
          part.replaceChildren(...next.childNodes);
        }
      }
      wait = EVERY_MS;
      if (!page.body.dataset.live) return;
    } catch {
      wait = Math.min(2 * wait, MOST_MS);
    }
  }
  setTimeout(refresh, wait);
}

if (EVERY_MS) setTimeout(refresh, EVERY_MS);

document.addEventListener("keydown", (event) => {
  const field = document.querySelector("[data-search]");
  const typing = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
  if (event.key === "/" && field && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    field.focus();
    field.select();
  }
});
