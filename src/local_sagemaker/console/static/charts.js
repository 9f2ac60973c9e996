// Learning curves, histograms and scatter plots, drawn by uPlot.

import { el, number } from "./dom.js";

const COLOURS = ["#1f77b4", "#e07b00", "#2a9d4b", "#b3352b", "#8e5bbf", "#7a6652", "#c9529b", "#5c8a8a"];
const HEIGHT = 240; // pixels
const WHOLE = [1, 2, 5].flatMap((step) => Array.from({ length: 9 }, (_, power) => step * 10 ** power)).sort((a, b) => a - b);
const ink = () => getComputedStyle(document.body).color;
const ticks = (_, values) => values.map((value) => value === null ? "" : number(value));
const legend = (_, value) => value === null ? "—" : number(value);

function axes(x, y, more = {}) {
  return [{ label: x, size: 40, values: ticks, ...more }, { label: y, size: 64, values: ticks }].map((axis) => ({
    stroke: ink, labelSize: 18, font: "12px system-ui", labelFont: "12px system-ui",
    grid: { stroke: "#8883", width: 1 }, ticks: { stroke: "#8885" }, ...axis,
  }));
}

// Returns the element of a chart, and a function that replaces its data.
function figure(title, options, data) {
  const place = el("div");
  let plot = null;
  const size = () => ({ width: Math.max(240, place.clientWidth), height: HEIGHT });
  requestAnimationFrame(() => {
    plot = new uPlot({ ...size(), ...options }, data, place);
    new ResizeObserver(() => plot.setSize(size())).observe(place);
  });
  return {
    view: el("figure", { "aria-label": title }, el("figcaption", {}, title), place),
    set(fresh) {
      data = fresh;
      plot?.setData(fresh);
    },
  };
}

// Returns the x values of all lines, and each line's y values at them.
function aligned(lines) {
  const xs = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  return [xs, ...lines.map((line) => {
    const values = new Map(line.x.map((x, index) => [x, line.y[index]]));
    return xs.map((x) => values.get(x) ?? null);
  })];
}

// lines: [{label, x, y, colour, dashed}], in which the colour is a number.
export function curves(title, x, unit, lines) {
  const chart = figure(title, {
    scales: { x: { time: false } },
    axes: axes(x, unit, { incrs: WHOLE }),
    series: [{ label: x, value: legend }, ...lines.map((line) => ({
      label: line.label, stroke: COLOURS[line.colour % COLOURS.length], width: 1.5, spanGaps: true, value: legend,
      dash: line.dashed ? [6, 4] : undefined,
      points: { show: line.dashed ? line.x[0] === line.x.at(-1) : line.x.length < 40 },
    }))],
  }, aligned(lines));
  return { view: chart.view, set: (fresh) => chart.set(aligned(fresh)) };
}

// Bars over the bins between edges.
export function histogram(title, x, { counts, edges }) {
  const width = edges[1] - edges[0];
  return figure(title, {
    scales: { x: { time: false, range: [edges[0], edges.at(-1)] }, y: { range: (_, low, high) => [0, high * 1.05 || 1] } },
    axes: axes(x, "features"),
    series: [{ label: x, value: legend }, { label: "features", stroke: COLOURS[0], fill: COLOURS[0] + "88", value: legend,
      paths: uPlot.paths.bars({ size: [1, 100], gap: 1 }), points: { show: false } }],
  }, [counts.map((_, index) => edges[index] + width / 2), counts]).view;
}

// points: [[x, y]]; x is a number, or one of `categories`.
export function scatter(title, points, categories, log, label) {
  const sorted = [...points].sort((a, b) => a[0] - b[0]);
  const named = categories && { values: (_, values) => values.map((tick) => categories[tick] ?? "") };
  const low = Math.min(...sorted.map((point) => point[0])), high = Math.max(...sorted.map((point) => point[0]));
  const pad = (high - low || 1) * 0.05;
  const range = log ? undefined : [low - pad, high + pad];
  return figure(title, {
    scales: { x: { time: false, range, distr: log ? 3 : 1 } },
    axes: axes(title, "objective", named || {}),
    series: [{ label: title, value: legend }, { label, paths: () => null, stroke: COLOURS[0], value: legend,
      points: { show: true, size: 7 } }],
  }, [sorted.map((point) => point[0]), sorted.map((point) => point[1])]).view;
}
