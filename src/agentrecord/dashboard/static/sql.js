// The field for a query: Ctrl-Enter runs it, names of tables and columns complete themselves; the form works without it.
import { completions } from "./options.js";

const MOST = 12;
const COPIED = [
  "boxSizing", "width", "paddingTop", "paddingRight", "paddingBottom", "paddingLeft", "borderTopWidth",
  "borderRightWidth", "borderBottomWidth", "borderLeftWidth", "borderStyle", "fontFamily", "fontSize", "fontWeight",
  "lineHeight", "letterSpacing", "tabSize",
];
const field = document.getElementById("sql");
// What can be asked stands beside the field.
const tables = new Map([...document.querySelectorAll(".schema details")].map((table) => [
  table.querySelector("code").textContent,
  table.querySelector(".note").textContent.split(", "),
]));
const aliased = /\b(?:from|join|,)\s+(\w+)(?:\s+(?:as\s+)?(?!(?:on|where|join|left|inner|cross|group|order|limit|using|union)\b)(\w+))?/gi;
const { list, show, onKey } = completions(field, { id: "sql-option", take });
let typed = "";

field.placeholder += "   Ctrl-Space completes names";
const hint = document.createElement("kbd");
hint.textContent = "Ctrl Enter";
field.form.querySelector("button").append(" ", hint);

// The tables that the query names, by the names that it gives them.
function named(text) {
  const found = new Map();
  for (const [, table, alias] of text.matchAll(aliased)) {
    if (tables.has(table.toLowerCase())) found.set((alias ?? table).toLowerCase(), table.toLowerCase());
  }
  return found;
}

const startingWith = (names, start) => names.filter((name) => name.startsWith(start) && name !== start);

function offers(before, isAsked) {
  const [, owner, word] = /(?:(\w+)\.)?(\w*)$/.exec(before);
  typed = word;
  const start = word.toLowerCase(), used = named(field.value);
  if (owner !== undefined) {
    const columns = tables.get(used.get(owner.toLowerCase()) ?? owner.toLowerCase()) ?? [];
    return startingWith(columns, start).map((text) => ({ text, note: used.get(owner.toLowerCase()) ?? "" }));
  }
  if (!word && !isAsked) return [];
  const names = startingWith([...tables.keys()], start).map((text) => ({ text, note: "table" }));
  if (/\b(?:from|join)\s+\w*$/i.test(before)) return names;
  const columns = new Map();
  for (const table of new Set(used.values())) {
    for (const name of startingWith(tables.get(table), start)) columns.set(name, columns.has(name) ? "" : table);
  }
  return [...[...columns].map(([text, note]) => ({ text, note })), ...names];
}

// Whether what stands before the caret is a text in quotes or a comment, where no name belongs.
const isQuoted = (before) => /^(?:[^'"-]|'[^']*'|"[^"]*"|-(?!-)|--[^\n]*\n)*(?:'[^']*|--[^\n]*)$/.test(before);

function ask(isAsked = false) {
  const before = field.value.slice(0, field.selectionStart);
  const found = isQuoted(before) || field.selectionStart !== field.selectionEnd ? [] : offers(before, isAsked);
  show(found.slice(0, MOST));
  if (found.length) place(before);
}

// Lays the list below the caret, which a copy of the field's text tells the place of.
function place(before) {
  const copy = document.createElement("div"), mark = document.createElement("span"), look = getComputedStyle(field);
  for (const name of COPIED) copy.style[name] = look[name];
  Object.assign(copy.style, { position: "absolute", visibility: "hidden", whiteSpace: "pre-wrap", overflowWrap: "break-word" });
  copy.textContent = before.slice(0, before.length - typed.length);
  mark.textContent = "|";
  copy.append(mark);
  field.parentElement.append(copy);
  const { offsetTop, offsetLeft, offsetHeight } = mark;
  copy.remove();
  const room = field.parentElement.clientWidth - list.offsetWidth;
  list.style.left = `${Math.max(0, Math.min(offsetLeft, room))}px`;
  list.style.top = `${Math.min(offsetTop + offsetHeight - field.scrollTop, field.offsetHeight) + 2}px`;
}

function take({ text }) {
  const start = field.selectionStart - typed.length;
  field.setRangeText(text, start, field.selectionStart, "end");
  field.focus();
}

field.addEventListener("input", () => ask());
field.addEventListener("blur", () => show([]));
field.addEventListener("click", () => show([]));
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    field.form.requestSubmit();
  } else if (event.key === " " && event.ctrlKey) {
    event.preventDefault();
    ask(true);
  } else if (!onKey(event) && ["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) show([]);
});
