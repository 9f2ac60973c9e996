// Tuning jobs: a table, and the objective against each parameter.

import { scatter } from "./charts.js";
import { el, get, link, number, show, span, status, table, time } from "./dom.js";

export async function tunings(main) {
  const list = el("div");
  main.append(el("h1", {}, "Tuning jobs"), list);
  const heads = [{ title: "Name" }, { title: "Status" }, { title: "Strategy" }, { title: "Jobs", number: true },
    { title: "Best", number: true }, { title: "Created" }];
  return async () => show(list, table(heads, (await get("tuning")).map((one) => ({ cells: [
    link(["tuning", one.name], one.name), status(one.status), one.strategy, `${one.done} / ${one.most}`,
    number(one.best), time(one.created)] })), "None yet."));
}

export async function tuning(main, name) {
  const head = el("div"), charts = el("div", { class: "charts" }), list = el("div");
  main.append(el("h1", {}, name), head, charts, list);
  let drawn = "";
  return async () => {
    const found = await get("tuning", name);
    show(head, el("p", {}, status(found.status), ` · ${found.strategy} · ${found.direction} ${found.objective}`,
      ` · ${span(found.created, found.ended)}`), found.reason ? el("p", { class: "reason" }, found.reason) : "");
    const scored = found.jobs.filter((job) => job.value !== null);
    if (JSON.stringify(scored) !== drawn) {
      drawn = JSON.stringify(scored);
      charts.replaceChildren(...(scored.length ? found.parameters.map((parameter) => {
        const place = (job) => parameter.values
          ? parameter.values.indexOf(job.tuned[parameter.name]) : Number(job.tuned[parameter.name]);
        return scatter(parameter.name, scored.map((job) => [place(job), job.value]), parameter.values,
          parameter.log, found.objective);
      }) : []));
    }
    const names = found.parameters.map((parameter) => parameter.name);
    const heads = [{ title: "Training job" }, { title: "Status" }, { title: "Objective", number: true },
      ...names.map((title) => ({ title, number: true })), { title: "Took", number: true }];
    show(list, el("h2", {}, "Training jobs"), table(heads, found.jobs.map((job) => ({
      best: job.name === found.best,
      cells: [link(["jobs", job.name], job.name), status(job.status), number(job.value),
        ...names.map((key) => job.tuned[key] ?? ""), span(job.started, job.ended)] })), "None yet."));
  };
}
