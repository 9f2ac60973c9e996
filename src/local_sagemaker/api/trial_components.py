"""SageMaker's operations on trial components: parameters, artifacts and metrics of a step."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from local_sagemaker.api import experiments, job_components, validation
from local_sagemaker.api.experiments import COMPONENT, EXPERIMENT, KINDS, TRIAL
from local_sagemaker.api.pagination import timestamp
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import ServiceError, invalid, not_found
from local_sagemaker.jobs.training import KIND as TRAINING
from local_sagemaker.jobs.training_metrics import scrape_metrics
from local_sagemaker.storage import metrics
from local_sagemaker.storage.records import Record

_KIND = KINDS[COMPONENT]
_MAPS = ("Parameters", "InputArtifacts", "OutputArtifacts")


class _Value(NamedTuple):
    """A value of a metric, with the ARN of the job or the component that reported it."""

    source: str
    step: int
    point: metrics.Point


def create_trial_component(context: Context, request: Record, caller: Caller) -> Record:
    """Create a trial component."""
    return experiments.create(context, COMPONENT, {**_with_times(request), "Trials": []}, caller)


def describe_trial_component(context: Context, request: Record, caller: Caller) -> Record:
    """Return a trial component, which the request names by its name or its ARN."""
    name = request["TrialComponentName"].rpartition("/")[2]
    return with_metrics(context, experiments.find(context, COMPONENT, name, caller))


def list_trial_components(context: Context, request: Record, caller: Caller) -> Record:
    """Return the trial components: all, of an experiment, of a trial, or of a job."""
    experiment = experiments.find_name(context, EXPERIMENT, request, caller)
    trial = experiments.find_name(context, TRIAL, request, caller)
    trials = {
        record["TrialName"]
        for record in context.store.all(KINDS[TRIAL])
        if record["ExperimentName"] == experiment
    }
    source = request.get("SourceArn")
    return experiments.entries(
        context,
        COMPONENT,
        request,
        lambda component: (
            (trial is None or trial in component["Trials"])
            and (experiment is None or not trials.isdisjoint(component["Trials"]))
            and source in (None, component.get("Source", {}).get("SourceArn"))
        ),
        lambda component: view(context, component),
    )


def update_trial_component(context: Context, request: Record, caller: Caller) -> Record:
    """Change members; parameters and artifacts are added, replaced by name, or removed."""
    component = experiments.find(context, COMPONENT, request["TrialComponentName"], caller)
    name, resource = component["TrialComponentName"], component["TrialComponentArn"]

    def change(record: Record) -> Record:
        changes = {k: v for k, v in request.items() if not k.endswith("ToRemove")}
        changes["TrialComponentName"] = name
        for member in _MAPS:
            removed = dict.fromkeys(request.get(f"{member}ToRemove") or ())
            changes[member] = {
                **record.get(member, {}),
                **removed,  # None hides a value of the component's job
                **request.get(member, {}),
            }
        _check_sizes(view(context, {**record, **changes}))
        return _with_times(changes)

    context.store.modify(_KIND, name, change)
    return {"TrialComponentArn": resource}


def delete_trial_component(context: Context, request: Record, caller: Caller) -> Record:
    """Delete a trial component that belongs to no trial."""
    component = experiments.find(context, COMPONENT, request["TrialComponentName"], caller)
    linked = "trials" if component["Trials"] else None
    return experiments.delete(context, COMPONENT, component["TrialComponentName"], caller, linked)


def associate_trial_component(context: Context, request: Record, caller: Caller) -> Record:
    """Add a trial component to a trial."""
    return _set_trials(context, request, caller, is_member=True)


def disassociate_trial_component(context: Context, request: Record, caller: Caller) -> Record:
    """Remove a trial component from a trial."""
    return _set_trials(context, request, caller, is_member=False)


def batch_put_metrics(context: Context, request: Record, caller: Caller) -> Record:
    """Add values of metrics; a value without a step gets the one after the metric's last."""
    name = experiments.find_name(context, COMPONENT, request, caller)
    errors = [
        {"Code": "VALIDATION_ERROR", "MetricIndex": index}
        for index, entry in enumerate(request["MetricData"])
        if not math.isfinite(entry["Value"])
    ]

    def change(record: Record) -> Record:
        points = {metric: list(values) for metric, values in record.get("Points", {}).items()}
        for entry in request["MetricData"]:
            if math.isfinite(entry["Value"]):
                values = points.setdefault(entry["MetricName"], [])
                last = max((value["Step"] for value in values), default=-1)
                at = timestamp(entry["Timestamp"])
                step = entry.get("Step", last + 1)
                values.append({"Timestamp": at, "Step": step, "Value": entry["Value"]})
        return {"Points": points}

    context.store.modify(_KIND, name, change)
    return {"Errors": errors} if errors else {}


def batch_get_metrics(context: Context, request: Record, caller: Caller) -> Record:
    """Return for each query a statistic of the values that a metric has in each step."""
    results = [_query_result(context, query, caller) for query in request["MetricQueries"]]
    return {"MetricQueryResults": results}


def view(context: Context, component: Record) -> Record:
    """Return a component with the members that its job determines, without metrics."""
    of_job = job_components.members(context, component)
    maps = {}
    for member in _MAPS:
        values = {**of_job.get(member, {}), **component.get(member, {})}
        maps[member] = {key: value for key, value in values.items() if value is not None}
    changed = max(one["LastModifiedTime"] for one in (component, of_job) if one)
    return {**of_job, **component, **maps, "LastModifiedTime": changed}


def with_metrics(context: Context, component: Record) -> Record:
    """Return the view of a component with the summaries of its metrics."""
    summaries = [
        {
            "MetricName": metric,
            "SourceArn": values[0].source,
            **metrics.summary([value.point for value in values]),
        }
        for metric, values in _component_values(context, component).items()
    ]
    return {**view(context, component), "Metrics": summaries}


def parents(context: Context, component: Record) -> list[Record]:
    """Return the trials of a component, with their experiments."""
    trials = (context.store.get(KINDS[TRIAL], name) for name in component["Trials"])
    names = ("TrialName", "ExperimentName")
    return [{name: trial[name] for name in names} for trial in trials if trial]


def _query_result(context: Context, query: Record, caller: Caller) -> Record:
    """Return the result of a query; its status tells if the query names no resource."""
    for member in ("Period", "XAxisType"):
        if query[member] != "IterationNumber":
            raise invalid(f"{member} {query[member]!r} is not offered here. Use IterationNumber.")
    try:
        values = _resource_values(context, query["ResourceArn"], caller).get(query["MetricName"])
    except ServiceError as error:
        message = error.message[:2048]
        empty: Record = {"XAxisValues": [], "MetricValues": []}
        return {"Status": "ValidationError", "Message": message, **empty}
    steps: dict[int, list[metrics.Point]] = {}
    for value in sorted(values or (), key=lambda value: value.step):
        steps.setdefault(value.step, []).append(value.point)
    return {
        "Status": "Complete",
        "XAxisValues": list(steps),
        "MetricValues": [metrics.summary(p)[query["MetricStat"]] for p in steps.values()],
    }


def _resource_values(context: Context, resource: str, caller: Caller) -> dict[str, list[_Value]]:
    """Return the values of each metric of a training job or a trial component, by its ARN.

    Raises: ServiceError if there is no such resource.
    """
    kind, _, name = resource.split(":", 5)[5].partition("/")
    if kind == _KIND:
        return _component_values(context, experiments.find(context, COMPONENT, name, caller))
    if kind != TRAINING:
        raise invalid(f"ResourceArn must be of a {TRAINING} or a {_KIND}; got '{resource}'.")
    job = context.store.get(TRAINING, name)
    if job is None:
        raise not_found(f"Training job '{resource}' does not exist.")
    return _job_values(context, job)


def _component_values(context: Context, component: Record) -> dict[str, list[_Value]]:
    """Return the values of each metric: those of the component's job, then its own by time."""
    job = job_components.job_of(context, component)
    is_training = "Job" in component and component["Job"][0] == TRAINING
    values = _job_values(context, job) if job and is_training else {}
    source = component["TrialComponentArn"]
    for metric, added in component.get("Points", {}).items():
        for value in sorted(added, key=lambda value: (value["Timestamp"], value["Step"])):
            milliseconds = round(value["Timestamp"].timestamp() * 1000)
            point = metrics.Point(milliseconds, value["Value"])
            values.setdefault(metric, []).append(_Value(source, value["Step"], point))
    return values


def _job_values(context: Context, job: Record) -> dict[str, list[_Value]]:
    """Return the values that a training job's log has, whose steps count from 0."""
    source = job["TrainingJobArn"]
    return {
        metric: [_Value(source, step, point) for step, point in enumerate(points)]
        for metric, points in scrape_metrics(context, job).items()
    }


def _set_trials(context: Context, request: Record, caller: Caller, is_member: bool) -> Record:
    component = experiments.find(context, COMPONENT, request["TrialComponentName"], caller)
    record = experiments.find(context, TRIAL, request["TrialName"], caller)
    name, trial = component["TrialComponentName"], record["TrialName"]
    if not is_member and trial not in component["Trials"]:
        raise not_found(f"TrialComponent {name} is not associated with Trial {trial}.")

    def change(record: Record) -> Record:
        others = [each for each in record["Trials"] if each != trial]
        return {"Trials": [*others, trial] if is_member else others}

    context.store.modify(_KIND, name, change)
    return {"TrialComponentArn": component["TrialComponentArn"], "TrialArn": record["TrialArn"]}


def _check_sizes(component: Mapping[str, object]) -> None:
    """Refuse more parameters or artifacts than a component may have."""
    checked = {member: component[member] for member in ("TrialComponentName", *_MAPS)}
    validation.check("CreateTrialComponent", checked)


def _with_times(members: Record) -> Record:
    times = ("StartTime", "EndTime")
    return {k: timestamp(v) if k in times else v for k, v in members.items()}
