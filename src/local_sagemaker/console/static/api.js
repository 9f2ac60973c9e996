// Requests to the service.

// Returns the JSON of an answer.
export async function request(path, options) {
  const response = await fetch(path, options).catch(() => { throw new Error("The service does not answer."); });
  const text = await response.text();
  let body = {};
  try { body = JSON.parse(text); } catch { /* an error of the server itself, without JSON */ }
  if (!response.ok) throw new Error(body.message || `status ${response.status}`);
  return body;
}

export const url = (...path) => "/console/api/" + path.map(encodeURIComponent).join("/");
export const get = (...path) => request(url(...path));

// Executes an operation of SageMaker's API, such as StopTrainingJob.
export const call = (operation, members) => request(url("call", operation), {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(members),
});

// Returns the entries of all pages of a List operation or of Search, which are in one member of its answers.
export async function list(operation, member, members = {}) {
  const entries = [];
  let token;
  do {
    const page = await call(operation, { MaxResults: 100, ...members, ...(token ? { NextToken: token } : {}) });
    entries.push(...(page[member] || []));
    token = page.NextToken;
  } while (token);
  return entries;
}

// Returns the records of a resource for which a property has a value.
export async function search(resource, name, value) {
  const expression = { Filters: [{ Name: name, Operator: "Equals", Value: value }] };
  const results = await list("Search", "Results", { Resource: resource, SearchExpression: expression });
  return results.map((result) => Object.values(result)[0]);
}
