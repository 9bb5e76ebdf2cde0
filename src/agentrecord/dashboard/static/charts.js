// Charts: a bar tells its numbers where the pointer, a finger or the keys are, and what is dragged over becomes the range
// of the page. Without this file the numbers are in the table below each chart, and ranges in the links above it.
import { here } from "./here.js";
import { announce } from "./keys.js";

const FAR_PX = 5, HOLD_MS = 350, GAP_PX = 14, NARROW_PX = 640;
const KEYS = "← → other bars · Shift with them chooses several · Enter shows what is chosen · Esc leaves";
const known = new WeakMap();
let tip, band, chosen = null, drag = null, isDragged = false, tapped = null;

function element(tag, className, text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

const plotOf = (event) => event.target.closest?.(".plot[data-chart]") ?? null;
const plotIn = (strip) => (strip.matches?.(".scroll") ? strip.querySelector(":scope > .plot[data-chart]") : null);
const drawingOf = (plot) => plot.querySelector("svg.bars");

// What each bar says, by its name. The browser's own tips would lie over ours, so their texts leave the drawing; a page
// that follows the record may have a new drawing at any moment.
function read(plot) {
  const drawing = drawingOf(plot);
  const found = known.get(drawing);
  if (found?.text === plot.dataset.chart) return found;
  const { left, right, bars, spans } = JSON.parse(plot.dataset.chart);
  const parts = new Map(bars.map(([label]) => [label, []]));
  for (const title of drawing.querySelectorAll(":scope rect > title, :scope circle > title")) {
    const [label, ...rest] = title.textContent.split(" · ");
    parts.get(label)?.push({ shape: title.parentElement, said: rest.join(" · ") });
    title.remove();
  }
  const made = {
    text: plot.dataset.chart, left, right, isTimed: Boolean(spans),
    bars: bars.map(([label, total, from = label, to = label]) => ({ label, total, from, to, parts: parts.get(label) })),
  };
  known.set(drawing, made);
  return made;
}

function barAt(plot, x, isClamped = false) {
  const { left, right, bars } = read(plot), box = drawingOf(plot).getBoundingClientRect();
  const at = Math.floor((((x - box.left) / box.width) - left) / (right - left) * bars.length);
  if (isClamped) return Math.max(0, Math.min(bars.length - 1, at));
  return at >= 0 && at < bars.length ? at : null;
}

// -- what is shown ---------------------------------------------------------------------------------------------------

function markOf(plot, part, name) {
  for (const item of plot.closest("figure")?.querySelectorAll(".legend li") ?? []) {
    if (item.textContent.trim() === name) return item.querySelector("svg")?.cloneNode(true);
  }
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  mark.setAttribute("viewBox", "0 0 10 10");
  mark.setAttribute("class", "dot");
  const square = mark.appendChild(document.createElementNS(mark.namespaceURI, "rect"));
  for (const [key, value] of Object.entries({ class: part.shape.getAttribute("class"), width: 10, height: 10, rx: 2 })) {
    square.setAttribute(key, value);
  }
  return mark;
}

function rowOf(plot, part) {
  const at = part.said.lastIndexOf(": ");
  const [name, value] = [part.said.slice(0, at), part.said.slice(at + 2)];
  const row = element("div", "tip-row"), mark = markOf(plot, part, name);
  if (mark) row.append(mark);
  row.append(element("span", "what", name), element("span", "n", value));
  return row;
}

const spanOf = (bars, first, last) => {
  const [from, to] = [bars[first].from, bars[last].to].map((text) => text.replace("T", " ").replace(/(:\d\d):00$/, "$1"));
  return from === to ? from : `${from} – ${to}`;
};

// Shows the bars from one to another: their numbers if it is one, else the stretch of time that they are.
function show(plot, first, last, { x, hint }) {
  const { bars, left, right } = read(plot), [low, high] = first < last ? [first, last] : [last, first];
  tip ??= Object.assign(element("div", "tip"), { role: "tooltip" });
  band ??= element("div", "band");
  const bar = bars[low], isOne = low === high;
  const head = element("div", "tip-head");
  head.append(element("strong", "", isOne ? bar.label : spanOf(bars, low, high)));
  if (isOne) head.append(element("span", "n", bar.parts.length ? bar.total : "–"));
  tip.replaceChildren(head);
  // The highest part of a bar is told first.
  if (isOne) tip.append(...[...bar.parts].reverse().map((part) => rowOf(plot, part)));
  if (hint) tip.append(element("div", "note", hint));
  (plot.closest("figure") ?? plot.parentElement).append(tip);
  const step = (right - left) / bars.length, drawing = drawingOf(plot), box = drawing.getBoundingClientRect();
  band.classList.toggle("several", Boolean(drag?.isOn) || !isOne);
  Object.assign(band.style, {
    left: `${100 * (left + step * low)}%`, width: `${100 * step * (high - low + 1)}%`,
  });
  plot.append(band);
  place(x ?? box.left + box.width * (left + step * (last + 0.5)), box);
}

function place(x, box) {
  const { offsetWidth: width, offsetHeight: height } = tip;
  const view = document.documentElement;
  const isRight = x + GAP_PX + width < view.clientWidth - 4;
  const left = isRight ? x + GAP_PX : x - GAP_PX - width;
  // On a narrow screen it would cover the bars beside it.
  const above = box.top - height - 6;
  const top = view.clientWidth < NARROW_PX && above > 0 ? above : Math.min(box.top + 8, view.clientHeight - height - 4);
  Object.assign(tip.style, { left: `${Math.max(4, left)}px`, top: `${Math.max(4, top)}px` });
}

function hide() {
  tip?.remove();
  band?.remove();
  chosen = drag = tapped = null;
}

// -- what is chosen --------------------------------------------------------------------------------------------------

function go(plot, first, last) {
  const { bars } = read(plot), address = new URL(location.href);
  for (const gone of ["since", "after"]) address.searchParams.delete(gone);
  address.searchParams.set("from", bars[Math.min(first, last)].from);
  address.searchParams.set("to", bars[Math.max(first, last)].to);
  address.hash = "";
  hide();
  location.assign(here(address.href));
}

function onDown(event) {
  const plot = plotOf(event), at = plot && barAt(plot, event.clientX);
  isDragged = false;
  if (at === null || event.button !== 0) { if (!plot) hide(); return; }
  const isFinger = event.pointerType === "touch";
  drag = { plot, first: at, last: at, x: event.clientX, id: event.pointerId, isFinger, isHeld: !isFinger, isOn: false };
  if (!isFinger) return;
  // A finger that moves at once scrolls; one that is held first chooses.
  const mine = drag;
  setTimeout(() => {
    if (drag !== mine) return;
    mine.isHeld = true;
    show(plot, at, at, { x: mine.x });
  }, HOLD_MS);
}

function onMove(event) {
  if (drag && event.pointerId === drag.id) {
    const isFar = Math.abs(event.clientX - drag.x) > FAR_PX;
    if (isFar && !drag.isHeld) { drag = null; return; }
    if (!isFar && !drag.isOn) return;
    if (!read(drag.plot).isTimed) return;
    if (!drag.isOn) drag.plot.setPointerCapture(drag.id);
    drag.isOn = isDragged = true;
    drag.last = barAt(drag.plot, event.clientX, true);
    show(drag.plot, drag.first, drag.last, { x: event.clientX, hint: drag.isFinger ? "Let go to show it" : "Let go to show it · Esc leaves" });
    return;
  }
  if (event.pointerType === "touch") return;
  const plot = plotOf(event), at = plot && barAt(plot, event.clientX);
  if (at === null) { if (tip?.isConnected && !chosen) hide(); return; }
  chosen = null;
  show(plot, at, at, { x: event.clientX });
}

function onUp(event) {
  if (!drag || event.pointerId !== drag.id) return;
  const { plot, first, last, isOn, isFinger, isHeld } = drag;
  drag = null;
  if (isOn) go(plot, first, last);
  // The click that follows a finger that only wanted the numbers leads nowhere.
  else if (isFinger && isHeld) { isDragged = true; tapped = { plot, at: first }; }
}

function onClick(event) {
  const plot = plotOf(event);
  if (isDragged) {
    isDragged = false;
    event.preventDefault();
    event.stopPropagation();
  } else if (plot && event.pointerType === "touch") {
    const at = barAt(plot, event.clientX);
    if (at === null || (tapped?.plot === plot && tapped.at === at)) return;
    event.preventDefault();
    event.stopPropagation();
    const leads = read(plot).bars[at].parts.some(({ shape }) => shape.closest("a"));
    show(plot, at, at, { x: event.clientX, hint: leads ? "Tap again to open it" : "" });
    tapped = { plot, at };
  }
}

function choose(plot, at, isMore) {
  const { bars } = read(plot), to = Math.max(0, Math.min(bars.length - 1, at));
  const first = isMore && chosen ? chosen.first : to;
  chosen = { plot, first, last: to };
  const box = drawingOf(plot).getBoundingClientRect(), strip = plot.parentElement;
  const { left, right } = read(plot), view = strip.getBoundingClientRect();
  const x = box.left + box.width * (left + (right - left) * (to + 0.5) / bars.length);
  if (x < view.left + box.width * left || x > view.right) strip.scrollLeft += x - (view.left + view.right) / 2;
  show(plot, first, to, { hint: KEYS });
  const [low, high] = [Math.min(first, to), Math.max(first, to)], bar = bars[to];
  announce(low === high ? `${bar.label}: ${[bar.total, ...bar.parts.map(({ said }) => said)].filter(Boolean).join(", ") || "nothing"}` : spanOf(bars, low, high));
}

function onKey(event) {
  if (event.key === "Escape" && (drag?.isOn || tip?.isConnected)) {
    isDragged = Boolean(drag?.isOn);
    hide();
    event.stopPropagation();
    return;
  }
  const plot = plotIn(event.target);
  if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
  const { bars, isTimed } = read(plot), now = chosen?.plot === plot ? chosen.last : bars.length;
  const places = { ArrowLeft: now - 1, ArrowRight: now === bars.length ? now - 1 : now + 1, Home: 0, End: bars.length - 1 };
  if (event.key in places) choose(plot, places[event.key], event.shiftKey && isTimed);
  else if (event.key === "Enter" && chosen?.plot === plot) {
    const link = chosen.first === chosen.last && bars[chosen.last].parts.map(({ shape }) => shape.closest("a")).find(Boolean);
    if (link) link.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
    else if (isTimed) go(plot, chosen.first, chosen.last);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

document.addEventListener("pointerdown", onDown);
document.addEventListener("pointermove", onMove);
document.addEventListener("pointerup", onUp);
document.addEventListener("pointercancel", () => { if (drag) hide(); });
document.addEventListener("click", onClick, true);
document.addEventListener("keydown", onKey);
// Who comes by keys meets the latest bar.
document.addEventListener("focusin", (event) => {
  const plot = plotIn(event.target);
  if (plot && event.target.matches(":focus-visible")) choose(plot, read(plot).bars.length - 1, false);
});
document.addEventListener("focusout", () => { if (chosen) hide(); });
document.addEventListener("scroll", () => { if (tip?.isConnected && !chosen && !drag?.isOn) hide(); }, { capture: true, passive: true });
document.addEventListener("dragstart", (event) => { if (plotOf(event)) event.preventDefault(); });
document.addEventListener("contextmenu", (event) => { if (drag?.isFinger && drag.isHeld) event.preventDefault(); });
// What began as choosing must not become scrolling.
document.addEventListener("touchmove", (event) => { if (drag?.isHeld && event.cancelable) event.preventDefault(); }, { passive: false });
