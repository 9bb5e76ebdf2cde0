// Completes the words of a filter and the values that rows have; the form works without it.
import { here } from "./here.js";
import { completions } from "./options.js";

const input = document.querySelector("[data-words]");
const WAIT_MS = 120;

if (input) complete(input);
for (const link of document.querySelectorAll("[data-fixed]")) {
  if (!navigator.clipboard) continue;
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    await navigator.clipboard.writeText(link.href);
    link.textContent = "fixed link copied";
  });
}

function complete(field) {
  const words = JSON.parse(field.dataset.words);
  const { list, show, onKey } = completions(field, { id: "filter-option", take });
  let timer = 0, asked = 0;

  // The term in which the caret stands: its place, its word and what is typed of its last value.
  function term() {
    const before = field.value.slice(0, field.selectionStart);
    const text = /(?:[^\s"]|"(?:[^"\\]|\\.)*"?)*$/.exec(before)[0];
    const colon = text.indexOf(":");
    const minus = text.startsWith("-") ? 1 : 0;
    if (colon < 0) return { start: before.length - text.length + minus, word: null, typed: text.slice(minus) };
    const typed = text.slice(Math.max(colon, text.lastIndexOf(",")) + 1);
    return { start: before.length - typed.length, word: text.slice(minus, colon).toLowerCase(), typed };
  }

  async function offers({ word, typed }) {
    if (word === null) {
      const found = words.filter(({ name }) => name.startsWith(typed.toLowerCase()));
      return found.map(({ name, help, example }) => ({ text: `${name}:`, note: help, title: example }));
    }
    const known = words.find(({ name }) => name === word);
    if (!known || /^[<>=]/.test(typed)) return [];
    const prefix = typed.replace(/^"/, "");
    if (known.choices.length) {
      return known.choices.filter((choice) => choice.startsWith(prefix)).map((text) => ({ text: written(text), note: "" }));
    }
    if (!field.dataset.values) return typed ? [] : [{ text: "", note: known.help, title: `as in ${known.example}` }];
    const query = new URLSearchParams({ word, prefix, limit: "12" });
    const answer = await fetch(here(`${field.dataset.values}?${query}`));
    if (!answer.ok) return [];
    const { items } = await answer.json();
    const shown = items.map((value) => ({ text: written(value), note: "" }));
    return shown.length || typed ? shown : [{ text: "", note: known.help, title: `as in ${known.example}` }];
  }

  function written(value) {
    const isPlain = /^[^\s",<>=*][^\s",*]*$/.test(value) && !value.includes("..");
    return isPlain ? value : `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  }

  function take({ text }) {
    const { start } = term();
    const end = field.selectionStart;
    const after = text.endsWith(":") ? "" : " ";
    field.value = field.value.slice(0, start) + text + after + field.value.slice(end).trimStart();
    field.selectionStart = field.selectionEnd = start + text.length + after.length;
    if (!after) ask();
  }

  async function ask() {
    const turn = ++asked;
    const found = await offers(term());
    if (turn === asked && document.activeElement === field) show(found);
  }

  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, WAIT_MS); });
  field.addEventListener("focus", () => { if (!field.value) ask(); });
  field.addEventListener("blur", () => { asked++; show([]); });
  field.addEventListener("keydown", (event) => {
    if (onKey(event) || event.key !== "ArrowDown" || !list.hidden) return;
    ask();
    event.preventDefault();
  });
}
