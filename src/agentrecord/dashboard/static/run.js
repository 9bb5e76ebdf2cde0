// Upgrades a run's page: long waterfalls scroll, and a run that is going on draws itself.
import { here } from "./here.js";
import { rovingTables } from "./keys.js";
import { attach, update } from "./wf.js";

const EVERY_MS = 3000, LEAST_MS = 700;

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

// One after another, so that what was asked for last is what is shown. Null where the page cannot be had.
let before = Promise.resolve();
const refresh = () => (before = before.catch(() => {}).then(renew));

async function renew() {
  const answer = await fetch(here(location.href), { headers: { accept: "text/html" } });
  if (!answer.ok) return null;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const [left, top] = [scrollX, scrollY];
  for (const old of document.querySelectorAll("[data-part]")) {
    const fresh = page.getElementById(old.id);
    const table = old.querySelector("table.fall[data-drawn]");
    const now = fresh?.querySelector("table.fall");
    if (table && now?.dataset.rows) table.dataset.rows = now.dataset.rows;
    if (table && now?.dataset.rows && await update(table)) {
      table.tHead.replaceWith(document.importNode(now.tHead, true));
    } else if (fresh && fresh.innerHTML !== old.dataset.shown) {
      const shown = fresh.innerHTML;
      exchange(old, document.importNode(fresh, true));
      document.getElementById(old.id).dataset.shown = shown;
    }
  }
  scrollTo({ left, top, behavior: "instant" });
  upgrade();
  rovingTables();
  return page.querySelector("[data-going]") !== null;
}

const { going: run, session } = document.querySelector("[data-going]")?.dataset ?? {};
let going = run !== undefined, asking = false, wanted = false, source = null, last = 0;

// One question at a time, and at most one in LEAST_MS; a signal that comes meanwhile asks once more.
async function told() {
  if (asking) { wanted = true; return; }
  asking = true;
  await new Promise((done) => { setTimeout(done, Math.max(0, last + LEAST_MS - Date.now())); });
  last = Date.now();
  try {
    going = await refresh();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // The server cannot be reached: the next round asks again.
  } finally {
    asking = false;
  }
  if (!going) source?.close();
  if (wanted && going) { wanted = false; await told(); }
}

// Asking is what counts: signals only make it sooner, and what no signal tells of, such as time, is drawn too.
function wait() {
  if (!going) return;
  setTimeout(async () => {
    if (!document.hidden) await told();
    wait();
  }, EVERY_MS);
}

function follow() {
  source = new EventSource(here("/api/live?kinds=run&kinds=llm_call&kinds=tool_call"));
  source.addEventListener("changes", (event) => {
    const { items = [] } = JSON.parse(event.data);
    const concerns = (item) => item.id === run || item.run_uuid === run || (session && item.session_uuid === session);
    if (!document.hidden && items.some(concerns)) told();
  });
}

// Folding, and opening a group, change the rows alone: the page stays where it is, under the new address.
async function fold(link) {
  const row = link.closest("tr").id, name = document.activeElement === link && link.matches(".fold") ? ".fold" : "a:not(.fold)";
  history.replaceState(history.state, "", link.href);
  if (await refresh() === null) location.reload();
  document.getElementById(row)?.querySelector(name)?.focus({ preventScroll: true });
}

const FOLDS = "table.fall tbody a[aria-expanded]";
const depthOf = (row) => Number(/\bd(\d)\b/.exec(row.cells[0].className)?.[1] ?? 0);

// As in any tree: ← folds or goes to what a row is in, → shows what is below it or goes there.
function step(row, isIn) {
  const link = row.querySelector("a[aria-expanded]");
  if (link && (link.getAttribute("aria-expanded") === "true") !== isIn) return fold(link);
  let to = isIn ? row.nextElementSibling : row.previousElementSibling;
  while (!isIn && to && !to.matches(".gap") && depthOf(to) >= depthOf(row)) to = to.previousElementSibling;
  if (!to || to.matches(".gap") || (isIn && !link)) return;
  to.querySelector("a:not(.fold)").focus();
}

addEventListener("click", (event) => {
  const link = event.target.closest?.(FOLDS);
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  fold(link);
});

addEventListener("keydown", (event) => {
  const isIn = event.key === "ArrowRight", row = event.target.closest?.("table.fall tbody tr");
  if (!row || !(isIn || event.key === "ArrowLeft") || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  step(row, isIn);
});

// A card at the bar under the pointer, or of the row that has the focus: all of the name, which a row may cut off, and
// the figures that it has no room for on a phone. It stays while the pointer is on it; Esc takes it away.
const card = document.createElement("div");
card.className = "card-at";
card.id = "card-at";
card.setAttribute("role", "tooltip");
card.hidden = true;
document.querySelector("main")?.append(card);
let shown = null;

function hush() {
  card.hidden = true;
  shown?.removeAttribute("aria-describedby");
  shown = null;
}

function tell(row) {
  const link = row.querySelector("a:not(.fold)");
  if (!link || link === shown) return;
  hush();
  const [, time, tokens, cost] = [...row.cells].map((cell) => cell.textContent.trim());
  const kind = row.querySelector(".kind")?.textContent, beside = [...row.querySelectorAll("th .warn, th .note")];
  const name = document.createElement("strong"), said = document.createElement("span");
  name.textContent = link.textContent;
  said.textContent = [kind, time, tokens && `${tokens} tokens`, cost, ...beside.map((one) => one.textContent)].filter(Boolean).join(" · ");
  card.replaceChildren(name, said);
  card.hidden = false;
  shown = link;
  link.setAttribute("aria-describedby", card.id);
  place();
}

function place() {
  const where = shown.closest("tr").querySelector(".where"), cell = where.getBoundingClientRect();
  const bar = (where.querySelector("rect") ?? where).getBoundingClientRect();
  card.style.left = `${Math.max(8, Math.min(bar.left, innerWidth - card.offsetWidth - 8))}px`;
  card.style.top = `${cell.bottom + card.offsetHeight < innerHeight ? cell.bottom : cell.top - card.offsetHeight}px`;
}

addEventListener("pointerover", ({ target, pointerType }) => {
  const row = pointerType === "mouse" && target.closest?.("table.fall .where")?.closest("tbody tr");
  if (row) tell(row);
  else if (target !== card && !card.contains(target)) hush();
});
addEventListener("focusin", ({ target }) => {
  const row = target.matches?.(":focus-visible") && target.closest("table.fall tbody tr");
  if (row) tell(row);
  else hush();
});
addEventListener("scroll", () => {
  if (shown && shown === document.activeElement) place();
  else hush();
}, { passive: true, capture: true });
addEventListener("keydown", ({ key }) => { if (key === "Escape") hush(); });

upgrade();
wait();
if (going) follow();
