// Endpoints: their variants, and a form that sends a request.

import { action } from "./actions.js";
import { get } from "./api.js";
import { bar, el, facts, link, reason, show, status, table, time } from "./dom.js";
import { invokeForm } from "./invoke.js";
import { listView } from "./table.js";

const milliseconds = (value) => value === null ? "" : (value * 1000).toFixed(1) + " ms";
const COLUMNS = [
  { title: "Name", value: (row) => row.name, cell: (row) => link(["endpoints", row.name], row.name) },
  { title: "Status", value: (row) => row.status, cell: (row) => status(row.status) },
  { title: "Healthy", value: (row) => row.healthy ? "yes" : "no" },
  { title: "Requests", number: true, value: (row) => row.requests },
  { title: "Errors", number: true, value: (row) => row.errors },
  { title: "Median", number: true, value: (row) => row.median, cell: (row) => milliseconds(row.median) },
  { title: "Created", value: (row) => row.created, cell: (row) => time(row.created) },
];

export async function endpoints(main) {
  const list = listView(() => COLUMNS, { empty: "No endpoints.", order: "-Created" });
  main.append(el("h1", {}, "Endpoints"), list.view);
  return async () => list.update(await get("endpoints"));
}

export async function endpoint(main, name) {
  const head = el("div"), variants = el("div"), form = el("div");
  main.append(el("h1", {}, name), head, variants, form);
  return async () => {
    const state = await get("endpoints", name);
    show(head, el("p", {}, status(state.status)), reason(state.reason),
      bar(action("Delete", { question: `Delete ${name}?`, operation: "DeleteEndpoint", request: { EndpointName: name },
        page: "#/endpoints", detail: "Its servers stop. Its configuration and its models stay." })),
      facts({ Configuration: state.config, Created: time(state.created) }));
    const heads = [{ title: "Variant" }, { title: "Model" }, { title: "Healthy" }, { title: "Requests", number: true },
      { title: "Errors", number: true }, { title: "Median", number: true }, { title: "99 %", number: true },
      { title: "Restarts", number: true }];
    show(variants, el("h2", {}, "Variants"), table(heads, state.variants.map((row) => ({ cells: [row.name, row.model && link(["models", row.model], row.model),
      row.healthy ? "yes" : "no", row.requests, row.errors, milliseconds(row.median), milliseconds(row.high),
      row.restarts] })), "No servers."));
    if (state.variants.length && !form.childElementCount) form.append(invokeForm(name));
  };
}
