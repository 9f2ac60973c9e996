// Tuning jobs: a table, and a chart of the objective for each parameter.

import { stopOrDelete } from "./actions.js";
import { get } from "./api.js";
import { scatter } from "./charts.js";
import { bar, el, link, number, reason, show, span, status, table, time } from "./dom.js";
import { listView } from "./table.js";

const COLUMNS = [
  { title: "Name", value: (row) => row.name, cell: (row) => link(["tuning", row.name], row.name) },
  { title: "Status", value: (row) => row.status, cell: (row) => status(row.status) },
  { title: "Strategy", value: (row) => row.strategy },
  { title: "Jobs", number: true, value: (row) => row.finished, cell: (row) => `${row.finished} / ${row.max_jobs}` },
  { title: "Best", number: true, value: (row) => row.best, cell: (row) => number(row.best) },
  { title: "Created", value: (row) => row.created, cell: (row) => time(row.created) },
];

export async function tunings(main) {
  const list = listView(() => COLUMNS, { empty: "No jobs.", order: "-Created" });
  main.append(el("h1", {}, "Tuning jobs"), list.view);
  return async () => list.update(await get("tuning"));
}

export async function tuning(main, name) {
  const head = el("div"), charts = el("div", { class: "charts" }), list = el("div");
  main.append(el("h1", {}, name), head, charts, list);
  let drawn = "";
  return async () => {
    const state = await get("tuning", name);
    show(head, el("p", {}, status(state.status), ` · ${state.strategy} · ${state.direction} ${state.objective}`,
      ` · ${span(state.created, state.ended)}`), reason(state.reason),
    bar(stopOrDelete("HyperParameterTuningJob", name, { running: ["InProgress", "Stopping"].includes(state.status),
      page: "#/tuning", detail: "Its training jobs stay." })));
    const scored = state.jobs.filter((job) => job.value !== null);
    if (JSON.stringify(scored) !== drawn) {
      drawn = JSON.stringify(scored);
      charts.replaceChildren(...(scored.length ? state.parameters.map((parameter) => {
        const place = (job) => parameter.values
          ? parameter.values.indexOf(job.tuned[parameter.name]) : Number(job.tuned[parameter.name]);
        return scatter(parameter.name, scored.map((job) => [place(job), job.value]), parameter.values,
          parameter.log, state.objective);
      }) : []));
    }
    const names = state.parameters.map((parameter) => parameter.name);
    const heads = [{ title: "Training job" }, { title: "Status" }, { title: "Objective", number: true },
      ...names.map((title) => ({ title, number: true })), { title: "Duration", number: true }];
    show(list, el("h2", {}, "Training jobs"), table(heads, state.jobs.map((job) => ({
      class: job.name === state.best ? "best" : undefined,
      cells: [link(["jobs", job.name], job.name), status(job.status), number(job.value),
        ...names.map((key) => job.tuned[key] ?? ""), span(job.started, job.ended)] })), "No jobs."));
  };
}
