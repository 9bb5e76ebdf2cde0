// Upgrades only: every page works without this file.
import { announce, start } from "./keys.js";
import { openPalette } from "./palette.js";

if (document.querySelector("main[data-live]")) import("./tail.js");
if (document.querySelector("main[data-live], [data-chart]")) import("./charts.js");

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const said = button.dataset.copy || button.closest(".command").querySelector("code").textContent;
    await navigator.clipboard.writeText(said);
    button.textContent = "Copied";
    announce("Copied");
  });
}

// Only the browser knows where it is.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
for (const link of document.querySelectorAll("[data-zone]")) {
  if (!zone || zone === "UTC") continue;
  const address = new URL(link.href);
  address.searchParams.set("tz", zone);
  link.href = address;
  link.hidden = false;
}

// A link to something folded opens it.
function unfold() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
}
addEventListener("hashchange", unfold);
unfold();

for (const link of document.querySelectorAll("[data-open]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById(link.dataset.open).showModal();
  });
}

// What lies over the page closes by Esc, or where something else is touched.
for (const type of ["pointerdown", "keydown"]) {
  addEventListener(type, (event) => {
    if (type === "keydown" && event.key !== "Escape") return;
    for (const pop of document.querySelectorAll("details.pop[open]")) {
      if (type === "pointerdown" && pop.contains(event.target)) continue;
      if (pop.contains(document.activeElement)) pop.querySelector("summary").focus();
      pop.open = false;
    }
  });
}

// On a narrow screen the names of the pages scroll sideways: the present one is in sight. Only their strip is scrolled,
// since scrolling to the link would move where Tab starts.
const present = document.querySelector('.top nav [aria-current="page"]');
if (present) {
  const strip = present.closest("nav");
  strip.scrollLeft += Math.max(0, present.getBoundingClientRect().right - strip.getBoundingClientRect().right);
}

start(openPalette);
