"""SageMaker's operations on training jobs."""

import shutil
from collections.abc import Mapping
from typing import Any

from local_sagemaker import builtin
from local_sagemaker.api import job_components
from local_sagemaker.api.long_poll import first_describe, forget
from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import in_use, invalid
from local_sagemaker.jobs.training import ENDED, KIND, TrainingJob, next_status
from local_sagemaker.jobs.training_metrics import METRICS
from local_sagemaker.storage import channels, metrics, objects
from local_sagemaker.storage.records import Record, now

_MAX_SECONDS = 28 * 24 * 3600


def create_training_job(context: Context, request: Record, caller: Caller) -> Record:
    """Create a job and queue it."""
    job_components.check(context, KIND, request, caller)
    name = request["TrainingJobName"]
    resource = arn(KIND, name, caller.region)
    record: Record = {
        **request,
        "AlgorithmSpecification": check(context, request),
        "TrainingJobArn": resource,
        "TrainingJobStatus": "InProgress",
        "CreationTime": now(),
    }
    record |= next_status(record, "Starting")
    with context.store.together():
        if not context.store.add(KIND, name, record):
            raise in_use(
                "Training job names must be unique within an AWS account and region, and a"
                f" training job with this name already exists ({resource})"
            )
        job_components.create(context, KIND, record, caller)
        if len(context.running) >= context.settings.cores:
            context.store.update(KIND, name, **next_status(record, "Pending"))
    forget(context, KIND, name)
    TrainingJob(context, name).submit()
    return {"TrainingJobArn": resource}


def describe_training_job(context: Context, request: Record, caller: Caller) -> Record:
    """Return a job. The first call waits until it has ended: see `first_describe`."""
    name = request["TrainingJobName"]
    _record(context, name)
    first_describe(context, KIND, name, caller, _has_ended)
    return _record(context, name)


def list_training_jobs(context: Context, request: Record, _: Caller) -> Record:
    """Return the jobs."""
    records = context.store.all(KIND)
    return listing("ListTrainingJobs", records, request, "TrainingJobName", "TrainingJobStatus")


def stop_training_job(context: Context, request: Record, _: Caller) -> Record:
    """Ask a job to stop."""
    name = request["TrainingJobName"]
    status = _record(context, name)["TrainingJobStatus"]
    if status in ENDED:
        raise invalid(f"The request was rejected because the training job is in status {status}.")
    job = context.running.get((KIND, name))
    if job is not None:
        context.store.move(KIND, name, "TrainingJobStatus", "InProgress", "Stopping")
        job.stop()
    return {}


def delete_training_job(context: Context, request: Record, _: Caller) -> Record:
    """Delete a job that has ended, with its log and its trial component."""
    name = request["TrainingJobName"]
    record = _record(context, name)
    if record["TrainingJobStatus"] not in ENDED:
        raise in_use(f"The training job {name} runs; stop it first.")
    context.store.remove(KIND, name)
    context.store.remove(METRICS, name)
    job_components.remove(context, KIND, record)
    context.metric_scrapers.pop(name, None)
    shutil.rmtree(context.folder(KIND, name), ignore_errors=True)
    return {}


def _algorithm(context: Context, definition: Mapping[str, Any]) -> Record:
    """Return a job's AlgorithmSpecification with its image's metric definitions."""
    _check_stopping_condition(definition)
    specification = definition.get("AlgorithmSpecification") or {}
    image = specification.get("TrainingImage")
    if not image:
        raise invalid("AlgorithmSpecification must have a TrainingImage.")
    command = specification.get("ContainerEntrypoint") or specification.get("ContainerArguments")
    if problem := context.runner.problem(image, command):
        raise invalid(f"{problem[0].upper()}{problem[1:]}.")
    channels.check(definition.get("InputDataConfig") or (), specification["TrainingInputMode"])
    definitions = builtin.metric_definitions(specification)
    metrics.check_definitions(definitions)
    return {**specification, "MetricDefinitions": definitions}


def check(context: Context, request: Record) -> Record:
    """Return the AlgorithmSpecification, with metric definitions, of a request to execute.

    Raises: ServiceError if the request cannot be executed.
    """
    specification = _algorithm(context, request)
    check_resources(context, request.get("ResourceConfig") or {}, "ResourceConfig")
    output = request["OutputDataConfig"]
    objects.check_bucket(context.s3, output["S3OutputPath"], "OutputDataConfig.S3OutputPath")
    if checkpoints := request.get("CheckpointConfig"):
        objects.check_bucket(context.s3, checkpoints["S3Uri"], "CheckpointConfig.S3Uri")
    return specification


def check_resources(context: Context, resources: Record, place: str) -> None:
    """Raise a ValidationException if a job's instances are not complete, or too many.

    Args:
        context: the service.
        resources: InstanceType, InstanceCount and VolumeSizeInGB.
        place: the name of this structure.
    """
    for member in ("InstanceType", "InstanceCount", "VolumeSizeInGB"):
        if not resources.get(member):
            least = "" if member == "InstanceType" else " and must be 1 or more"
            raise invalid(f"{place}: {member} is required{least}.")
    if resources["InstanceCount"] > 1 and not context.runner.has_network:
        raise invalid(
            f"InstanceCount must be 1 with the backend {context.runner.name!r}:"
            " its hosts could not find each other; start the service with --backend docker."
        )


def _check_stopping_condition(definition: Mapping[str, Any]) -> None:
    condition = definition.get("StoppingCondition") or {}
    wait, run = condition.get("MaxWaitTimeInSeconds"), condition.get("MaxRuntimeInSeconds", 86400)
    for member in ("MaxRuntimeInSeconds", "MaxWaitTimeInSeconds"):
        if condition.get(member, 0) > _MAX_SECONDS:
            raise invalid(f"{member} must be at most {_MAX_SECONDS}; got {condition[member]}.")
    if definition.get("EnableManagedSpotTraining"):
        if wait is None or wait < run:
            raise invalid(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to"
                " MaxRuntimeInSeconds"
            )
    elif wait is not None:
        raise invalid("MaxWaitTimeInSeconds must not be present without EnableManagedSpotTraining")


def _record(context: Context, name: str) -> Record:
    record = context.store.get(KIND, name)
    if record is None:
        raise invalid("Requested resource not found.")
    return record


def _has_ended(record: Record | None) -> bool:
    return record is None or record["TrainingJobStatus"] in ENDED
