// A table that is filtered by text and by status and sorted by a column; the URL's fragment keeps these.

import { bar, el, show, table } from "./dom.js";

const STEP = 200; // rows that are added at a time, because many make the page slow

export const query = () => new URLSearchParams(location.hash.split("?")[1] || "");

function keep(changes) {
  const values = query();
  for (const [name, value] of Object.entries(changes)) value ? values.set(name, value) : values.delete(name);
  const text = values.toString();
  history.replaceState(null, "", (location.hash.split("?")[0] || "#/jobs") + (text && "?" + text));
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

const isMissing = (value) => value === null || value === undefined || value === "";

// columns(rows): [{title, number, value(row), cell(row)}]; the value is what a column is sorted by, and without a
// `cell` what it shows. The text of the filter is looked for in all values of a row that are text.
export function listView(columns, { empty, order = "" }) {
  let all = [], most = STEP;
  const filter = el("input", { type: "search", id: "search", placeholder: "Filter", "aria-label": "Filter by text" });
  const choice = el("select", { "aria-label": "Filter by status" });
  const count = el("span", { class: "soft", role: "status" });
  const place = el("div", {}, el("p", { class: "soft" }, "Loading…"));
  choice.hidden = true;
  filter.value = query().get("q") || "";

  function head(column, sorted) {
    const [title, descending] = [sorted.replace(/^-/, ""), sorted.startsWith("-")];
    const own = title === column.title;
    const next = own ? (descending ? "" : "-") + title : (column.number ? "-" : "") + column.title;
    return { ...column, order: own ? (descending ? "descending" : "ascending") : undefined,
      head: column.value ? el("button", { type: "button", class: "sort", id: `sort-${column.title}`, onclick() {
        keep({ sort: next });
        draw();
      } }, column.title, own ? (descending ? " ▼" : " ▲") : "") : column.title };
  }

  function draw() {
    const text = filter.value.trim().toLowerCase(), state = choice.value, sorted = query().get("sort") || order;
    const rows = all.filter((row) => (!state || row.status === state)
      && (!text || Object.values(row).some((value) => typeof value === "string" && value.toLowerCase().includes(text))));
    const shown = columns(all);
    const by = shown.find((column) => column.title === sorted.replace(/^-/, ""));
    if (by?.value) {
      const sign = sorted.startsWith("-") ? -1 : 1;
      rows.sort((a, b) => isMissing(by.value(a)) - isMissing(by.value(b)) || sign * compare(by.value(a), by.value(b)));
    }
    count.textContent = rows.length === all.length ? `${all.length}` : `${rows.length} of ${all.length}`;
    show(place, table(shown.map((column) => head(column, sorted)), rows.slice(0, most).map((row) => ({
      cells: shown.map((column) => (column.cell || column.value)(row)) })), all.length ? "None match the filter." : empty),
    rows.length > most ? el("button", { type: "button", id: "more", onclick() {
      most += STEP;
      draw();
    } }, `Show ${Math.min(STEP, rows.length - most)} more`) : "");
  }

  function offer() {
    const names = [...new Set(all.map((row) => row.status).filter(Boolean))].sort();
    const chosen = choice.value || query().get("status") || "";
    if (chosen && !names.includes(chosen)) names.push(chosen);
    if (choice.dataset.names !== names.join()) {
      choice.dataset.names = names.join();
      choice.replaceChildren(el("option", { value: "" }, "Any status"), ...names.map((name) => el("option", {}, name)));
      choice.value = chosen;
    }
    choice.hidden = !names.length;
  }

  filter.addEventListener("input", () => { keep({ q: filter.value.trim() }); draw(); });
  choice.addEventListener("change", () => { keep({ status: choice.value }); draw(); });
  return {
    view: el("div", {}, bar(filter, choice, count), place),
    update(rows) {
      all = rows;
      offer();
      draw();
    },
  };
}
