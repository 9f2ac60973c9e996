// Tuning jobs: a table, and a chart of the objective for each parameter.

import { scatter } from "./charts.js";
import { el, get, link, number, show, span, status, table, time } from "./dom.js";

export async function tunings(main) {
  const list = el("div");
  main.append(el("h1", {}, "Tuning jobs"), list);
  const heads = [{ title: "Name" }, { title: "Status" }, { title: "Strategy" }, { title: "Jobs", number: true },
    { title: "Best", number: true }, { title: "Created" }];
  return async () => show(list, table(heads, (await get("tuning")).map((row) => ({ cells: [
    link(["tuning", row.name], row.name), status(row.status), row.strategy, `${row.finished} / ${row.max_jobs}`,
    number(row.best), time(row.created)] })), "No jobs."));
}

export async function tuning(main, name) {
  const head = el("div"), charts = el("div", { class: "charts" }), list = el("div");
  main.append(el("h1", {}, name), head, charts, list);
  let drawn = "";
  return async () => {
    const state = await get("tuning", name);
    show(head, el("p", {}, status(state.status), ` · ${state.strategy} · ${state.direction} ${state.objective}`,
      ` · ${span(state.created, state.ended)}`), state.reason ? el("p", { class: "reason" }, state.reason) : "");
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
      best: job.name === state.best,
      cells: [link(["jobs", job.name], job.name), status(job.status), number(job.value),
        ...names.map((key) => job.tuned[key] ?? ""), span(job.started, job.ended)] })), "No jobs."));
  };
}
