// Keys, and one tab stop per table. A page may name what a key does with `data-key`: `<a data-key="]" …>` is clicked by
// "]". Single keys do nothing while one types, while a dialog is open, or when they are switched off (`data-keys`).
import { choose, clear } from "./chosen.js";
import { here } from "./here.js";

const goals = {
  o: "/", h: "/chat", s: "/sessions", r: "/runs", c: "/cost", a: "/agents", u: "/users", e: "/errors", p: "/prices",
};
const ROWS = "table.rows > tbody > tr, table.fall > tbody > tr, ol.hits > li";
const STOPS = "a[href], button, input, select, textarea, summary, [tabindex]";
let waiting = false;

export function announce(text) {
  const place = document.getElementById("announce");
  if (place) place.textContent = text;
}

const stops = (row) => [...row.querySelectorAll(STOPS)];
const holder = (row) => row.closest("table, ol");
const rowsOf = (table) => [...table.querySelectorAll(ROWS)].filter((row) => holder(row) === table);

// Of a table's rows only one can be reached with Tab; the arrow keys, j and k go on from it.
function rove(row) {
  for (const other of rowsOf(holder(row))) {
    for (const stop of stops(other)) {
      if (other === row) stop.removeAttribute("tabindex");
      else stop.tabIndex = -1;
    }
  }
}

// Rows may come and go: whoever replaces a table's rows calls this for the new ones.
export function rovingTables(root = document) {
  for (const table of new Set([...root.querySelectorAll(ROWS)].map(holder))) {
    const rows = rowsOf(table);
    rove(rows.find((row) => row.getAttribute("aria-current") || row.classList.contains("at")) || rows[0]);
  }
}

const current = () => document.activeElement?.closest(ROWS) || document.querySelector(".at");

function goTo(row) {
  document.querySelector(".at")?.classList.remove("at");
  row.classList.add("at");
  rove(row);
  row.scrollIntoView({ block: "nearest" });
  const found = stops(row);
  (found.find((stop) => !stop.classList.contains("fold")) || found[0])?.focus({ preventScroll: true });
}

function move(step) {
  const rows = [...document.querySelectorAll(ROWS)];
  if (!rows.length) return;
  const now = rows.indexOf(current());
  goTo(rows[Math.max(0, Math.min(rows.length - 1, now + step))]);
}

function nextError() {
  const found = [...document.querySelectorAll("main tr.failed, main .use.failed, main tbody tr:has(.bad), main li:has(.bad)")];
  if (!found.length) return announce("No error here");
  const now = found.findIndex((node) => node.contains(document.activeElement));
  const next = found[(now + 1) % found.length];
  for (let node = next; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  next.scrollIntoView({ block: "center" });
  (next.querySelector("a, summary") || next).focus({ preventScroll: true });
}

async function copy(text, said) {
  if (!navigator.clipboard || !text) return;
  await navigator.clipboard.writeText(text);
  announce(said);
}

const actions = {
  j: () => move(1),
  k: () => move(-1),
  e: nextError,
  x: () => choose(current(), announce),
  Escape: () => clear(announce),
  f: () => (document.querySelector("[data-filter]") || document.querySelector("main form.filters :is(input, select)"))?.focus(),
  y: () => copy(document.querySelector("a[data-fixed]")?.href || here(location.href), "Address copied"),
  ".": () => copy(current()?.dataset.name || current()?.dataset.id || document.querySelector("main code.id")?.textContent, "Id copied"),
  "?": () => document.getElementById("keys-sheet")?.showModal(),
};

function onArrow(event) {
  const row = event.target.closest?.(ROWS);
  if (!row || !["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
  const rows = rowsOf(holder(row));
  const places = { ArrowDown: rows.indexOf(row) + 1, ArrowUp: rows.indexOf(row) - 1, Home: 0, End: rows.length - 1 };
  const next = rows[places[event.key]];
  if (!next) return;
  event.preventDefault();
  goTo(next);
}

export function start(openPalette) {
  rovingTables();
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.(ROWS);
    if (row) rove(row);
  });
  addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
      event.preventDefault();
      openPalette();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    onArrow(event);
    if (document.documentElement.dataset.keys === "off") return;
    if (waiting) {
      waiting = false;
      if (goals[event.key]) location.assign(here(goals[event.key]));
      return;
    }
    const named = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (named) named.click();
    else if (event.key === "/") { event.preventDefault(); openPalette(); }
    else if (event.key === "g") { waiting = true; setTimeout(() => { waiting = false; }, 1500); }
    else if (actions[event.key]) {
      event.preventDefault(); // What gets the focus is not typed into.
      actions[event.key]();
    }
  });
}
