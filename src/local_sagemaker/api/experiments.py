"""SageMaker's operations on experiments and trials, and the records that trial components share."""

from collections.abc import Callable
from typing import Any

from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import invalid, not_found
from local_sagemaker.storage import lineage
from local_sagemaker.storage.records import Record, now

# The kind of each record, by the title that its members begin with.
KINDS = {
    "Experiment": "experiment",
    "Trial": "experiment-trial",
    "TrialComponent": "experiment-trial-component",
}
EXPERIMENT, TRIAL, COMPONENT = KINDS


def create_experiment(context: Context, request: Record, caller: Caller) -> Record:
    """Create an experiment."""
    return create(context, EXPERIMENT, request, caller)


def describe_experiment(context: Context, request: Record, caller: Caller) -> Record:
    """Return an experiment."""
    return find(context, EXPERIMENT, request["ExperimentName"], caller)


def list_experiments(context: Context, request: Record, _: Caller) -> Record:
    """Return the experiments."""
    return entries(context, EXPERIMENT, request, lambda record: True)


def update_experiment(context: Context, request: Record, caller: Caller) -> Record:
    """Change the display name or the description."""
    return _update(context, EXPERIMENT, request, caller)


def delete_experiment(context: Context, request: Record, caller: Caller) -> Record:
    """Delete an experiment that has no trials."""
    name = find_name(context, EXPERIMENT, request, caller)
    trials = context.store.all(KINDS[TRIAL])
    linked = any(trial["ExperimentName"] == name for trial in trials)
    return delete(context, EXPERIMENT, name, caller, "trials" if linked else None)


def create_trial(context: Context, request: Record, caller: Caller) -> Record:
    """Create a trial of an experiment."""
    experiment = find_name(context, EXPERIMENT, request, caller)
    return create(context, TRIAL, {**request, "ExperimentName": experiment}, caller)


def describe_trial(context: Context, request: Record, caller: Caller) -> Record:
    """Return a trial."""
    return find(context, TRIAL, request["TrialName"], caller)


def list_trials(context: Context, request: Record, caller: Caller) -> Record:
    """Return the trials: all, of an experiment, or of a trial component."""
    experiment = find_name(context, EXPERIMENT, request, caller)
    component = find_name(context, COMPONENT, request, caller)
    of_component = find(context, COMPONENT, component, caller)["Trials"] if component else ()
    return entries(
        context,
        TRIAL,
        request,
        lambda trial: (
            experiment in (None, trial["ExperimentName"])
            and (component is None or trial["TrialName"] in of_component)
        ),
    )


def update_trial(context: Context, request: Record, caller: Caller) -> Record:
    """Change the display name."""
    return _update(context, TRIAL, request, caller)


def delete_trial(context: Context, request: Record, caller: Caller) -> Record:
    """Delete a trial that has no trial components."""
    name = find_name(context, TRIAL, request, caller)
    linked = any(name in component["Trials"] for component in context.store.all(KINDS[COMPONENT]))
    return delete(context, TRIAL, name, caller, "trial components" if linked else None)


def create(context: Context, title: str, members: Record, caller: Caller) -> Record:
    """Create a record and return its ARN as a response.

    Raises: ServiceError if the name exists.
    """
    name = members[f"{title}Name"]
    resource = arn(KINDS[title], name, caller.region)
    record = {
        "DisplayName": name,
        "CreatedBy": {},
        "LastModifiedBy": {},
        **members,
        f"{title}Arn": resource,
        "CreationTime": now(),
    }
    if lookup(context, title, name) or not context.store.add(KINDS[title], name, record):
        raise invalid(
            f"{title} names must be unique within an AWS account and region."
            f" {title} with name ({name}) already exists."
        )
    return {f"{title}Arn": resource}


def find(context: Context, title: str, name: str, caller: Caller) -> Record:
    """Return a record.

    Raises: ServiceError if there is none.
    """
    record = lookup(context, title, name)
    if record is None:
        raise not_found(f"{title} '{arn(KINDS[title], name, caller.region)}' does not exist.")
    return record


def find_name(context: Context, title: str, request: Record, caller: Caller) -> Any:
    """Return the name of the record that a request names, or None if it names none.

    Raises: ServiceError if there is no such record.
    """
    name = request.get(f"{title}Name")
    return name and find(context, title, name, caller)[f"{title}Name"]


def lookup(context: Context, title: str, name: str) -> Record | None:
    """Return a record by its name in any case: SDKs ask for some names in lower case."""
    record, lower = context.store.get(KINDS[title], name), name.lower()
    if record is not None:
        return record
    records = context.store.all(KINDS[title])
    return next((each for each in records if each[f"{title}Name"].lower() == lower), None)


def entries(
    context: Context,
    title: str,
    request: Record,
    matches: Callable[[Record], bool],
    view: Callable[[Record], Record] = dict,
) -> Record:
    """Return the response of a List operation, with the views of the records that match."""
    records = [
        {**view(record), f"{title}Source": record.get("Source")}
        for record in context.store.all(KINDS[title])
        if matches(record)
    ]
    # Unlike other List operations, these three sort names in descending order too.
    request = {"SortOrder": "Descending", **request}
    return listing(f"List{title}s", records, request, f"{title}Name")


def delete(context: Context, title: str, name: str, caller: Caller, linked: str | None) -> Record:
    """Delete a record and return its ARN as a response; `linked` is what prevents it.

    Raises: ServiceError if there is no record, or something is linked to it.
    """
    resource = find(context, title, name, caller)[f"{title}Arn"]
    if linked:
        raise invalid(
            f"{title} '{resource}' is linked to 1 or more {linked} and cannot be deleted."
        )
    remove(context, title, name)
    return {f"{title}Arn": resource}


def remove(context: Context, title: str, name: str) -> None:
    """Remove a record, if there is one, and its associations in the lineage."""
    with context.store.together():
        if record := context.store.get(KINDS[title], name):
            lineage.disassociate(context.store, record[f"{title}Arn"])
            context.store.remove(KINDS[title], name)


def _update(context: Context, title: str, request: Record, caller: Caller) -> Record:
    record = find(context, title, request[f"{title}Name"], caller)
    name, resource = record[f"{title}Name"], record[f"{title}Arn"]
    context.store.update(KINDS[title], name, **{**request, f"{title}Name": name})
    return {f"{title}Arn": resource}
