// Learning curves and scatter plots, drawn by uPlot.

import { el } from "./dom.js";

const COLOURS = ["#1f77b4", "#e07b00", "#2a9d4b", "#b3352b"];
const ink = () => getComputedStyle(document.body).color;

function axes(labels, values = undefined) {
  return labels.map((label, index) => ({
    label, stroke: ink, size: index ? 64 : 40, labelSize: 18, font: "12px system-ui",
    grid: { stroke: "#8883", width: 1 }, ticks: { stroke: "#8885" },
    values: index === 0 ? values : undefined,
  }));
}

function figure(title, options, data) {
  const place = el("div");
  const chart = el("figure", {}, el("figcaption", {}, title), place);
  requestAnimationFrame(() => {
    const width = Math.max(280, place.clientWidth);
    new uPlot({ width, height: 240, ...options }, data, place);
  });
  return chart;
}

// series: {name: [values]}, each against its own index.
export function curves(title, series) {
  const names = Object.keys(series);
  const length = Math.max(...names.map((name) => series[name].length));
  const column = (values) => Array.from({ length }, (_, index) => values[index] ?? null);
  return figure(title, {
    scales: { x: { time: false } },
    axes: axes(["values in the log", ""]),
    series: [{ label: "value" }, ...names.map((label, index) => ({
      label, stroke: COLOURS[index % COLOURS.length], width: 1.5, points: { show: length < 40 },
    }))],
  }, [Array.from({ length }, (_, index) => index), ...names.map((name) => column(series[name]))]);
}

// points: [[x, y]]; x is a number, or one of `categories`.
export function scatter(title, points, categories, log, label) {
  const sorted = [...points].sort((a, b) => a[0] - b[0]);
  const named = categories && ((_, ticks) => ticks.map((tick) => categories[tick] ?? ""));
  const low = Math.min(...sorted.map((point) => point[0])), high = Math.max(...sorted.map((point) => point[0]));
  const pad = (high - low || 1) * 0.05;
  const range = log ? undefined : [low - pad, high + pad];
  return figure(title, {
    scales: { x: { time: false, range, distr: log ? 3 : 1 } },
    axes: axes([title, ""], named), // the legend has the other label
    series: [{ label: title }, { label, paths: () => null, stroke: COLOURS[0], points: { show: true, size: 7 } }],
  }, [sorted.map((point) => point[0]), sorted.map((point) => point[1])]);
}
