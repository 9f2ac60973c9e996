// A job's log: search, and the tail as it comes.

import { el, get } from "./dom.js";

export function logView(kind, name) {
  const lines = [];
  const search = el("input", { type: "search", placeholder: "search, e.g. test_score", "aria-label": "Search the log",
    id: "search" });
  const follow = el("input", { type: "checkbox", checked: true, id: "follow" });
  const count = el("span", { class: "soft", role: "status" });
  const out = el("pre", { tabindex: "0", "aria-label": "Log" });
  let shown = null, drawn = 0;

  function row(line, wanted) {
    if (!wanted) return document.createTextNode(line + "\n");
    const parts = [];
    let at = 0, found = line.toLowerCase().indexOf(wanted);
    while (found >= 0) {
      parts.push(line.slice(at, found), el("mark", {}, line.slice(found, found + wanted.length)));
      at = found + wanted.length;
      found = line.toLowerCase().indexOf(wanted, at);
    }
    return el("span", {}, ...parts, line.slice(at) + "\n");
  }

  function draw() {
    const wanted = search.value.trim().toLowerCase();
    if (wanted !== shown) { out.replaceChildren(); drawn = 0; shown = wanted; }
    const fresh = lines.slice(drawn).filter((line) => !wanted || line.toLowerCase().includes(wanted));
    drawn = lines.length;
    out.append(...fresh.map((line) => row(line, wanted)));
    const hits = wanted ? lines.filter((line) => line.toLowerCase().includes(wanted)).length : lines.length;
    count.textContent = wanted ? `${hits} of ${lines.length} lines` : `${hits} lines`;
    if (follow.checked && fresh.length) out.scrollTop = out.scrollHeight;
  }

  search.addEventListener("input", draw);
  const view = el("section", { "aria-label": "Log" }, el("h2", {}, "Log"),
    el("div", { class: "bar" }, search, el("label", {}, follow, " follow"), count), out);
  return {
    view, search,
    async update() {
      const answer = await get(kind, name, "log", String(lines.length));
      lines.push(...answer.lines);
      draw();
    },
  };
}
