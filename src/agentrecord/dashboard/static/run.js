// Upgrades a run's page: long waterfalls scroll, and a run that is going on draws itself.
import { attach, update } from "/static/wf.js";

const EVERY_MS = 2000;

function upgrade() {
  const table = document.querySelector("table.fall[data-rows]:not([data-taken])");
  if (!table) return;
  table.dataset.taken = "";
  attach(table);
}

// What is folded out, and what has the focus, by words that the new page has too.
function placeOf(node) {
  if (!node || node === document.body) return null;
  if (node.id) return `#${CSS.escape(node.id)}`;
  const link = node.getAttribute("href");
  return link ? `${node.tagName.toLowerCase()}[href="${CSS.escape(link)}"]` : null;
}

function exchange(old, fresh) {
  const open = [...old.querySelectorAll("details")].map((one) => one.open);
  const places = [...old.querySelectorAll("pre, .scroll, .text")].map((one) => [one.scrollTop, one.scrollLeft]);
  const own = [old.scrollTop, old.scrollLeft];
  const focused = old.contains(document.activeElement) ? placeOf(document.activeElement) : null;
  old.replaceWith(fresh);
  [...fresh.querySelectorAll("details")].forEach((one, place) => { if (place in open) one.open = open[place]; });
  [...fresh.querySelectorAll("pre, .scroll, .text")].forEach((one, place) => {
    if (place in places) [one.scrollTop, one.scrollLeft] = places[place];
  });
  [fresh.scrollTop, fresh.scrollLeft] = own;
  if (focused) fresh.querySelector(focused)?.focus({ preventScroll: true });
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const [left, top] = [scrollX, scrollY];
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(old.id);
    const table = old.querySelector("table.fall[data-drawn]");
    if (table && await update(table)) {
      table.tHead.replaceWith(document.importNode(fresh.querySelector("table.fall").tHead, true));
    } else if (fresh && fresh.innerHTML !== old.dataset.shown) {
      const shown = fresh.innerHTML;
      exchange(old, document.importNode(fresh, true));
      document.getElementById(old.id).dataset.shown = shown;
    }
  }
  scrollTo({ left, top, behavior: "instant" });
  upgrade();
  return page.querySelector("[data-going]") !== null;
}

let asking = false, wanted = false, going = document.querySelector("[data-going]") !== null;

// One question at a time; a signal that comes meanwhile asks once more.
async function told() {
  if (asking) { wanted = true; return; }
  asking = true;
  try {
    going = await refresh();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // The server cannot be reached: the next round asks again.
  } finally {
    asking = false;
  }
  if (wanted) { wanted = false; await told(); }
}

function wait() {
  if (!going) return;
  setTimeout(async () => {
    if (!document.hidden) await told();
    wait();
  }, EVERY_MS);
}

upgrade();
wait();
document.addEventListener("agentrecord:change", told);
