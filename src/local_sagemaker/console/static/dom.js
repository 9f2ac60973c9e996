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

const scrolled = (table) => el("div", { class: "scroll" }, table);

// columns: [{title, number, sort}], where `sort` is the element of the head; rows: [{cells, class}].
export function table(columns, rows, empty) {
  if (!rows.length) return el("p", { class: "soft" }, empty);
  const kind = (column) => column.number ? "number" : undefined;
  const head = columns.map((column) =>
    el("th", { scope: "col", class: kind(column), "aria-sort": column.order }, column.head ?? column.title));
  const body = rows.map((row) => el("tr", { class: row.class },
    row.cells.map((cell, index) => el("td", { class: kind(columns[index]) }, cell ?? ""))));
  return scrolled(el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
}

// pairs: {name: text or node}; nothing if there are none.
export function facts(pairs, title) {
  const rows = Object.entries(pairs).filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!rows.length) return [];
  const body = rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name),
    el("td", {}, typeof value === "object" ? value : String(value))));
  return [...(title ? [el("h2", {}, title)] : []), scrolled(el("table", {}, el("tbody", {}, body)))];
}

export const path = (parts) => "#/" + parts.map(encodeURIComponent).join("/");
export const link = (parts, text) => el("a", { href: path(parts) }, text);
export const links = (page, names) => names.flatMap((name, index) => [index ? ", " : "", link([page, name], name)]);
export const status = (text) => el("span", { class: "status-" + text }, text);

// Returns five significant digits, and all digits of an integer.
export function number(value) {
  if (value === null || value === undefined) return "";
  return String(Number.isInteger(value) ? value : Math.abs(value) >= 1e4 ? Math.round(value) : Number(value.toPrecision(5)));
}

export const reason = (text) => text ? el("p", { class: "reason" }, text) : null;
export const bar = (...children) => el("div", { class: "bar" }, ...children);

// value: seconds since 1970, or a time as the API's answers have it.
export function time(value) {
  if (!value) return "";
  const at = new Date(typeof value === "number" ? value * 1000 : value);
  return el("time", { datetime: at.toISOString() }, at.toLocaleString());
}

export function span(from, to) {
  if (!from) return "";
  const seconds = (to || Date.now() / 1000) - from;
  return seconds < 90 ? seconds.toFixed(1) + " s" : (seconds / 60).toFixed(1) + " min";
}

const ARN_PAGES = { "training-job": "jobs", "processing-job": "processing", "transform-job": "transform",
  "hyper-parameter-tuning-job": "tuning", model: "models", endpoint: "endpoints", pipeline: "pipelines" };

// A link to the page of a resource, which an ARN names; the ARN itself if it has no page.
export function arnLink(arn) {
  const [, kind, name] = /^(?:[^:]*:){5}([^/]+)\/(.+)$/.exec(arn || "") || [];
  if (kind === "model-package") return link(["package", arn], name.replace("/", ", version "));
  return ARN_PAGES[kind] ? link([ARN_PAGES[kind], name], name) : arn || null;
}

// Returns the bucket and the parts of the key in an S3 URI; nothing for another text.
function s3Parts(uri) {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/?(.*)$/s.exec(uri) || [];
  return bucket ? [bucket, ...key.split("/")] : [];
}

// Returns the path from which an object is downloaded.
export const objectPath = (uri) => "/console/object/" + s3Parts(uri).map(encodeURIComponent).join("/");

// Returns a link to an object of S3, which downloads it, or to the folder of a prefix.
export function s3Link(uri) {
  const parts = s3Parts(uri);
  if (!parts.length) return document.createTextNode(uri ?? "");
  const isObject = /\.[A-Za-z0-9]+$/.test(parts.at(-1));
  return isObject ? el("a", { href: objectPath(uri), download: true }, uri) : link(["s3", ...parts], uri);
}

let pressed = false; // an element that is replaced under the pointer gets no click
addEventListener("pointerdown", () => { pressed = true; });
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { pressed = false; });
const key = (element) => element.id || element.getAttribute("href");

// Replaces the content only if it has changed, to keep the selection. The focus stays on its element.
export function show(place, ...content) {
  replace(place, el("div", {}, content.flat()));
}

function replace(place, fresh) {
  if (pressed) {
    addEventListener("pointerup", () => setTimeout(() => replace(place, fresh)), { once: true }); // after the click
    return;
  }
  if (place.dataset.shown === fresh.innerHTML) return;
  place.dataset.shown = fresh.innerHTML;
  const focused = place.contains(document.activeElement) ? key(document.activeElement) : null;
  place.replaceChildren(...fresh.childNodes);
  if (focused) [...place.querySelectorAll("[id], [href]")].find((each) => key(each) === focused)?.focus();
}
