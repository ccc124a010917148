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

// Keys: / to the search, j and k down and up a list, n and p to the next and the previous page.
const FOLLOWED = { n: "a[rel=next]", p: "a[rel=prev]" };

function move(step) {
  const items = [...document.querySelectorAll("main a.title, main summary")].filter((item) => item.offsetParent);
  const next = items.indexOf(document.activeElement) + step;
  items[next < 0 ? 0 : Math.min(next, items.length - 1)]?.focus();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = document.querySelector("[data-search]");
  if (event.key === "/" && field) {
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === "j" || event.key === "k") {
    move(event.key === "j" ? 1 : -1);
  } else if (event.key in FOLLOWED) {
    document.querySelector(FOLLOWED[event.key])?.click();
  }
});
