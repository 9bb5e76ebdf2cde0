// Live pages. `l`, or the button, turns it on; the page works without this file.
//
// What a page gives: <main data-live="run llm_call">, the kinds of change that it shows (message llm_call tool_call error
// run session; `LIVE` in dashboard/views.py says it for each template). Rows of a <tbody> are known by their
// data-id="…", or else by where their first link leads; all else by its place.
//
// What happens: a signal comes over server-sent events, with an id to go on from, and the page's own address, filter
// included, is asked for anew, at most twice a second; what differs is replaced, all else stays as it is, with focus and
// selection. While the pointer is over a table, or its first row is scrolled away, signals are counted instead. Each signal is also
// a "live" event of the document, with `detail.items`.
import { here } from "./here.js";
import { rovingTables } from "./keys.js";

const main = document.querySelector("main[data-live]");
const kinds = main.dataset.live.split(/\s+/);
const LEAST_MS = 500;
const SAY_MS = 1000;
const TRIES = 6;
const name = `live ${location.pathname}`;
let wanted = false, source = null, place = "", tries = 0;
let timer = 0, nextAt = 0, busy = false, again = false;
let over = false, sayTimer = 0, saidAt = 0;
const unseen = new Set();

const sheet = document.createElement("link");
sheet.rel = "stylesheet";
sheet.href = new URL("live.css", import.meta.url).href;
document.head.append(sheet);
const box = document.createElement("section");
box.className = "tail";
box.setAttribute("aria-label", "Live");
const button = document.createElement("button");
button.type = "button";
button.title = "Follow the record (l)";
button.dataset.key = "l";
const fresh = document.createElement("button");
fresh.type = "button";
fresh.className = "fresh";
fresh.hidden = true;
const status = document.createElement("span");
status.className = "hidden";
status.setAttribute("role", "status");
box.append(button, fresh, status);

const list = () => main.querySelector("table.rows > tbody");
const isPaused = () => over || list()?.getBoundingClientRect().top < 0;

function draw() {
  const state = !wanted ? "off" : source?.readyState === 1 ? "on" : "connecting";
  button.setAttribute("aria-pressed", String(wanted));
  button.textContent = state === "on" ? (isPaused() ? "⏸ Live, paused" : "◉ Live") : state === "off" ? "○ Live" : "◔ Live";
  fresh.hidden = !unseen.size;
  if (unseen.size) fresh.textContent = `${unseen.size} new ▲`;
}

// Said at most once a second.
function say() {
  if (sayTimer) return;
  sayTimer = setTimeout(() => {
    sayTimer = 0;
    saidAt = performance.now();
    status.textContent = unseen.size ? `${unseen.size} new` : "Updated";
  }, Math.max(0, saidAt + SAY_MS - performance.now()));
}

// -- what comes ------------------------------------------------------------------------------------------------------

function open() {
  const asked = new URLSearchParams(kinds.map((kind) => ["kinds", kind]));
  if (place) asked.set("cursor", place);
  source = new EventSource(here(`/api/live?${asked}`));
  for (const event of ["ready", "changes", "missed"]) source.addEventListener(event, take);
  source.addEventListener("problem", () => { source?.close(); retry(); });
  source.addEventListener("open", draw);
  source.addEventListener("error", () => { if (source?.readyState === 2) retry(); draw(); });
  draw();
}

// The browser itself tries again after a cut; this is for an answer that was refused, as where too many follow: the
// page is asked for anew then, less and less often.
function retry() {
  tries = Math.min(tries + 1, TRIES);
  refresh();
  setTimeout(() => { if (wanted && !document.hidden && source?.readyState === 2) open(); }, Math.min(30000, 500 * 2 ** tries));
}

function take(event) {
  place = event.lastEventId;
  tries = 0;
  const items = JSON.parse(event.data).items ?? [];
  if (items.length) document.dispatchEvent(new CustomEvent("live", { detail: { items } }));
  // What came between the page and the first signal is in no event.
  if (event.type !== "changes") return refresh();
  if (isPaused()) {
    for (const item of items) unseen.add(item.id);
    draw();
    say();
  } else refresh();
}

function refresh() {
  if (busy) again = true;
  else if (!timer) timer = setTimeout(reload, Math.max(0, nextAt - performance.now()));
}

async function reload() {
  timer = 0;
  busy = true;
  const began = performance.now();
  let worked = 0;
  try {
    const answer = await fetch(here(location.href), { headers: { Accept: "text/html" } });
    if (answer.redirected) return stop();
    if (answer.ok) {
      const text = await answer.text(), at = performance.now();
      replace(new DOMParser().parseFromString(text, "text/html"));
      worked = performance.now() - at;
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    again = true;
  } finally {
    busy = false;
    // A page that takes the server or this thread long is asked for less often.
    nextAt = performance.now() + Math.max(LEAST_MS, 3 * (performance.now() - began), 20 * worked);
    if (again && wanted) refresh();
    again = false;
  }
}

// -- what is shown ---------------------------------------------------------------------------------------------------

function replace(page) {
  const next = page.getElementById("main");
  if (!next) return;
  const changed = morph(main, next);
  if (changed) rovingTables(main);
  unseen.clear();
  draw();
  if (changed) say();
}

const OWN = new Set(["tabindex", "open", "hidden", "data-live", "aria-selected"]);
const isTyped = (node) => /^(INPUT|SELECT|TEXTAREA|DIALOG)$/.test(node.nodeName);
const keyOf = (row) => row.dataset.id ?? row.querySelector("a[href]")?.getAttribute("href") ?? row.cells[0]?.textContent;

// Makes `old` what `next` is, touching no more than differs; says whether anything did.
function morph(old, next) {
  if (old.isEqualNode(next)) return false;
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) { old.replaceWith(next); return true; }
  if (old.nodeType !== 1) { old.data = next.data; return true; }
  // What somebody fills in is theirs; drawings are not worth looking into.
  if (isTyped(old)) return false;
  if (old.nodeName === "svg") { old.replaceWith(next); return true; }
  let changed = attributes(old, next);
  changed = (old.nodeName === "TBODY" ? rows(old, next) : children(old, next)) || changed;
  return changed;
}

function attributes(old, next) {
  let changed = false;
  for (const { name: key, value } of [...next.attributes]) {
    const wanted = key === "class" && old.classList.contains("at") ? `${value} at` : value;
    if (!OWN.has(key) && old.getAttribute(key) !== wanted) { old.setAttribute(key, wanted); changed = true; }
  }
  for (const { name: key } of [...old.attributes]) {
    if (!OWN.has(key) && key !== "class" && !next.hasAttribute(key)) { old.removeAttribute(key); changed = true; }
  }
  return changed;
}

function children(old, next) {
  const [mine, theirs] = [[...old.childNodes], [...next.childNodes]];
  let changed = mine.length !== theirs.length;
  theirs.forEach((node, n) => {
    if (n < mine.length) changed = morph(mine[n], node) || changed;
    else old.append(node);
  });
  for (const gone of mine.slice(theirs.length)) gone.remove();
  return changed;
}

function rows(body, nextBody) {
  const known = new Map();
  for (const row of [...body.rows]) known.has(keyOf(row)) ? row.remove() : known.set(keyOf(row), row);
  const focused = body.contains(document.activeElement) ? document.activeElement.closest("tr") : null;
  let at = body.rows[0] ?? null, changed = false;
  for (const next of [...nextBody.rows]) {
    const row = known.get(keyOf(next)) ?? next;
    known.delete(keyOf(next));
    row.classList.remove("fresh");
    if (!row.className) row.removeAttribute("class");
    if (row === next) {
      row.classList.add("fresh");
      changed = true;
    } else changed = morph(row, next) || changed;
    if (row === at) at = row.nextElementSibling;
    else body.insertBefore(row, at);
  }
  for (const gone of known.values()) {
    if (gone === focused) (gone.nextElementSibling ?? body.rows[0])?.querySelector("a, button")?.focus({ preventScroll: true });
    gone.remove();
    changed = true;
  }
  return changed;
}

// -- what people do --------------------------------------------------------------------------------------------------

function start() {
  wanted = true;
  sessionStorage.setItem(name, "on");
  tries = 0;
  if (!document.hidden) open();
}

function stop() {
  wanted = false;
  source?.close();
  source = null;
  place = "";
  unseen.clear();
  sessionStorage.removeItem(name);
  draw();
}

function look() {
  if (unseen.size && wanted && !isPaused()) refresh();
  draw();
}

main.before(box);
button.addEventListener("click", () => (wanted ? stop() : start()));
fresh.addEventListener("click", () => {
  if (isPaused()) list()?.closest("table").scrollIntoView({ block: "start", behavior: "instant" });
  over = false;
  refresh();
});
main.addEventListener("pointerover", (event) => {
  const is = event.pointerType === "mouse" && !!event.target.closest("tbody");
  if (is === over) return;
  over = is;
  look();
});
main.addEventListener("pointerleave", () => { over = false; look(); });
addEventListener("scroll", look, { passive: true });
// A browser has few connections to a server: tabs that nobody sees use none.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source?.close();
  else if (wanted) open();
});
draw();
// A page on which nothing is yet fills by itself.
if (sessionStorage.getItem(name) || document.querySelector("[data-follow]")) start();
