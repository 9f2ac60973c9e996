"""SageMaker's operations on training jobs."""

from collections.abc import Mapping
from typing import Any

from local_sagemaker import builtin
from local_sagemaker.api import job_components
from local_sagemaker.api.jobs import JobKind
from local_sagemaker.api.long_poll import forget
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import in_use, invalid
from local_sagemaker.jobs.training import KIND, TrainingJob, next_status
from local_sagemaker.jobs.training_metrics import METRICS
from local_sagemaker.storage import channels, metrics, objects
from local_sagemaker.storage.records import Record, now

_MAX_SECONDS = 28 * 24 * 3600
_JOBS = JobKind(
    KIND, "TrainingJob", "training job", lambda _: invalid("Requested resource not found.")
)


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
    return _JOBS.describe(context, request, caller)


def list_training_jobs(context: Context, request: Record, _: Caller) -> Record:
    """Return the jobs."""
    return _JOBS.list_all(context, request)


def stop_training_job(context: Context, request: Record, _: Caller) -> Record:
    """Ask a job to stop."""
    _JOBS.stop(context, request)
    return {}


def delete_training_job(context: Context, request: Record, _: Caller) -> Record:
    """Delete a job that has ended, with its log and its trial component."""
    _JOBS.delete(context, request)
    name = request["TrainingJobName"]
    context.store.remove(METRICS, name)
    context.metric_scrapers.pop(name, None)
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
