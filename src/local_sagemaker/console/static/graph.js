// The steps of a pipeline as a graph: each layer has the steps whose dependencies are in the layers before it.

import { path } from "./dom.js";

const [WIDTH, HEIGHT, ACROSS, DOWN, MARGIN] = [180, 54, 56, 22, 12]; // pixels
const NAME = 19, STATE = 24; // characters that fit

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Returns the number of each step's layer, by name.
function layersOf(steps) {
  const byName = new Map(steps.map((step) => [step.name, step])), layers = new Map();
  const layer = (name) => {
    if (!layers.has(name)) layers.set(name, 1 + Math.max(-1, ...byName.get(name).after.map(layer)));
    return layers.get(name);
  };
  steps.forEach((step) => layer(step.name));
  return layers;
}

// Returns the columns of the graph and its edges. An edge over several layers passes a point in each layer between,
// so that it has a place beside the steps there.
function arrange(steps) {
  const layers = layersOf(steps), edges = [];
  const columns = Array.from({ length: Math.max(...layers.values()) + 1 }, () => []);
  const places = new Map();
  for (const step of steps) {
    const place = { step, from: [] };
    places.set(step.name, place);
    columns[layers.get(step.name)].push(place);
  }
  for (const step of steps) {
    for (const name of step.after) {
      const points = [places.get(name)];
      for (let layer = layers.get(name) + 1; layer < layers.get(step.name); layer += 1) {
        const point = { from: [points.at(-1)] };
        columns[layer].push(point);
        points.push(point);
      }
      places.get(step.name).from.push(points.at(-1));
      points.push(places.get(step.name));
      edges.push({ points, label: step.branch?.[0] === name ? (step.branch[1] ? "True" : "False") : "" });
    }
  }
  return { columns, edges };
}

// Sets the position of each place: the steps of a column are in the order of what they depend on.
function position({ columns }) {
  const height = Math.max(...columns.map((column) => column.length)) * (HEIGHT + DOWN) - DOWN;
  columns.forEach((column, index) => {
    const wanted = (place) => place.from.length
      ? place.from.reduce((sum, from) => sum + from.y, 0) / place.from.length : 0;
    column.sort((a, b) => wanted(a) - wanted(b));
    const top = (height - column.length * (HEIGHT + DOWN) + DOWN) / 2;
    column.forEach((place, row) => {
      place.x = MARGIN + index * (WIDTH + ACROSS);
      place.y = MARGIN + top + row * (HEIGHT + DOWN) + HEIGHT / 2;
    });
  });
  return { width: 2 * MARGIN + columns.length * (WIDTH + ACROSS) - ACROSS, height: height + 2 * MARGIN };
}

function line({ points }) {
  const parts = points.slice(1).map((to, index) => {
    const from = points[index];
    const [x, end] = [from.x + WIDTH, to.x - (to.step ? 7 : 0)];
    const middle = (x + end) / 2;
    const across = from.step ? `M ${x} ${from.y}` : `L ${x} ${from.y}`; // beside the steps of the layer
    return `${across} C ${middle} ${from.y}, ${middle} ${to.y}, ${end} ${to.y}`;
  });
  return svg("path", { class: "edge", d: parts.join(" "), "marker-end": "url(#arrow)" });
}

const branch = ({ points, label }) => svg("text", { class: "branch", x: points[1].x - 12, y: points[1].y - 8 }, label);

const cut = (text, length) => text.length > length ? text.slice(0, length - 1) + "…" : text;

function node({ step, x, y }, text) {
  const content = svg("g", { class: `node status-${step.status || "None"}` },
    svg("title", {}, `${step.title}: ${step.type}${step.status ? `, ${step.status}` : ""}`),
    svg("rect", { x, y: y - HEIGHT / 2, width: WIDTH, height: HEIGHT, rx: 6 }),
    svg("text", { class: "name", x: x + 10, y: y - 5 }, cut(step.title, NAME)),
    svg("text", { class: "state", x: x + 10, y: y + 15 }, cut(text(step), STATE)));
  return step.page ? svg("a", { href: path(step.page) }, content) : content;
}

// steps: [{name, title, type, after, branch, status, page}]; text: returns the second line of a step.
export function graph(steps, text) {
  const arranged = arrange(steps), size = position(arranged);
  const arrow = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 1, refY: 4, markerWidth: 7, markerHeight: 7,
    orient: "auto" }, svg("path", { d: "M 0 0 L 8 4 L 0 8 z", class: "arrow" }));
  return svg("svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}`, role: "group", "aria-label": "Steps" },
    svg("defs", {}, arrow), ...arranged.edges.map(line),
    ...arranged.edges.filter(({ label }) => label).map(branch), // after all edges, so that none crosses a label
    ...arranged.columns.flat().filter((place) => place.step).map((place) => node(place, text)));
}
