// Copies what an address gives; without this script the link beside the button leads there.
import { here } from "./here.js";
import { announce } from "./keys.js";

for (const button of document.querySelectorAll("[data-copy-from]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const answer = await fetch(here(button.dataset.copyFrom));
    const done = answer.ok ? "Copied" : "Could not be copied";
    if (answer.ok) await navigator.clipboard.writeText(await answer.text());
    button.textContent = done;
    announce(done);
  });
}
