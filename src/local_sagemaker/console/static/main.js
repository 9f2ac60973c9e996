// Chooses the page by the URL's fragment, and updates it every second.

import { el, get } from "./dom.js";
import { endpoint, endpoints } from "./endpoints.js";
import { job, jobs } from "./jobs.js";
import { s3 } from "./s3.js";
import { tuning, tunings } from "./tuning.js";

const PAGES = {
  jobs: (main, name) => name ? job(main, "jobs", name) : jobs(main, "jobs", "Training jobs"),
  transform: (main, name) => name ? job(main, "transform", name) : jobs(main, "transform", "Batch transform jobs"),
  tuning: (main, name) => name ? tuning(main, name) : tunings(main),
  endpoints: (main, name) => name ? endpoint(main, name) : endpoints(main),
  s3,
};
const INTERVAL = 1000; // milliseconds
let turn = 0;

async function open() {
  const current = ++turn;
  const [page, ...rest] = (location.hash.slice(2) || "jobs").split("/").map(decodeURIComponent);
  const main = document.getElementById("main");
  main.replaceChildren();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const problem = el("p", { class: "reason", role: "alert" });
  const update = await (PAGES[page] || PAGES.jobs)(main, ...rest);
  main.append(problem);
  while (current === turn) {
    try {
      if (!document.hidden) await update();
      problem.textContent = "";
    } catch (error) {
      problem.textContent = `The service does not answer: ${error.message}`;
    }
    await new Promise((done) => setTimeout(done, INTERVAL));
  }
}

document.addEventListener("keydown", (event) => {
  if (["INPUT", "TEXTAREA"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = "12345".indexOf(event.key);
  if (at >= 0) document.querySelectorAll("nav a")[at].click();
  if (event.key === "/" && document.getElementById("search")) {
    event.preventDefault();
    document.getElementById("search").focus();
  }
});
addEventListener("hashchange", open);
get("about").then((about) => {
  document.getElementById("about").textContent = `backend ${about.backend} · ${about.cores} jobs at once`;
});
open();
