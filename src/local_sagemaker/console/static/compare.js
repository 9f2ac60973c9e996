// Training jobs side by side: curves, final metrics and settings.

import { get } from "./api.js";
import { el, link, number, show, span, status, table } from "./dom.js";
import { chartsView, lines } from "./jobs.js";

// Returns a table with a row for each name that a job has a value of; rows that differ are marked.
function sideBySide(title, jobs, values, text) {
  const names = [...new Set(jobs.flatMap((job) => Object.keys(values(job))))].sort();
  const rows = names.map((name) => {
    const cells = jobs.map((job) => values(job)[name]);
    const differs = new Set(cells).size > 1;
    return { class: differs ? "differs" : undefined,
      cells: [differs ? el("span", { title: "The jobs differ" }, `≠ ${name}`) : name, ...cells.map(text)] };
  });
  const heads = [{ title }, ...jobs.map((job) => ({ title: job.name, head: link(["jobs", job.name], job.name) }))];
  return [el("h2", {}, title), table(heads, rows, "None.")];
}

export async function compare(main, ...names) {
  const tables = el("div"), charts = chartsView();
  main.append(el("h1", {}, "Comparison"), charts.view, tables);
  let haveEnded = false;
  return async () => {
    if (haveEnded) return;
    const jobs = await Promise.all(names.map((name) => get("jobs", name)));
    const metrics = [...new Set(jobs.flatMap((job) => Object.keys(job.curves)))];
    charts.update(metrics.map((metric) => {
      const having = jobs.filter((job) => job.curves[metric]);
      return { metric, x: having[0].curves[metric].x, lines: having.flatMap((job) =>
        lines(job.curves[metric], { prefix: `${job.name} · `, colour: jobs.indexOf(job), isFirst: false })) };
    }));
    const state = { Status: (job) => status(job.status), Duration: (job) => span(job.started, job.ended),
      Reason: (job) => job.reason ?? "" };
    const heads = [{ title: "Job" }, ...jobs.map((job) => ({ title: job.name, head: link(["jobs", job.name], job.name) }))];
    show(tables, table(heads, Object.entries(state).map(([title, cell]) => ({ cells: [title, ...jobs.map(cell)] })), ""),
      sideBySide("Final metrics", jobs, (job) => job.metrics, number),
      sideBySide("Settings", jobs, (job) => job.settings, (value) => value ?? "—"),
      sideBySide("Inputs", jobs, (job) => job.inputs, (value) => value ?? "—"));
    haveEnded = jobs.every((job) => job.ended);
  };
}
