// A job's log, which grows while the job runs, with a search.

import { el, get } from "./dom.js";

export function logView(kind, name) {
  const lines = [];
  const search = el("input", { type: "search", placeholder: "Search, for example test_score", "aria-label": "Search the log",
    id: "search" });
  const follow = el("input", { type: "checkbox", checked: true, id: "follow" });
  const count = el("span", { class: "soft", role: "status" });
  const out = el("pre", { tabindex: "0", "aria-label": "Log" });
  let shown = null, drawn = 0;

  function row(line, query) {
    if (!query) return document.createTextNode(line + "\n");
    const parts = [];
    let at = 0, match = line.toLowerCase().indexOf(query);
    while (match >= 0) {
      parts.push(line.slice(at, match), el("mark", {}, line.slice(match, match + query.length)));
      at = match + query.length;
      match = line.toLowerCase().indexOf(query, at);
    }
    return el("span", {}, ...parts, line.slice(at) + "\n");
  }

  function draw() {
    const query = search.value.trim().toLowerCase();
    if (query !== shown) { out.replaceChildren(); drawn = 0; shown = query; }
    const fresh = lines.slice(drawn).filter((line) => !query || line.toLowerCase().includes(query));
    drawn = lines.length;
    out.append(...fresh.map((line) => row(line, query)));
    const hits = query ? lines.filter((line) => line.toLowerCase().includes(query)).length : lines.length;
    count.textContent = query ? `${hits} of ${lines.length} lines` : `${hits} lines`;
    if (follow.checked && fresh.length) out.scrollTop = out.scrollHeight;
  }

  search.addEventListener("input", draw);
  const view = el("section", { "aria-label": "Log" }, el("h2", {}, "Log"),
    el("div", { class: "bar" }, search, el("label", {}, follow, " follow"), count), out);
  return {
    view, search,
    async update() {
      const response = await get(kind, name, "log", String(lines.length));
      lines.push(...response.lines);
      draw();
    },
  };
}
