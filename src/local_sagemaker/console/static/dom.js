// Creates elements from text only: neither the output nor the name of a job becomes HTML.

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function table(heads, rows, empty) {
  if (!rows.length) return el("p", { class: "soft" }, empty);
  const head = heads.map((column) =>
    el("th", { scope: "col", class: column.number ? "number" : undefined }, column.title));
  const body = rows.map((row) => el("tr", { class: row.best ? "best" : undefined },
    row.cells.map((cell, index) => el("td", { class: heads[index].number ? "number" : undefined }, cell ?? ""))));
  return el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body));
}

export const facts = (pairs) => el("table", {}, el("tbody", {}, Object.entries(pairs).map(([name, value]) =>
  el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value instanceof Node ? value : String(value ?? ""))))));

export const link = (path, text) => el("a", { href: "#/" + path.map(encodeURIComponent).join("/") }, text);
export const status = (text) => el("span", { class: "status-" + text }, text);
export const time = (seconds) => seconds ? new Date(seconds * 1000).toLocaleString() : "";
export const number = (value) => value === null || value === undefined ? "" : Number(value).toPrecision(5);

export function span(from, to) {
  if (!from) return "";
  const seconds = (to || Date.now() / 1000) - from;
  return seconds < 90 ? seconds.toFixed(1) + " s" : (seconds / 60).toFixed(1) + " min";
}

export async function get(...path) {
  const response = await fetch("/console/api/" + path.map(encodeURIComponent).join("/"));
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).message || `${response.status}`);
  return response.json();
}

// Replaces the content only if it has changed, to keep focus and selection.
export function show(place, ...content) {
  const fresh = el("div", {}, content);
  if (place.dataset.shown === fresh.innerHTML) return;
  place.dataset.shown = fresh.innerHTML;
  place.replaceChildren(...fresh.childNodes);
}
