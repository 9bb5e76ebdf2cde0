// Rows that are chosen with "x": how many, and what can be done with them. Nothing of it is needed to read a page.
import { here } from "./here.js";

const WORDS = { "/runs": "run", "/sessions": "session", "/agents": "agent", "/users": "user", "/errors": "group" };
const CHOSEN = 'main tr[aria-selected="true"]';
const quoted = (value) => `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
const nameOf = (row) => row.dataset.name || row.dataset.id;
let bar;

function element(tag, text, more) {
  return Object.assign(document.createElement(tag), { textContent: text, ...more });
}

// Two runs can be compared, wherever they are listed; rows of a list that its filter can name are shown alone, to export.
function links(rows) {
  const found = [], runs = rows.map((row) => row.querySelector('a[href^="/r/"]')?.pathname.slice(3));
  if (rows.length === 2 && runs.every(Boolean)) {
    const asked = new URLSearchParams({ a: decodeURIComponent(runs[1]), b: decodeURIComponent(runs[0]) });
    found.push(element("a", "Compare", { href: here(`/runs/compare?${asked}`) }));
  }
  const word = WORDS[location.pathname];
  if (word) {
    const q = `${word}:${rows.map((row) => quoted(nameOf(row))).join(",")}`;
    found.push(element("a", "Show only these", { href: here(`${location.pathname}?${new URLSearchParams({ q, since: "all" })}`) }));
  }
  return found;
}

function draw(announce) {
  const rows = [...document.querySelectorAll(CHOSEN)];
  const said = rows.length === 1 ? "1 row selected" : `${rows.length} rows selected`;
  announce(said);
  bar?.remove();
  if (!rows.length) return;
  bar = element("div", "", { id: "chosen" });
  bar.setAttribute("role", "region");
  bar.setAttribute("aria-label", "Selected rows");
  bar.append(element("span", said), ...links(rows));
  if (navigator.clipboard && rows.every(nameOf)) {
    bar.append(element("button", "Copy ids", { type: "button", onclick: async () => {
      await navigator.clipboard.writeText(rows.map(nameOf).join("\n"));
      announce(`${rows.length} ids copied`);
    } }));
  }
  bar.append(element("button", "Clear", { type: "button", onclick: () => clear(announce) }));
  document.body.append(bar);
}

export function choose(row, announce) {
  if (!row || row.nodeName !== "TR" || row.closest("table.fall")) return;
  row.setAttribute("aria-selected", String(row.getAttribute("aria-selected") !== "true"));
  draw(announce);
}

export function clear(announce) {
  const rows = document.querySelectorAll(CHOSEN);
  for (const row of rows) row.removeAttribute("aria-selected");
  if (rows.length) draw(announce);
}
