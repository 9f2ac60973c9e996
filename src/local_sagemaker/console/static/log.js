// A job's log, which grows while the job runs, with a search.

import { request, url } from "./api.js";
import { el } from "./dom.js";

const MOST = 2000; // lines that are drawn, because more make the page slow

export function logView(kind, name) {
  const lines = [];
  const search = el("input", { type: "search", placeholder: "Search, for example test_score", "aria-label": "Search the log",
    id: "search" });
  const follow = el("input", { type: "checkbox", checked: true, id: "follow" });
  const count = el("span", { class: "soft", role: "status" });
  const out = el("pre", { tabindex: "0", "aria-label": "Log" });
  let offsets = {}, shown = null, drawn = 0, hits = 0;

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
    if (query !== shown) { out.replaceChildren(); drawn = hits = 0; shown = query; }
    const fresh = lines.slice(drawn).filter((line) => !query || line.toLowerCase().includes(query));
    drawn = lines.length;
    hits += fresh.length;
    out.append(...fresh.slice(-MOST).map((line) => row(line, query)));
    while (out.childNodes.length > MOST) out.firstChild.remove();
    count.textContent = (query ? `${hits} of ${lines.length} lines` : `${hits} lines`)
      + (hits > MOST ? `, of which the last ${MOST} are shown` : "");
    if (follow.checked && fresh.length) out.scrollTop = out.scrollHeight;
  }

  search.addEventListener("input", draw);
  const view = el("section", { "aria-label": "Log" }, el("h2", {}, "Log"),
    el("div", { class: "bar" }, search, el("label", {}, follow, " follow"), count), out);
  return {
    view, search,
    async update() {
      const response = await request(`${url(kind, name, "log")}?${new URLSearchParams(offsets)}`);
      offsets = response.offsets;
      for (const line of response.lines) lines.push(line);
      draw();
    },
  };
}
