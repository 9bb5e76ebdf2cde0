// A long waterfall: only the rows in sight are in the page, the rest are two gaps of the right height.
import { here } from "./here.js";

const MORE = 25, MOST_ROWS = 120;
const FOLDED = 2, AROUND = 3, MOST_FOLDED = 50;
const drawn = new WeakMap();
const SVG = "http://www.w3.org/2000/svg";

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function bar(kind, marks) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "span");
  svg.setAttribute("viewBox", "0 0 100 12");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const [start, width, failed] of marks) {
    const rect = document.createElementNS(SVG, "rect");
    const wide = Math.max(0.35, width);
    rect.setAttribute("class", failed ? "failed" : kind);
    rect.setAttribute("x", Math.min(start, 100 - wide));
    rect.setAttribute("width", wide);
    rect.setAttribute("y", 2);
    rect.setAttribute("height", 8);
    svg.append(rect);
  }
  return svg;
}

function linkTo(id, group) {
  const address = new URLSearchParams(location.search);
  address.delete("row");
  if (!group) {
    address.set("span", id);
    return `?${address}#detail`;
  }
  const [isOpen, , open] = group;
  if (isOpen) address.delete("span");
  if (open) address.set("open", open);
  else address.delete("open");
  return `?${address}#${id}`;
}

// The address names what is folded; "all" turns that round, but for the whole. What is chosen in a row keeps it open.
function foldLink(id, depth, state) {
  const address = new URLSearchParams(location.search);
  address.delete("row");
  if (state === AROUND) address.set("span", id);
  const named = (address.get("fold") ?? "").split(",").filter((one) => one && one !== id);
  const all = named.includes("all");
  let ids = named.filter((one) => one !== "all");
  if ((state === FOLDED) === (all && depth > 0)) ids = [...ids.slice(1 - MOST_FOLDED), id];
  if (all) ids.unshift("all");
  if (ids.length) address.set("fold", ids.join());
  else address.delete("fold");
  return `?${address}#at-${id}`;
}

function foldOf(id, depth, [state, count]) {
  const link = element("a", "fold", state === FOLDED ? "▸" : "▾");
  link.id = `fold-${id}`;
  link.href = foldLink(id, depth, state);
  link.setAttribute("aria-expanded", String(state !== FOLDED));
  link.setAttribute("aria-label", `${count.toLocaleString("en")} ${count === 1 ? "piece" : "pieces"} below`);
  return link;
}

function rowOf([id, kind, depth, name, note, time, tokens, cost, state, marks, group, below, detached], place, chosen) {
  const row = element("tr", state === 2 ? "failed" : state === 1 ? "going-on" : "");
  if (kind === "phase") row.classList.add("of-phase");
  if (group) {
    row.classList.add("group");
    row.id = id;
  }
  row.setAttribute("aria-rowindex", place + 2);
  if (id === chosen) { row.classList.add("selected"); row.setAttribute("aria-current", "true"); }
  const head = element("th", `d${depth}`);
  head.scope = "row";
  const fold = group ? (group[0] ? "▾ " : "▸ ") : "";
  const link = element("a", "", fold + (state === 2 ? "✕ " : state === 1 ? "◔ " : "") + name);
  link.href = linkTo(id, group);
  if (group) link.setAttribute("aria-expanded", String(Boolean(group[0])));
  head.append(element("span", "kind", kind), " ");
  if (below) {
    row.id = `at-${id}`;
    head.append(foldOf(id, depth, below));
  }
  head.append(link);
  if (detached) {
    const word = element("span", "warn", "detached");
    word.title = detached;
    head.append(" ", word);
  }
  if (below?.[0] === FOLDED) head.append(" ", element("span", "note", `${below[1].toLocaleString("en")} below`));
  if (note) head.append(" ", element("span", group?.[1] ? "note bad" : "note", note));
  row.append(head, ...[time, tokens, cost].map((text) => element("td", "n", text)));
  const where = element("td", "where");
  where.append(bar(kind, marks));
  row.append(where);
  return row;
}

function gap() {
  const row = element("tr", "gap");
  row.setAttribute("aria-hidden", "true");
  const cell = element("td");
  cell.colSpan = 5;
  row.append(cell);
  return row;
}

// The whole of the rows is read first, in pieces; until it is there, the page that the server made stays.
async function read(address, total) {
  const rows = [];
  do {
    const answer = await fetch(here(`${address}${address.includes("?") ? "&" : "?"}first=${rows.length + 1}`));
    if (!answer.ok) return null;
    const found = await answer.json();
    rows.push(...found.rows);
    total = found.total;
    if (!found.rows.length) break;
  } while (rows.length < total);
  return rows;
}

export async function attach(table) {
  const address = () => table.dataset.rows.replace(/\?$/, "");
  let rows = await read(address(), Number(table.dataset.total));
  if (!rows || !table.isConnected) return;
  const body = table.tBodies[0], first = gap(), last = gap();
  const height = body.rows[0].getBoundingClientRect().height || 27;
  const chosen = body.querySelector("tr.selected a") && new URLSearchParams(location.search).get("span");
  table.setAttribute("aria-rowcount", rows.length + 1);
  table.parentElement.querySelector(".pager")?.remove();
  let from = -1, to = -1;

  function draw(anchor) {
    if (!table.isConnected) { removeEventListener("scroll", onScroll); removeEventListener("resize", onScroll); return; }
    const top = body.getBoundingClientRect().top;
    let begin = Math.max(0, Math.floor(-top / height) - MORE);
    if (anchor !== undefined) begin = Math.max(0, anchor - MORE);
    const count = Math.min(MOST_ROWS, Math.ceil(innerHeight / height) + 2 * MORE);
    const end = Math.min(rows.length, begin + count);
    if (begin === from && end === to) return;
    const focus = document.activeElement, held = body.contains(focus) ? focus.closest("tr") : null;
    const places = held ? [focus.id, held.id].filter(Boolean).map((id) => `#${CSS.escape(id)}`) : [];
    const index = held?.getAttribute("aria-rowindex");
    if (index) places.push(`[aria-rowindex="${index}"]`);
    [from, to] = [begin, end];
    first.cells[0].style.height = `${begin * height}px`;
    last.cells[0].style.height = `${(rows.length - end) * height}px`;
    first.hidden = !begin;
    last.hidden = end === rows.length;
    body.replaceChildren(first, ...rows.slice(begin, end).map((row, place) => rowOf(row, begin + place, chosen)), last);
    const again = places.map((place) => body.querySelector(place)).find(Boolean);
    (again?.matches("tr") ? again.querySelector("a:not(.fold)") : again)?.focus({ preventScroll: true });
  }

  let waiting = false;
  function onScroll() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }
  addEventListener("scroll", onScroll, { passive: true });
  addEventListener("resize", onScroll);
  // A group, or what was folded, or shown again.
  const group = /^#(group|at)-/.test(location.hash) ? location.hash.slice(1) : null;
  const wanted = group || chosen ? rows.findIndex(([id]) => id === (group?.replace("at-", "") ?? chosen)) : -1;
  draw(wanted >= 0 ? wanted : undefined);
  // Beside the table the detail is always in sight, so that the chosen row can be too.
  if (wanted >= 0 && (group || matchMedia("(min-width: 901px)").matches)) {
    const row = group ? document.getElementById(group) : body.querySelector("tr.selected");
    row?.scrollIntoView({ block: "center", behavior: "instant" });
    draw();
  }
  table.dataset.drawn = rows.length;
  drawn.set(table, async () => {
    rows = (await read(address(), rows.length)) ?? rows;
    table.dataset.drawn = rows.length;
    table.setAttribute("aria-rowcount", rows.length + 1);
    from = -1;
    draw();
  });
}

// Reads a drawn table's rows anew; false where it is not drawn by this script.
export async function update(table) {
  const again = drawn.get(table);
  if (again) await again();
  return again !== undefined;
}
