// A list of completions of a field: the arrow keys choose, Enter, Tab or a click takes, Escape closes.
export function completions(field, { id, take }) {
  const list = document.createElement("ul");
  Object.assign(list, { id, className: "options", hidden: true });
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Completions");
  field.after(list);
  const isInput = field.nodeName === "INPUT";
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-controls", id);
  // A field of several lines cannot be a combobox.
  if (isInput) field.setAttribute("role", "combobox");
  let options = [], at = -1;

  function show(found) {
    options = found;
    at = -1;
    list.replaceChildren(...found.map(({ text, note, title }, place) => {
      const item = document.createElement("li");
      item.id = `${id}-${place}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      const [left, right] = [document.createElement("span"), document.createElement("span")];
      left.textContent = text || title;
      right.textContent = note;
      right.className = "note";
      item.append(left, right);
      item.addEventListener("mousedown", (event) => { event.preventDefault(); choice(place); });
      return item;
    }));
    list.hidden = !found.length;
    if (isInput) field.setAttribute("aria-expanded", String(!list.hidden));
    field.removeAttribute("aria-activedescendant");
  }

  function choose(step) {
    list.children[at]?.setAttribute("aria-selected", "false");
    at = at < 0 && step < 0 ? options.length - 1 : (at + step + options.length) % options.length;
    list.children[at].setAttribute("aria-selected", "true");
    list.children[at].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", list.children[at].id);
  }

  function choice(place) {
    const option = options[place];
    show([]);
    if (option.text) take(option);
  }

  // Says whether a key was for the list.
  function onKey(event) {
    if (list.hidden) return false;
    if (event.key === "ArrowDown") choose(1);
    else if (event.key === "ArrowUp") choose(-1);
    else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) choice(at);
    else if (event.key === "Escape") { event.stopPropagation(); show([]); }
    else return false;
    event.preventDefault();
    return true;
  }

  show([]);
  return { list, show, onKey };
}
