// Pipelines, their executions, and an execution as a graph with the state of each step.

import { action, token } from "./actions.js";
import { get, list as entries } from "./api.js";
import { arnLink, bar, el, facts, link, path, reason, show, span, status, table, time } from "./dom.js";
import { graph } from "./graph.js";
import { listView } from "./table.js";

const at = (text) => text && Date.parse(text);
const identifier = (arn) => arn.split("/").at(-1);
const COLUMNS = [
  { title: "Name", value: (row) => row.PipelineName, cell: (row) => link(["pipelines", row.PipelineName], row.PipelineName) },
  { title: "Description", value: (row) => row.PipelineDescription },
  { title: "Last execution", value: (row) => at(row.LastExecutionTime), cell: (row) => time(row.LastExecutionTime) },
  { title: "Created", value: (row) => at(row.CreationTime), cell: (row) => time(row.CreationTime) },
];
const executionColumns = (name) => [
  { title: "Execution", value: (row) => row.PipelineExecutionArn, cell: (row) => link(
    ["pipelines", name, identifier(row.PipelineExecutionArn)], row.PipelineExecutionDisplayName || identifier(row.PipelineExecutionArn)) },
  { title: "Status", value: (row) => row.status, cell: (row) => [status(row.status),
    row.PipelineExecutionFailureReason ? el("div", { class: "reason small" }, row.PipelineExecutionFailureReason) : ""] },
  { title: "Started", value: (row) => at(row.StartTime), cell: (row) => time(row.StartTime) },
];

export async function pipelines(main) {
  const list = listView(() => COLUMNS, { empty: "No pipelines.", order: "-Created" });
  main.append(el("h1", {}, "Pipelines"), list.view);
  return async () => list.update(await entries("ListPipelines", "PipelineSummaries"));
}

export async function pipeline(main, name) {
  const head = el("div"), steps = el("div", { class: "scroll" });
  const list = listView(() => executionColumns(name), { empty: "No executions.", order: "-Started" });
  main.append(el("h1", {}, name), head, steps, el("h2", {}, "Executions"), list.view);
  return async () => {
    const state = await get("pipelines", name);
    show(head, facts({ Description: state.description, Created: time(state.created) }), bar(
      action("Start", { question: `Start ${name}?`, detail: "Its parameters have their default values.",
        operation: "StartPipelineExecution", request: () => ({ PipelineName: name, ClientRequestToken: token() }),
        page: (answer) => path(["pipelines", name, identifier(answer.PipelineExecutionArn)]) }),
      action("Delete", { question: `Delete ${name}?`, detail: "Its executions are deleted too. What they created stays.",
        operation: "DeletePipeline", request: () => ({ PipelineName: name, ClientRequestToken: token() }),
        page: "#/pipelines" })));
    show(steps, graph(state.steps, (step) => step.type));
    const executions = await entries("ListPipelineExecutions", "PipelineExecutionSummaries", { PipelineName: name });
    list.update(executions.map((row) => ({ ...row, status: row.PipelineExecutionStatus })));
  };
}

const pageOf = (step) => arnLink(step.arn)?.hash?.slice(2).split("/").map(decodeURIComponent);
const duration = (step) => step.started ? span(step.started, step.ended) : "";
const outcome = (step) => step.outcome ? `${step.type}: ${step.outcome}` : step.cached ? `${step.type}, from the cache` : step.type;
const line = (step) => step.outcome ? outcome(step)
  : [step.status, step.cached ? "cached" : duration(step)].filter(Boolean).join(" · ");
const HEADS = [{ title: "Step" }, { title: "Type" }, { title: "Status" }, { title: "Created" }, { title: "Started" },
  { title: "Duration", number: true }];

export async function execution(main, name, run) {
  const head = el("div"), drawing = el("div", { class: "scroll" }), list = el("div");
  main.append(el("h1", {}, link(["pipelines", name], name), ` · ${run}`), head, drawing, list);
  return async () => {
    const state = await get("pipelines", name, run);
    const request = () => ({ PipelineExecutionArn: state.arn, ClientRequestToken: token() });
    const button = state.status === "Executing"
      ? action("Stop", { question: `Stop the execution ${run}?`, detail: "The jobs of its steps are stopped.",
        operation: "StopPipelineExecution", request })
      : ["Failed", "Stopped"].includes(state.status) ? action("Retry", { question: `Retry the execution ${run}?`,
        detail: "Steps that succeeded are not run again.", operation: "RetryPipelineExecution", request }) : "";
    show(head, el("p", {}, status(state.status), ` · ${state.title ?? ""}`), reason(state.reason), bar(button),
      facts({ Started: time(state.created) }), facts(state.parameters, "Parameters"));
    const steps = state.steps.map((step) => ({ ...step, page: pageOf(step) }));
    show(drawing, graph(steps, line));
    show(list, el("h2", {}, "Steps"), table(HEADS, steps.map((step) => ({ cells: [step.title, outcome(step),
      [status(step.status), step.reason ? el("div", { class: "reason small" }, step.reason) : ""],
      arnLink(step.arn), time(step.started), duration(step)] })), ""));
  };
}
