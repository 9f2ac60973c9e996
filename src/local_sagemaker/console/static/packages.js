// Model packages: groups, versions, approval and metrics.

import { action } from "./actions.js";
import { call, list as entries } from "./api.js";
import { bar, el, facts, link, number, objectPath, s3Link, show, status, table, time } from "./dom.js";
import { listView } from "./table.js";

const LARGEST = 1 << 20; // bytes of a file of metrics that is read
const MOST = 100; // values of a file of metrics that are shown
const created = { title: "Created", value: (row) => Date.parse(row.CreationTime), cell: (row) => time(row.CreationTime) };
const GROUPS = [
  { title: "Group", value: (row) => row.ModelPackageGroupName,
    cell: (row) => link(["packages", row.ModelPackageGroupName], row.ModelPackageGroupName) },
  { title: "Description", value: (row) => row.ModelPackageGroupDescription },
  created,
];
const label = (row) => row.ModelPackageVersion ? `Version ${row.ModelPackageVersion}` : row.ModelPackageName;
const VERSIONS = [
  { title: "Package", value: label, cell: (row) => link(["package", row.ModelPackageArn], label(row)) },
  { title: "Approval", value: (row) => row.status, cell: (row) => status(row.status) },
  { title: "Description", value: (row) => row.ModelPackageDescription },
  created,
];
const approved = (rows) => rows.map((row) => ({ ...row, status: row.ModelApprovalStatus || "" }));

export async function packages(main) {
  const groups = listView(() => GROUPS, { empty: "No groups.", order: "-Created" }), others = el("div");
  main.append(el("h1", {}, "Model packages"), groups.view, others);
  return async () => {
    groups.update(await entries("ListModelPackageGroups", "ModelPackageGroupSummaryList"));
    const rows = await entries("ListModelPackages", "ModelPackageSummaryList");
    show(others, rows.length ? [el("h2", {}, "Packages without a group"), table([{ title: "Package" }, { title: "Created" }],
      rows.map((row) => ({ cells: [link(["package", row.ModelPackageArn], label(row)), time(row.CreationTime)] })), "")] : []);
  };
}

export async function group(main, name) {
  const head = el("div"), list = listView(() => VERSIONS, { empty: "No packages.", order: "-Created" });
  main.append(el("h1", {}, name), head, list.view);
  return async () => {
    const request = { ModelPackageGroupName: name };
    const about = await call("DescribeModelPackageGroup", request);
    show(head, about.ModelPackageGroupDescription ? el("p", {}, about.ModelPackageGroupDescription) : [],
      bar(action("Delete group", { question: `Delete ${name}?`, operation: "DeleteModelPackageGroup", request,
        page: "#/packages", detail: "A group with packages cannot be deleted." })));
    list.update(approved(await entries("ListModelPackages", "ModelPackageSummaryList", request)));
  };
}

// Returns the S3 URIs in the metrics of a package, by their path.
function uris(value, path = []) {
  if (typeof value !== "object" || value === null) return [];
  return [...(value.S3Uri ? [[path.join(" "), value.S3Uri]] : []),
    ...Object.entries(value).flatMap(([key, inner]) => uris(inner, [...path, key]))];
}

function leaves(value, path = []) {
  if (typeof value !== "object" || value === null) return [[path.join("."), typeof value === "number" ? number(value) : String(value)]];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]));
}

// Shows the values in a JSON file of S3, whose content is untrusted.
async function values(place, title, uri) {
  place.append(el("h2", {}, title), el("p", {}, s3Link(uri)));
  try {
    const response = await fetch(objectPath(uri));
    if (!response.ok) throw new Error("it is not in S3");
    const reader = response.body.getReader(), decoder = new TextDecoder();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += decoder.decode(part.value, { stream: true });
      if (text.length > LARGEST) throw new Error(`it has more than ${LARGEST} bytes`);
    }
    place.append(...facts(Object.fromEntries(leaves(JSON.parse(text)).slice(0, MOST))));
  } catch (error) {
    place.append(el("p", { class: "soft" }, `The values cannot be shown: ${error.message}.`));
  }
}

export async function modelPackage(main, arn) {
  const head = el("div"), about = el("div"), metrics = el("div");
  const title = el("h1", {}, arn.split("/").slice(1).join(", version "));
  main.append(title, head, metrics, about);
  let drawn = "";
  return async () => {
    const state = await call("DescribeModelPackage", { ModelPackageName: arn });
    const decide = (label, value) => state.ModelApprovalStatus === value || !state.ModelPackageVersion ? null
      : action(label, { question: `${label} ${title.textContent}?`, operation: "UpdateModelPackage",
        request: { ModelPackageArn: arn, ModelApprovalStatus: value } });
    const groupName = state.ModelPackageGroupName;
    show(head, bar(decide("Approve", "Approved"), decide("Reject", "Rejected"), action("Delete", {
      question: `Delete ${title.textContent}?`, operation: "DeleteModelPackage", request: { ModelPackageName: arn },
      page: groupName ? `#/packages/${encodeURIComponent(groupName)}` : "#/packages", detail: "Models made from it stay." })),
    facts({ Approval: state.ModelApprovalStatus && status(state.ModelApprovalStatus), Description: state.ModelPackageDescription,
      "Reason of the approval": state.ApprovalDescription, Group: groupName && link(["packages", groupName], groupName),
      Created: time(state.CreationTime) }));
    const containers = state.InferenceSpecification?.Containers || [];
    show(about, containers.map((container) => facts({ Image: container.Image,
      "Model data": container.ModelDataUrl && s3Link(container.ModelDataUrl) }, "Container")).flat(),
    facts(state.CustomerMetadataProperties || {}, "Metadata"));
    if (JSON.stringify(state.ModelMetrics) !== drawn) {
      drawn = JSON.stringify(state.ModelMetrics);
      metrics.replaceChildren();
      for (const [path, uri] of uris(state.ModelMetrics)) await values(metrics, path, uri);
    }
  };
}
