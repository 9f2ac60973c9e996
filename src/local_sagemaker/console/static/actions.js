// Buttons that change something, after a question.

import { call } from "./api.js";
import { bar, el } from "./dom.js";

function ask(question, detail, label, run) {
  const problem = el("p", { class: "reason", role: "alert" });
  const confirm = el("button", { type: "button", class: "danger", async onclick() {
    confirm.disabled = true;
    try {
      await run();
      dialog.close();
    } catch (error) {
      problem.textContent = error.message;
      confirm.disabled = false;
    }
  } }, label);
  const cancel = el("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Cancel");
  const dialog = el("dialog", { "aria-label": question, onclose: () => dialog.remove() },
    el("h2", {}, question), el("p", {}, detail), problem, bar(confirm, cancel));
  document.body.append(dialog);
  dialog.showModal();
}

// Returns a button that executes an operation when the question is confirmed, and then opens a page.
// request: the members, or a function that returns them; page: its fragment, or a function of the answer.
export function action(label, { question, detail = "", operation, request, page }) {
  const open = () => ask(question, detail, label, async () => {
    const answer = await call(operation, typeof request === "function" ? request() : request);
    if (page) location.hash = typeof page === "function" ? page(answer) : page;
  });
  return el("button", { type: "button", id: label.toLowerCase().replace(/\W+/g, "-"), onclick: open }, label);
}

// Returns the buttons that stop a resource while it runs, and delete it afterwards.
// title: what the names of its operations and members have, as TrainingJob.
export function stopOrDelete(title, name, { running, page, detail, canStop = true, canDelete = true }) {
  const request = { [`${title}Name`]: name };
  if (running && canStop) {
    return action("Stop", { question: `Stop ${name}?`, operation: `Stop${title}`, request,
      detail: "The results so far are kept." });
  }
  return !running && canDelete
    ? action("Delete", { question: `Delete ${name}?`, operation: `Delete${title}`, request, page, detail }) : null;
}

// A token for a request that must not be executed twice.
export const token = () => Array.from(crypto.getRandomValues(new Uint8Array(16)),
  (byte) => byte.toString(16).padStart(2, "0")).join("");
