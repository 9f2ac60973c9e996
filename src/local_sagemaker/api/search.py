"""The Search operation over the records that the service keeps, and its suggestions."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local_sagemaker.api import job_components, trial_components, tuning, validation
from local_sagemaker.api.pagination import page
from local_sagemaker.api.search_expression import Properties, matches, ordered, values
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import invalid
from local_sagemaker.hosting.endpoints import CONFIG, MODEL
from local_sagemaker.hosting.endpoints import KIND as ENDPOINT
from local_sagemaker.jobs.evaluations import KIND as TUNING
from local_sagemaker.jobs.training import KIND as TRAINING
from local_sagemaker.jobs.transform import KIND as TRANSFORM
from local_sagemaker.storage.records import Record

_PAGE = 100  # results without MaxResults


def search(context: Context, request: Record, _: Caller) -> Record:
    """Return the records of a resource that match an expression."""
    title, resource = request["Resource"], _resource(request["Resource"])
    if request.get("CrossAccountFilterOption", "SameAccount") != "SameAccount":
        raise invalid("CrossAccountFilterOption must be SameAccount here: there is one account.")
    properties, expression = _properties(title), request.get("SearchExpression")
    if expression is not None:
        matches(properties, expression, {})  # so that it is checked without records too
    found = []
    for record in _records(context, resource):
        document = _document(record)
        if expression is not None and not matches(properties, expression, document):
            continue
        if _is_visible(document, request.get("VisibilityConditions") or ()):
            found.append((document, record))
    descending = request.get("SortOrder", "Descending") == "Descending"
    records = ordered(properties, found, request.get("SortBy", "LastModifiedTime"), descending)
    chosen, token = page(records, request, _PAGE)
    shape = _record_shape().members[resource.member]
    results = [{resource.member: validation.select(record, shape)} for record in chosen]
    hits = {"Value": len(found), "Relation": "EqualTo"}
    return {"Results": results, "TotalHits": hits, **token}


def get_search_suggestions(context: Context, request: Record, _: Caller) -> Record:
    """Return the names of a resource's properties that begin with a hint."""
    resource = _resource(request["Resource"])
    query = (request.get("SuggestionQuery") or {}).get("PropertyNameQuery") or {}
    hint = query.get("PropertyNameHint", "").lower()
    names = dict.fromkeys(_properties(request["Resource"]).names())
    for record in _records(context, resource):
        for member in ("HyperParameters", "Parameters"):
            names |= dict.fromkeys(f"{member}.{name}" for name in record.get(member) or ())
        for member, key in (("Metrics", "MetricName"), ("Tags", "Key")):
            names |= dict.fromkeys(f"{member}.{entry[key]}" for entry in record.get(member) or ())
    suggestions = [{"PropertyName": name} for name in names if name.lower().startswith(hint)]
    return {"PropertyNameSuggestions": suggestions}


@dataclass(frozen=True)
class _Resource:
    """Where the records of a resource are, and the member of a result that holds one."""

    kind: str
    member: str
    complete: Callable[[Context, Record], Record] = lambda context, record: record


def _training_job(_: Context, record: Record) -> Record:
    return {**record, "Metrics": record.get("FinalMetricDataList") or []}


def _trial(context: Context, record: Record) -> Record:
    components = [
        {**component, "TrialComponentSource": component.get("Source")}
        for component in context.store.all("experiment-trial-component")
        if record["TrialName"] in component["Trials"]
    ]
    shape = _record_shape().members["Trial"].members["TrialComponentSummaries"].member
    summaries = [validation.select(component, shape) for component in components]
    return {**record, "TrialComponentSummaries": summaries}


def _component(context: Context, record: Record) -> Record:
    whole = trial_components.with_metrics(context, record)
    whole["Parents"] = trial_components.parents(context, record)
    if job := job_components.job_of(context, record):
        title = job_components.JOBS[record["Job"][0]].title
        shape = _record_shape().members["TrialComponent"].members["SourceDetail"].members[title]
        source = record["Source"]["SourceArn"]
        whole["SourceDetail"] = {"SourceArn": source, title: validation.select(job, shape)}
    return whole


def _model(context: Context, record: Record) -> Record:
    """Return a model as Search shows it: with its endpoints and its last transform job."""
    name = record["ModelName"]
    endpoints = []
    for endpoint in context.store.all(ENDPOINT):
        config = context.store.get(CONFIG, endpoint["EndpointConfigName"]) or {}
        if any(v.get("ModelName") == name for v in config.get("ProductionVariants") or ()):
            endpoints.append(endpoint)
    jobs = [job for job in context.store.all(TRANSFORM) if job["ModelName"] == name]
    members = _record_shape().members["Model"].members
    return {
        **record,
        "Model": validation.select(record, members["Model"]),
        "Endpoints": [validation.select(e, members["Endpoints"].member) for e in endpoints],
        "LastBatchTransformJob": validation.select(jobs[-1], members["LastBatchTransformJob"])
        if jobs
        else None,
    }


RESOURCES: Mapping[str, _Resource] = {
    "TrainingJob": _Resource(TRAINING, "TrainingJob", _training_job),
    "HyperParameterTuningJob": _Resource(TUNING, "HyperParameterTuningJob", tuning.with_results),
    "Experiment": _Resource("experiment", "Experiment"),
    "ExperimentTrial": _Resource("experiment-trial", "Trial", _trial),
    "ExperimentTrialComponent": _Resource(
        "experiment-trial-component", "TrialComponent", _component
    ),
    "Endpoint": _Resource(ENDPOINT, "Endpoint"),
    "Model": _Resource(MODEL, "Model", _model),
    "ModelPackage": _Resource("model-package", "ModelPackage"),
    "ModelPackageGroup": _Resource("model-package-group", "ModelPackageGroup"),
}


_WITH_METRICS = ("TrainingJob", "ExperimentTrialComponent")


def _resource(name: str) -> _Resource:
    if name not in RESOURCES:
        raise invalid(f"Resource must be one of {', '.join(RESOURCES)} here; got {name}.")
    return RESOURCES[name]


def _records(context: Context, resource: _Resource) -> Iterator[Record]:
    return (resource.complete(context, r) for r in context.store.all(resource.kind))


def _record_shape() -> Any:
    return validation.shapes("Search")[1].members["Results"].member  # type: ignore[union-attr]


@functools.cache
def _properties(name: str) -> Properties:
    resource = _resource(name)
    shape = _record_shape().members[resource.member]
    members = dict(shape.members)
    if resource.kind == MODEL:
        members |= members["Model"].members  # ModelName is short for Model.ModelName
    # Every resource is sorted by this time, also one that does not show it.
    members.setdefault("LastModifiedTime", members["CreationTime"])
    return Properties(members, free=("Metrics",) if name in _WITH_METRICS else ())


def _document(record: Record) -> Record:
    """Return a record whose tags, metrics and parameters have their values under their names."""
    document = dict(record)
    document["Tags"] = [{**tag, tag["Key"]: tag["Value"]} for tag in record.get("Tags") or ()]
    document["Metrics"] = [
        {
            **metric,
            **{
                f"{metric['MetricName']}.{spelling}": value
                for key, value in metric.items()
                for spelling in (key, key.lower())
            },
            metric["MetricName"]: metric.get("Last", metric.get("Value")),
        }
        for metric in record.get("Metrics") or ()
    ]
    parameters = record.get("Parameters") or {}
    document["Parameters"] = {k: next(iter(v.values()), None) for k, v in parameters.items()}
    return document


def _is_visible(document: Record, conditions: Iterable[Record]) -> bool:
    """Return whether each condition's property has its value, or is missing."""
    return all(
        condition.get("Value") in found
        for condition in conditions
        if (found := list(values(document, condition.get("Key", ""))))
    )
