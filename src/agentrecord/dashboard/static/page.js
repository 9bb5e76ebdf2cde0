// Upgrades only: every page works without this file.
const goals = { o: "/", h: "/chat", s: "/sessions", r: "/runs", c: "/cost", e: "/errors", p: "/prices" };
let waiting = false;

if (document.querySelector("[data-live][id]")) import("./tail.js");

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.closest(".command").querySelector("code").textContent);
    button.textContent = "Copied";
  });
}

// A link to something folded opens it.
function unfold() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
}
addEventListener("hashchange", unfold);
unfold();

function move(step) {
  const rows = [...document.querySelectorAll("table.rows tbody tr, table.fall tbody tr, .hits li")];
  if (!rows.length) return;
  const now = rows.findIndex((row) => row.classList.contains("at"));
  const next = rows[Math.max(0, Math.min(rows.length - 1, now + step))];
  if (now >= 0) rows[now].classList.remove("at");
  next.classList.add("at");
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a")?.focus({ preventScroll: true });
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (waiting) {
    waiting = false;
    if (goals[event.key]) location.assign(goals[event.key]);
    return;
  }
  if (event.key === "/") { event.preventDefault(); document.getElementById("find").focus(); }
  else if (event.key === "g") { waiting = true; setTimeout(() => { waiting = false; }, 1500); }
  else if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
});
