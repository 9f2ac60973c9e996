// Models: what they contain, where they come from, and which endpoints serve them.

import { action } from "./actions.js";
import { get } from "./api.js";
import { histogram } from "./charts.js";
import { bar, el, facts, link, links, number, reason, s3Link, show, time } from "./dom.js";
import { listView } from "./table.js";

const COLUMNS = [
  { title: "Name", value: (row) => row.name, cell: (row) => link(["models", row.name], row.name) },
  { title: "Image", value: (row) => row.image },
  { title: "Endpoints", value: (row) => row.endpoints.join(), cell: (row) => links("endpoints", row.endpoints) },
  { title: "Created", value: (row) => row.created, cell: (row) => time(row.created) },
];

export async function models(main) {
  const list = listView(() => COLUMNS, { empty: "No models.", order: "-Created" });
  main.append(el("h1", {}, "Models"), list.view);
  return async () => list.update(await get("models"));
}

function weights(part, features) {
  return `norm ${number(part.norm)}, largest ${number(part.largest)}, ${features - part.zeros} features with a weight`;
}

// Shows what the model's first factorization machine contains.
async function content(place, name) {
  let info;
  try {
    info = await get("models", name, "info");
  } catch (error) {
    place.append(reason(error.message));
    return;
  }
  place.append(...facts({
    "Predictor type": info.predictor_type, Features: info.feature_dim, Factors: info.num_factors, Bias: number(info.bias),
    "Linear weights": weights(info.linear, info.feature_dim), "Factors of features": weights(info.factors, info.feature_dim),
  }, info.container === "primary" ? "Parameters" : `Parameters of ${info.container}`), el("div", { class: "charts" },
    histogram("Norms of the factors", "Euclidean norm of a feature's factors", info.factor_norms)),
  el("div", { class: "columns" }, el("section", {}, facts(info.training_parameters, "Training parameters")),
    el("section", {}, facts(info.notes, "Notes"))));
}

export async function model(main, name) {
  const head = el("div"), inside = el("div");
  main.append(el("h1", {}, name), head, inside);
  content(inside, name);
  return async () => {
    const state = await get("models", name);
    const many = state.containers.length > 1;
    show(head, bar(action("Delete", { question: `Delete ${name}?`, operation: "DeleteModel", request: { ModelName: name },
      page: "#/models", detail: "Endpoints that serve it continue, and its data stay in S3." })),
    facts({ Created: time(state.created), Endpoints: state.endpoints.length ? el("span", {}, links("endpoints", state.endpoints)) : "" }),
    state.containers.map((container) => [facts({
      Image: container.image,
      "Model data": container.data && s3Link(container.data),
      "Training job": container.job && link(["jobs", container.job], container.job),
    }, many ? `Container ${container.name}` : "Container"), facts(container.environment, "Environment")]).flat(2));
  };
}
