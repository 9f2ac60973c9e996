// Elements are made from text alone: nothing that a job prints or is named becomes HTML.

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export function table(heads, rows, empty) {
  if (!rows.length) return el("p", { class: "soft" }, empty);
  const head = heads.map((one) =>
    el("th", { scope: "col", class: one.number ? "number" : undefined }, one.title));
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
  const answer = await fetch("/console/api/" + path.map(encodeURIComponent).join("/"));
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).message || `${answer.status}`);
  return answer.json();
}

// Replaces the content only where it is another, so that focus and selection stay.
export function show(place, ...content) {
  const fresh = el("div", {}, content);
  if (place.dataset.shown === fresh.innerHTML) return;
  place.dataset.shown = fresh.innerHTML;
  place.replaceChildren(...fresh.childNodes);
}
