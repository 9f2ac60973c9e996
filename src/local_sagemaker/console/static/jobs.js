// Training, processing and batch transform jobs, which have the same pages.

import { stopOrDelete } from "./actions.js";
import { get } from "./api.js";
import { curves } from "./charts.js";
import { bar, el, facts, link, number, objectPath, path, reason, s3Link, show, span, status, time } from "./dom.js";
import { logView } from "./log.js";
import { listView } from "./table.js";

const TITLES = { jobs: "TrainingJob", processing: "ProcessingJob", transform: "TransformJob" };
const LONGEST = 120; // characters of a reason in the list
// The y axis of a chart, by the metric's name in the log of the built-in.
const UNITS = {
  binary_classification_accuracy: "fraction of rows", binary_classification_cross_entropy: "nats per row",
  "binary_f_1.000": "F1 score", rmse: "units of the label", mse: "squared units of the label",
  absolute_loss: "units of the label",
};
const progress = (value) => value === null ? "" :
  el("progress", { max: "100", value: String(value), title: `${value.toFixed(0)} %` }, `${value.toFixed(0)} %`);
const seconds = (job) => job.started ? (job.ended || Date.now() / 1000) - job.started : null;
const shortened = (text) => text.length > LONGEST ? text.slice(0, LONGEST) + "…" : text;

const state = (job) => [status(job.status),
  job.secondary && job.secondary !== job.status ? [` ${job.secondary} `, progress(job.progress)] : [],
  job.reason ? el("div", { class: "reason small", title: job.reason }, shortened(job.reason)) : []].flat();

// The scores in the order of the built-in's columns, those that a job has.
function columns(kind, rows, choose) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.scores)))].sort();
  return [
    ...(choose ? [{ title: "", cell: choose }] : []),
    { title: "Name", value: (row) => row.name, cell: (row) => link([kind, row.name], row.name) },
    { title: "Status", value: (row) => row.status, cell: state },
    ...names.map((title) => ({ title, number: true, value: (row) => row.scores[title],
      cell: (row) => number(row.scores[title]) })),
    { title: "Created", value: (row) => row.created, cell: (row) => time(row.created) },
    { title: "Duration", number: true, value: seconds, cell: (row) => span(row.started, row.ended) },
  ];
}

export async function jobs(main, kind, title) {
  const chosen = new Set();
  const compare = el("p", { class: "soft" });
  function choose(row) {
    const box = el("input", { type: "checkbox", id: `choose-${row.name}`, "aria-label": `Compare ${row.name}`,
      checked: chosen.has(row.name), onchange() {
        box.checked ? chosen.add(row.name) : chosen.delete(row.name);
        offer();
      } });
    return box;
  }
  function offer() {
    compare.replaceChildren(chosen.size < 2 ? "Choose two or more jobs to compare them."
      : el("a", { href: path(["compare", ...chosen]) }, `Compare ${chosen.size} jobs`));
  }
  const list = listView((rows) => columns(kind, rows, kind === "jobs" ? choose : null),
    { empty: "No jobs.", order: "-Created" });
  main.append(el("h1", {}, title), kind === "jobs" ? compare : "", list.view);
  offer();
  return async () => list.update(await get(kind));
}

// Returns the lines of a metric's chart; the label of a line begins with a prefix.
export function lines(chart, { prefix = "", colour = 0, isFirst = true } = {}) {
  const channels = Object.entries(chart.series);
  const all = channels.map(([channel, [x, y]], index) => ({
    label: prefix + channel, x, y, colour: isFirst ? index : colour, dashed: !isFirst && index > 0 }));
  if (chart.final !== null && chart.final !== undefined) {
    const xs = channels[0][1][0];
    all.push({ label: `${prefix}test, after training`, x: [xs[0], xs.at(-1)], y: [chart.final, chart.final],
      colour: isFirst ? 1 : colour, dashed: true });
  }
  return all;
}

// Shows charts: [{metric, x, lines}]; a chart with the same lines as before only gets new data.
export function chartsView() {
  const view = el("div", { class: "charts" });
  let shape = "", charts = [], drawn = "";
  return { view, update(wanted) {
    if (JSON.stringify(wanted) === drawn) return;
    drawn = JSON.stringify(wanted);
    const fresh = JSON.stringify(wanted.map((chart) => [chart.metric, chart.x, chart.lines.map((line) => line.label)]));
    if (fresh === shape) {
      charts.forEach((chart, index) => chart.set(wanted[index].lines));
      return;
    }
    shape = fresh;
    charts = wanted.map((chart) => curves(chart.metric, chart.x, UNITS[chart.metric] || "", chart.lines));
    view.replaceChildren(...charts.map((chart) => chart.view));
  } };
}

const numbers = (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, number(value)]));
const places = (values) => Object.fromEntries(Object.entries(values).map(([name, uri]) => [name, s3Link(uri)]));

export async function job(main, kind, name) {
  const head = el("div"), about = el("div"), charts = chartsView();
  const log = logView(kind, name);
  main.append(el("h1", {}, name), head, charts.view, log.view, about);
  let hasEnded = false; // then nothing changes any more
  return async () => {
    if (hasEnded) return;
    const state = await get(kind, name);
    const running = !state.ended;
    show(head, el("p", {}, status(state.status), state.secondary && state.secondary !== state.status
      ? ` · ${state.secondary}` : "", ` · ${span(state.started, state.ended)} `, running ? progress(state.progress) : ""),
    reason(state.reason), bar(
      stopOrDelete(TITLES[kind], name, { running, page: `#/${kind}`, canDelete: kind !== "transform",
        detail: "Its log and its trial component are deleted too. What it wrote to S3 stays." }),
      kind === "jobs" && state.outputs.model?.endsWith(".tar.gz") ? el("a", { href: objectPath(state.outputs.model), download: true }, "Download model.tar.gz") : null));
    charts.update(Object.entries(state.curves).map(([metric, chart]) => ({ metric, x: chart.x, lines: lines(chart) })));
    show(about, el("div", { class: "columns" },
      el("section", {}, facts(state.settings, "Settings")),
      el("section", {}, facts(numbers(state.metrics), "Final metrics"), facts(places(state.inputs), "Inputs"),
        facts(places(state.outputs), "Outputs"))));
    await log.update();
    hasEnded = !running;
  };
}
