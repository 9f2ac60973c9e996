// Training jobs and batch transform jobs, which have the same pages.

import { curves } from "./charts.js";
import { el, facts, get, link, number, show, span, status, table, time } from "./dom.js";
import { logView } from "./log.js";

const HEADS = [{ title: "Name" }, { title: "Status" }, { title: "Progress" }, { title: "Created" }, { title: "Duration" }];
const bar = (value) => value === null ? "" :
  el("progress", { max: "100", value: String(value), title: `${value.toFixed(0)} %` }, `${value.toFixed(0)} %`);

export async function jobs(main, kind, title) {
  const list = el("div");
  main.append(el("h1", {}, title), list);
  return async () => {
    const rows = await get(kind);
    show(list, table(HEADS, rows.map((job) => ({ cells: [
      link([kind, job.name], job.name), status(job.status),
      job.secondary && job.secondary !== job.status ? [job.secondary + " ", bar(job.progress)] : "",
      time(job.created), span(job.started, job.ended)] })), "No jobs."));
  };
}

export async function job(main, kind, name) {
  const head = el("div"), charts = el("div", { class: "charts" }), about = el("div");
  const log = logView(kind, name);
  main.append(el("h1", {}, name), head, charts, log.view, about);
  let drawn = "";
  return async () => {
    const state = await get(kind, name);
    const running = !state.ended;
    show(head, el("p", {}, status(state.status), state.secondary && state.secondary !== state.status
      ? ` · ${state.secondary}` : "", ` · ${span(state.started, state.ended)} `, running ? bar(state.progress) : ""),
    state.reason ? el("p", { class: "reason" }, state.reason) : "",
    el("div", { class: "bar" }, running ? el("button", { id: "stop" }, "Stop") : "",
      state.artifact ? el("a", { href: state.artifact, download: true }, "Download model.tar.gz") : ""));
    const stop = head.querySelector("#stop");
    if (stop) stop.onclick = () => fetch(`/console/api/${kind}/${encodeURIComponent(name)}/stop`, { method: "POST" });
    if (JSON.stringify(state.curves) !== drawn) {
      drawn = JSON.stringify(state.curves);
      charts.replaceChildren(...Object.entries(state.curves).map(([metric, series]) => curves(metric, series)));
    }
    const scores = Object.entries(state.metrics);
    show(about, el("div", { class: "columns" },
      el("section", {}, el("h2", {}, "Settings"), facts(state.settings)),
      el("section", {}, scores.length ? el("h2", {}, "Final metrics") : "", scores.length
        ? facts(Object.fromEntries(scores.map(([key, value]) => [key, number(value)]))) : "",
      Object.keys(state.channels).length ? el("h2", {}, "Data") : "", facts(state.channels))));
    await log.update();
  };
}
