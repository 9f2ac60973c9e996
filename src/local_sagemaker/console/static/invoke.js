// The form that sends a request to an endpoint. It starts with a request that is valid for the model.

import { get, url } from "./api.js";
import { bar, el } from "./dom.js";

const LONGEST = 20000; // features of a dense example

// Returns the examples for a model of Factorization Machines: {name: [content type, body]}.
function examples(features) {
  const keys = features > 1 ? [0, features - 1] : [0];
  const values = keys.map(() => 1);
  const sparse = { features: { keys, values } };
  const dense = Array.from({ length: features <= LONGEST ? features : 0 }, (_, key) => keys.includes(key) ? 1 : 0);
  return {
    "JSON, sparse": ["application/json", JSON.stringify({ instances: [sparse] }, null, 1)],
    ...(dense.length ? { "JSON, dense": ["application/json", JSON.stringify({ instances: [{ features: dense }] })] } : {}),
    "JSON Lines": ["application/jsonlines", `${JSON.stringify(sparse)}\n${JSON.stringify(sparse)}\n`],
    ...(dense.length ? { CSV: ["text/csv", dense.join(",") + "\n"] } : {}),
    LibSVM: ["text/libsvm", `0 ${keys.map((key) => `${key}:1`).join(" ")}\n`],
  };
}

export function invokeForm(name) {
  const body = el("textarea", { id: "body", spellcheck: "false", "aria-label": "Body" });
  const type = el("input", { id: "type", value: "application/json", size: "22" });
  const accept = el("input", { id: "accept", size: "22", placeholder: "the model's default" });
  const variant = el("select", { id: "variant", "aria-label": "Variant" }, el("option", { value: "" }, "by weight"));
  const example = el("select", { id: "example", "aria-label": "Example" });
  const note = el("p", { class: "soft" }, "Reading the models…");
  const answer = el("pre", { id: "answer", role: "status" });
  const container = el("select", { id: "container", "aria-label": "Container" });
  const containerLabel = el("label", { hidden: true }, "Container ", container);
  let infos = {};

  // Offers the examples for the variant's model, since models may have different numbers of features. A body that was
  // typed before the models were read stays.
  function offer(replace) {
    const targets = infos[variant.value] || Object.values(infos)[0] || {}, names = Object.keys(targets);
    if (container.dataset.names !== names.join()) {
      container.dataset.names = names.join();
      container.replaceChildren(...names.map((each) => el("option", { value: each }, each)));
      containerLabel.hidden = names.length < 2; // else requests name no container
    }
    const info = targets[container.value] || {};
    const all = info.feature_dim ? examples(info.feature_dim) : {};
    note.textContent = info.feature_dim
      ? `The model is a ${info.predictor_type} of ${info.feature_dim} features.`
      : `There is no example for this model. ${info.error || ""}`;
    const chosen = example.value;
    example.replaceChildren(...Object.keys(all).map((each) => el("option", {}, each)));
    if (all[chosen]) example.value = chosen;
    if (all[example.value] && (replace || !body.value)) [type.value, body.value] = all[example.value];
  }
  for (const choice of [example, variant, container]) choice.addEventListener("change", () => offer(true));
  const read = get("endpoints", name, "info").then((content) => {
    infos = content;
    variant.append(...Object.keys(infos).map((each) => el("option", {}, each)));
    offer(false);
  });
  read.catch((error) => { note.textContent = error.message; });

  async function send(event) {
    event.preventDefault();
    answer.textContent = "…";
    const start = performance.now();
    const response = await fetch(url("endpoints", name, "invoke"), { method: "POST", body: body.value, headers: {
      "Content-Type": "application/json", "X-Content-Type": type.value, "X-Accept": accept.value,
      "X-Target-Variant": variant.value, "X-Target-Container": container.value } });
    const text = await response.text();
    const facts = [response.status, `${(performance.now() - start).toFixed(0)} ms`, response.headers.get("X-Model-Content-Type"),
      response.headers.get("X-Variant") && `variant ${response.headers.get("X-Variant")}`];
    answer.textContent = `${facts.filter(Boolean).join(" · ")}\n${text}`;
  }
  return el("section", { "aria-label": "Try it" }, el("h2", {}, "Try it"), note, el("form", { onsubmit: send },
    bar(el("label", {}, "Example ", example), el("label", {}, "Variant ", variant), containerLabel), body,
    bar(el("label", {}, "Content type ", type), el("label", {}, "Accept ", accept), el("button", { id: "send" }, "Send"))),
  answer);
}
