// Endpoints, and a form that invokes an endpoint.

import { el, facts, get, link, show, status, table, time } from "./dom.js";

const EXAMPLE = '{"instances": [{"data": {"features": {"keys": [0, 1], "shape": [2], "values": [1, 1]}}}]}';
const milliseconds = (value) => value === null ? "" : (value * 1000).toFixed(1) + " ms";

export async function endpoints(main) {
  const list = el("div");
  main.append(el("h1", {}, "Endpoints"), list);
  const heads = [{ title: "Name" }, { title: "Status" }, { title: "Healthy" }, { title: "Requests", number: true },
    { title: "Errors", number: true }, { title: "Median", number: true }, { title: "Created" }];
  return async () => show(list, table(heads, (await get("endpoints")).map((row) => ({ cells: [
    link(["endpoints", row.name], row.name), status(row.status), row.healthy ? "yes" : "no", row.requests, row.errors,
    milliseconds(row.median), time(row.created)] })), "No endpoints."));
}

export async function endpoint(main, name) {
  const head = el("div"), variants = el("div");
  const body = el("textarea", { id: "body", spellcheck: "false", "aria-label": "Body" });
  body.value = EXAMPLE;
  const type = el("input", { id: "type", value: "application/json", size: "30" });
  const accept = el("input", { id: "accept", value: "", size: "30", placeholder: "the model's default" });
  const answer = el("pre", { id: "answer", role: "status" });
  async function send(event) {
    event.preventDefault();
    answer.textContent = "…";
    const start = performance.now();
    const response = await fetch(`/console/api/endpoints/${encodeURIComponent(name)}/invoke`, {
      method: "POST", body: body.value,
      headers: { "Content-Type": "application/json", "X-Content-Type": type.value, "X-Accept": accept.value },
    });
    const text = await response.text();
    answer.textContent = `${response.status} · ${(performance.now() - start).toFixed(0)} ms\n${text}`;
  }
  main.append(el("h1", {}, name), head, variants, el("h2", {}, "Try it"),
    el("form", { onsubmit: send }, body, el("div", { class: "bar" }, el("label", {}, "Content type ", type),
      el("label", {}, "Accept ", accept), el("button", { id: "send" }, "Send"))), answer);
  return async () => {
    const state = await get("endpoints", name);
    show(head, el("p", {}, status(state.status)), state.reason ? el("p", { class: "reason" }, state.reason) : "",
      facts({ Configuration: state.config, Created: time(state.created) }));
    const heads = [{ title: "Variant" }, { title: "Model" }, { title: "Healthy" }, { title: "Requests", number: true },
      { title: "Errors", number: true }, { title: "Median", number: true }, { title: "99 %", number: true },
      { title: "Restarts", number: true }];
    show(variants, table(heads, state.variants.map((row) => ({ cells: [row.name, row.model, row.healthy ? "yes" : "no",
      row.requests, row.errors, milliseconds(row.median), milliseconds(row.high), row.restarts] })), "No servers."));
  };
}
