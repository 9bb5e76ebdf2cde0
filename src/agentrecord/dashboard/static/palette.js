// The palette: a combobox over GET /api/find. Without this file the form leads to the page /search, which shows the same.
import { here } from "./here.js";

const dialog = document.getElementById("palette");
const input = document.getElementById("palette-input");
const list = document.getElementById("palette-list");
const note = document.getElementById("palette-note");
const hint = note ? [...note.childNodes] : [];
const WAIT_MS = 120;
const titles = {
  session: "Sessions", run: "Runs", call: "LLM calls", trace: "Traces", user: "Users", agent: "Agents",
  model: "Models", tool: "Tools", error: "Errors", page: "Pages", message: "Messages",
};
let timer;
let asked = "";
let answer = Promise.resolve();

export function openPalette() {
  if (!dialog || dialog.open) return;
  for (const other of document.querySelectorAll("dialog[open]")) other.close();
  dialog.showModal();
  input.select();
  input.focus();
  if (!input.value) show([]);
}

function choose(option) {
  list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
  if (!option) return input.removeAttribute("aria-activedescendant");
  option.setAttribute("aria-selected", "true");
  option.scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", option.id);
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function show(items) {
  list.replaceChildren();
  let group;
  items.forEach((item, place) => {
    if (group?.dataset.kind !== item.kind) {
      group = element("div");
      group.dataset.kind = item.kind;
      group.setAttribute("role", "group");
      const title = element("span", "title", titles[item.kind] || item.kind);
      title.id = `palette-kind-${place}`;
      group.setAttribute("aria-labelledby", title.id);
      group.append(title);
      list.append(group);
    }
    const option = element("div", "option");
    option.id = `palette-${place}`;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    option.dataset.path = item.path;
    option.append(element("span", "name", item.name));
    if (item.detail && item.kind !== "page") option.append(element("span", "note", item.detail));
    option.addEventListener("click", () => location.assign(here(item.path)));
    group.append(option);
  });
  input.setAttribute("aria-expanded", String(items.length > 0));
  choose(list.querySelector("[role=option]"));
  if (asked && !items.length) note.textContent = "No name or title holds this, and no message.";
  else note.replaceChildren(...hint);
}

async function look() {
  const text = input.value.trim();
  if (text === asked) return;
  asked = text;
  if (!text) return show([]);
  const found = await fetch(here(`/api/find?${new URLSearchParams({ q: text })}`), { headers: { accept: "application/json" } });
  if (asked !== text) return;
  if (found.ok) show((await found.json()).items);
  else { show([]); note.textContent = "The search failed; Enter tries the search page."; }
}

function ask(wait) {
  clearTimeout(timer);
  answer = new Promise((resolve) => { timer = setTimeout(() => resolve(look()), wait); });
}

input?.addEventListener("input", () => ask(WAIT_MS));
input?.addEventListener("keydown", async (event) => {
  const options = [...list.querySelectorAll("[role=option]")];
  const now = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  const places = { ArrowDown: now + 1, ArrowUp: now - 1 };
  if (event.key in places && options.length) {
    event.preventDefault();
    choose(options[(places[event.key] + options.length) % options.length]);
  } else if (event.key === "Escape") {
    // By itself the first one only empties the field.
    event.preventDefault();
    dialog.close();
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (!input.value.trim()) return;
    if (input.value.trim() !== asked) ask(0);
    await answer;
    const chosen = list.querySelector("[aria-selected=true]");
    location.assign(here(chosen ? chosen.dataset.path : `/search?${new URLSearchParams({ q: input.value.trim() })}`));
  }
});
// A click beside the palette closes it.
dialog?.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
