// Chooses the page by the URL's fragment, and updates it every second.

import { get } from "./api.js";
import { compare } from "./compare.js";
import { el } from "./dom.js";
import { endpoint, endpoints } from "./endpoints.js";
import { component, experiment, experiments } from "./experiments.js";
import { job, jobs } from "./jobs.js";
import { model, models } from "./models.js";
import { group, modelPackage, packages } from "./packages.js";
import { execution, pipeline, pipelines } from "./pipelines.js";
import { s3 } from "./s3.js";
import { tuning, tunings } from "./tuning.js";

// A list, and the page of an entry; pages that only links open name the list that they belong to.
const either = (list, entry) => (main, name) => name ? entry(main, name) : list(main);
const jobPages = (kind, title) => either((main) => jobs(main, kind, title), (main, name) => job(main, kind, name));
const PAGES = {
  jobs: jobPages("jobs", "Training jobs"),
  processing: jobPages("processing", "Processing jobs"),
  transform: jobPages("transform", "Batch transform jobs"),
  tuning: either(tunings, tuning),
  pipelines: (main, name, run) => run ? execution(main, name, run) : either(pipelines, pipeline)(main, name),
  experiments: either(experiments, experiment),
  models: either(models, model),
  packages: either(packages, group),
  endpoints: either(endpoints, endpoint),
  s3,
  compare, component, package: modelPackage,
};
const PARENTS = { compare: "jobs", component: "experiments", package: "packages" };
const INTERVAL = 1000; // milliseconds
let turn = 0;

// Returns the page and the names in the URL's fragment.
function parts() {
  const written = (location.hash.slice(2).split("?")[0] || "jobs").split("/");
  try {
    return written.map(decodeURIComponent);
  } catch { // typed by hand, with a % that begins no code
    return written;
  }
}

async function open() {
  const current = ++turn;
  const [page, ...rest] = parts();
  const main = document.getElementById("main");
  main.replaceChildren();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === (PARENTS[page] || page)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const problem = el("p", { class: "reason", role: "alert" });
  const update = await (Object.hasOwn(PAGES, page) ? PAGES[page] : PAGES.jobs)(main, ...rest);
  main.append(problem);
  while (current === turn) {
    try {
      if (!document.hidden) await update();
      problem.textContent = "";
    } catch (error) {
      problem.textContent = error.message;
    }
    await new Promise((done) => setTimeout(done, INTERVAL));
  }
}

document.addEventListener("keydown", (event) => {
  const isTyping = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName) || document.querySelector("dialog");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = "1234567890".indexOf(event.key);
  if (at >= 0) document.querySelectorAll("nav a")[at]?.click();
  if (event.key === "/" && document.getElementById("search")) {
    event.preventDefault();
    document.getElementById("search").focus();
  }
});
addEventListener("hashchange", open);
get("about").then((about) => {
  const place = document.getElementById("about");
  place.textContent = `${about.backend} · ${about.cores} jobs`;
  place.title = `The backend is ${about.backend}; ${about.cores} jobs run at the same time.`;
});
open();
