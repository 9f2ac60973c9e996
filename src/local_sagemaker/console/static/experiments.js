// Experiments, and their trial components (runs) with parameters and metrics.

import { call, list as entries, search } from "./api.js";
import { arnLink, el, facts, link, number, s3Link, show, span, status, table, time } from "./dom.js";
import { chartsView } from "./jobs.js";
import { listView } from "./table.js";

const MOST = 6; // columns of parameters, and of metrics
const COLUMNS = [
  { title: "Name", value: (row) => row.ExperimentName, cell: (row) => link(["experiments", row.ExperimentName], row.ExperimentName) },
  { title: "Display name", value: (row) => row.DisplayName },
  { title: "Created", value: (row) => Date.parse(row.CreationTime), cell: (row) => time(row.CreationTime) },
  { title: "Changed", value: (row) => Date.parse(row.LastModifiedTime), cell: (row) => time(row.LastModifiedTime) },
];
const value = (parameter) => parameter && (parameter.NumberValue ?? parameter.StringValue);
const text = (each) => typeof each === "number" ? number(each) : each ?? "";
const metrics = (row) => Object.fromEntries((row.Metrics || []).filter((metric) => !/:(batch|epoch)$/.test(metric.MetricName))
  .map((metric) => [metric.MetricName, metric.Last])); // those of whole jobs
const parameters = (row) => Object.fromEntries(
  Object.entries(row.Parameters || {}).map(([name, parameter]) => [name, value(parameter)]));
const seconds = (at) => at && Date.parse(at) / 1000;

export async function experiments(main) {
  const list = listView(() => COLUMNS, { empty: "No experiments.", order: "-Created" });
  main.append(el("h1", {}, "Experiments"), list.view);
  return async () => list.update(await entries("ListExperiments", "ExperimentSummaries"));
}

// Returns the names of values in the rows that differ, then the others, at most as many as there is space for.
function names(rows, values) {
  const all = [...new Set(rows.flatMap((row) => Object.keys(values(row))))];
  const kinds = (name) => new Set(rows.map((row) => values(row)[name])).size;
  return all.sort((a, b) => (kinds(b) > 1) - (kinds(a) > 1) || a.localeCompare(b)).slice(0, MOST);
}

const ownColumns = (rows, values) => names(rows, values).map((title) => ({
  title, number: true, value: (row) => values(row)[title], cell: (row) => text(values(row)[title]) }));

function columns(rows) {
  return [
    { title: "Name", value: (row) => row.TrialComponentName,
      cell: (row) => link(["component", row.TrialComponentName], row.DisplayName || row.TrialComponentName) },
    { title: "Trials", value: (row) => (row.Parents || []).map((parent) => parent.TrialName).join(", ") },
    { title: "Status", value: (row) => row.status, cell: (row) => status(row.status) },
    ...ownColumns(rows, metrics),
    ...ownColumns(rows, parameters),
    { title: "Created", value: (row) => Date.parse(row.CreationTime), cell: (row) => time(row.CreationTime) },
  ];
}

export async function experiment(main, name) {
  const head = el("div"), list = listView(columns, { empty: "No trial components.", order: "-Created" });
  main.append(el("h1", {}, name), head, el("h2", {}, "Trial components"), list.view);
  return async () => {
    const about = await call("DescribeExperiment", { ExperimentName: name });
    const trials = await entries("ListTrials", "TrialSummaries", { ExperimentName: name });
    show(head, facts({ Description: about.Description, Created: time(about.CreationTime),
      Trials: trials.map((trial) => trial.TrialName).join(", ") }));
    const rows = await search("ExperimentTrialComponent", "Parents.ExperimentName", about.ExperimentName);
    list.update(rows.map((row) => ({ ...row, status: row.Status?.PrimaryStatus })));
  };
}

async function charts(row) {
  const many = (row.Metrics || []).filter((metric) => metric.Count > 1);
  const queries = many.map((metric) => ({ MetricName: metric.MetricName, ResourceArn: row.TrialComponentArn,
    MetricStat: "Last", Period: "IterationNumber", XAxisType: "IterationNumber" }));
  const results = [];
  for (let start = 0; start < queries.length; start += 100) { // the most that a request may have
    results.push(...(await call("BatchGetMetrics", { MetricQueries: queries.slice(start, start + 100) })).MetricQueryResults);
  }
  return many.map((metric, index) => ({ metric: metric.MetricName, x: "step", lines: [
    { label: metric.MetricName, x: results[index].XAxisValues, y: results[index].MetricValues, colour: 0 }] }));
}

export async function component(main, name) {
  const head = el("div"), about = el("div"), curves = chartsView();
  main.append(el("h1", {}, name), head, curves.view, about);
  return async () => {
    const row = await call("DescribeTrialComponent", { TrialComponentName: name });
    const places = (artifacts) => Object.fromEntries(
      Object.entries(artifacts || {}).map(([key, artifact]) => [key, s3Link(artifact.Value)]));
    show(head, facts({ "Display name": row.DisplayName, Source: arnLink(row.Source?.SourceArn), Created: time(row.CreationTime),
      Status: row.Status?.PrimaryStatus && status(row.Status.PrimaryStatus), Message: row.Status?.Message,
      Duration: span(seconds(row.StartTime), seconds(row.EndTime)) }));
    const heads = [{ title: "Metric" }, ...["Last", "Min", "Max", "Avg", "Count"].map((title) => ({ title, number: true }))];
    show(about, el("h2", {}, "Metrics"), table(heads, (row.Metrics || []).map((metric) => ({ cells: [
      metric.MetricName, ...heads.slice(1).map((head) => number(metric[head.title]))] })), "No metrics."),
    el("div", { class: "columns" }, el("section", {}, facts(parameters(row), "Parameters")),
      el("section", {}, facts(places(row.InputArtifacts), "Inputs"), facts(places(row.OutputArtifacts), "Outputs"))));
    curves.update(await charts(row));
  };
}
