// Live pages. `l`, or the button, turns it on; the page works without this file.
//
// What a template gives: each part that shall follow the record is an element with an `id` and
//   data-live="run llm_call"    the kinds of change that concern it (message llm_call tool_call error run session)
// In a part with a <tbody>, each row is known by its data-id="…", or else by where its first link leads.
// The button goes into the element with data-live-control, or before the first part.
//
// What happens: a signal comes over server-sent events, with an id to go on from, and the page's own address, filter
// included, is asked for anew, at most twice a second; rows that differ are replaced, all others stay as they are, with
// their focus and selection. While the pointer is over a table, or the page is scrolled, signals are counted instead.
// Each signal is also a "live" event of the document, with `detail.items`.
const parts = [...document.querySelectorAll("[data-live][id]")];
const kinds = [...new Set(parts.flatMap((part) => part.dataset.live.split(/\s+/)))];
const LEAST_MS = 500;
const SAY_MS = 1000;
const TRIES = 8;
const name = `live ${location.pathname}`;
const shown = new WeakMap();
let source = null, place = "", tries = 0;
let timer = 0, nextAt = 0, busy = false, again = false;
let over = false, sayTimer = 0, saidAt = 0;
const unseen = new Set();

const sheet = document.createElement("link");
sheet.rel = "stylesheet";
sheet.href = new URL("live.css", import.meta.url).href;
document.head.append(sheet);
const box = document.createElement("div");
box.className = "tail";
const button = document.createElement("button");
button.type = "button";
button.title = "Follow the record (l)";
const fresh = document.createElement("button");
fresh.type = "button";
fresh.className = "fresh";
fresh.hidden = true;
const status = document.createElement("span");
status.className = "hidden";
status.setAttribute("role", "status");
box.append(button, fresh, status);

const isPaused = () => over || scrollY > 120;

function draw() {
  const state = !source ? "off" : source.readyState === 1 ? "on" : "connecting";
  button.setAttribute("aria-pressed", String(!!source));
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
  source = new EventSource(`/api/live?${asked}`);
  for (const event of ["ready", "changes", "missed"]) source.addEventListener(event, take);
  source.addEventListener("problem", () => { source?.close(); retry(); });
  source.addEventListener("open", draw);
  source.addEventListener("error", () => { if (source?.readyState === 2) retry(); draw(); });
  draw();
}

// The browser itself tries again after a cut; this is for an answer that was refused.
function retry() {
  if (++tries > TRIES) return stop();
  setTimeout(() => { if (source?.readyState === 2) open(); }, Math.min(30000, 500 * 2 ** tries));
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
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) return stop();
    if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    again = true;
  } finally {
    busy = false;
    // A page that takes long is asked for less often.
    nextAt = performance.now() + Math.max(LEAST_MS, 3 * (performance.now() - began));
    if (again && source) refresh();
    again = false;
  }
}

// -- what is shown ---------------------------------------------------------------------------------------------------

function replace(page) {
  let changed = false;
  for (const part of parts) {
    const next = page.getElementById(part.id);
    if (!next) continue;
    const body = part.querySelector("tbody"), nextBody = next.querySelector("tbody");
    if (!body || !nextBody) changed = whole(part, next) || changed;
    else {
      changed = rows(body, nextBody) || changed;
      for (const tag of ["caption", "tfoot"]) {
        const [old, other] = [part.querySelector(tag), next.querySelector(tag)];
        if (old && other) whole(old, other);
      }
    }
  }
  unseen.clear();
  draw();
  if (changed) say();
}

function whole(old, next) {
  const html = next.innerHTML;
  if ((shown.get(old) ?? old.innerHTML) === html || old.contains(document.activeElement)) return false;
  shown.set(old, html);
  old.replaceChildren(...next.childNodes);
  return true;
}

const keyOf = (row) => row.dataset.id ?? row.querySelector("a[href]")?.getAttribute("href") ?? row.cells[0]?.textContent;

function rows(body, nextBody) {
  const known = new Map();
  for (const row of [...body.rows]) known.has(keyOf(row)) ? row.remove() : known.set(keyOf(row), row);
  const focused = body.contains(document.activeElement) ? document.activeElement.closest("tr") : null;
  let at = body.rows[0] ?? null, changed = false;
  for (const next of [...nextBody.rows]) {
    let row = known.get(keyOf(next));
    known.delete(keyOf(next));
    if (!row) {
      row = next;
      shown.set(row, row.innerHTML);
      row.classList.add("fresh");
      changed = true;
    } else changed = update(row, next) || changed;
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

function update(row, next) {
  const html = next.innerHTML;
  if ((shown.get(row) ?? row.innerHTML) === html) return false;
  shown.set(row, html);
  const inside = [...row.querySelectorAll("a, button, input")];
  const focus = inside.indexOf(document.activeElement);
  const ticks = [...row.querySelectorAll("input")].map((input) => input.checked);
  row.replaceChildren(...next.childNodes);
  row.querySelectorAll("input").forEach((input, n) => { input.checked = ticks[n] ?? false; });
  row.querySelectorAll("a, button, input")[focus]?.focus({ preventScroll: true });
  return true;
}

// -- what people do --------------------------------------------------------------------------------------------------

function start() {
  sessionStorage.setItem(name, "on");
  tries = 0;
  if (!document.hidden) open();
}

function stop() {
  source?.close();
  source = null;
  place = "";
  unseen.clear();
  sessionStorage.removeItem(name);
  draw();
}

function look() {
  if (unseen.size && source && !isPaused()) refresh();
  draw();
}

if (parts.length) {
  const spot = document.querySelector("[data-live-control]");
  if (spot) spot.append(box);
  else parts[0].before(box);
  button.addEventListener("click", () => (source ? stop() : start()));
  fresh.addEventListener("click", () => {
    scrollTo({ top: 0, behavior: "instant" });
    over = false;
    refresh();
  });
  for (const part of parts.filter((one) => one.querySelector("tbody"))) {
    part.addEventListener("pointerenter", (event) => { over = event.pointerType === "mouse"; draw(); });
    part.addEventListener("pointerleave", () => { over = false; look(); });
  }
  addEventListener("scroll", look, { passive: true });
  addEventListener("keydown", (event) => {
    if (event.key !== "l" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.target.isContentEditable) return;
    source ? stop() : start();
  });
  // A browser has few connections to a server: tabs that nobody sees use none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source?.close();
    else if (source) open();
  });
  draw();
  if (sessionStorage.getItem(name)) start();
}
