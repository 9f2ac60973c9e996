// Training jobs, and batch transform jobs, which are shown alike.

import { curves } from "./charts.js";
import { el, facts, get, link, number, show, span, status, table, time } from "./dom.js";
import { logView } from "./log.js";

const HEADS = [{ title: "Name" }, { title: "Status" }, { title: "Progress" }, { title: "Created" }, { title: "Took" }];
const bar = (value) => value === null ? "" :
  el("progress", { max: "100", value: String(value), title: `${value.toFixed(0)} %` }, `${value.toFixed(0)} %`);

export async function jobs(main, kind, title) {
  const list = el("div");
  main.append(el("h1", {}, title), list);
  return async () => {
    const found = await get(kind);
    show(list, table(HEADS, found.map((job) => ({ cells: [
      link([kind, job.name], job.name), status(job.status),
      job.secondary && job.secondary !== job.status ? [job.secondary + " ", bar(job.progress)] : "",
      time(job.created), span(job.started, job.ended)] })), "None yet."));
  };
}

export async function job(main, kind, name) {
  const head = el("div"), charts = el("div", { class: "charts" }), about = el("div");
  const log = logView(kind, name);
  main.append(el("h1", {}, name), head, charts, log.view, about);
  let drawn = "";
  return async () => {
    const found = await get(kind, name);
    const running = !found.ended;
    show(head, el("p", {}, status(found.status), found.secondary && found.secondary !== found.status
      ? ` · ${found.secondary}` : "", ` · ${span(found.started, found.ended)} `, running ? bar(found.progress) : ""),
    found.reason ? el("p", { class: "reason" }, found.reason) : "",
    el("div", { class: "bar" }, running ? el("button", { id: "stop" }, "Stop") : "",
      found.artifact ? el("a", { href: found.artifact, download: true }, "Download model.tar.gz") : ""));
    const stop = head.querySelector("#stop");
    if (stop) stop.onclick = () => fetch(`/console/api/${kind}/${encodeURIComponent(name)}/stop`, { method: "POST" });
    if (JSON.stringify(found.curves) !== drawn) {
      drawn = JSON.stringify(found.curves);
      charts.replaceChildren(...Object.entries(found.curves).map(([metric, series]) => curves(metric, series)));
    }
    const scores = Object.entries(found.metrics);
    show(about, el("div", { class: "columns" },
      el("section", {}, el("h2", {}, "Settings"), facts(found.settings)),
      el("section", {}, scores.length ? el("h2", {}, "Final metrics") : "", scores.length
        ? facts(Object.fromEntries(scores.map(([key, value]) => [key, number(value)]))) : "",
      Object.keys(found.channels).length ? el("h2", {}, "Data") : "", facts(found.channels))));
    await log.update();
  };
}
