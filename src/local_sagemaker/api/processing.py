"""SageMaker's operations on processing jobs."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from local_sagemaker.api import defaults, job_components
from local_sagemaker.api.jobs import JobKind
from local_sagemaker.api.long_poll import forget
from local_sagemaker.api.training import check_resources
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import in_use, invalid, not_found
from local_sagemaker.jobs.processing import KIND, ProcessingJob, channel
from local_sagemaker.storage import channels, objects
from local_sagemaker.storage.records import Record, now

_FOLDER = "/opt/ml/processing/"
_JOBS = JobKind(
    KIND,
    "ProcessingJob",
    "processing job",
    lambda name: not_found(f"Could not find processing job {name}."),
)


def create_processing_job(context: Context, request: Record, caller: Caller) -> Record:
    """Create a job and queue it."""
    _check(context, request)
    job_components.check(context, KIND, request, caller)
    name = request["ProcessingJobName"]
    resource = arn(KIND, name, caller.region)
    record = {
        **defaults.complete("DescribeProcessingJob", request),
        "ProcessingJobArn": resource,
        "ProcessingJobStatus": "InProgress",
        "CreationTime": now(),
    }
    with context.store.together():
        if not context.store.add(KIND, name, record):
            raise in_use(
                "Processing job names must be unique within an AWS account and region, and a"
                f" processing job with this name already exists ({resource})"
            )
        job_components.create(context, KIND, record, caller)
    forget(context, KIND, name)
    ProcessingJob(context, name).submit()
    return {"ProcessingJobArn": resource}


def describe_processing_job(context: Context, request: Record, caller: Caller) -> Record:
    """Return a job. The first call waits until it has ended: see `first_describe`."""
    return _JOBS.describe(context, request, caller)


def list_processing_jobs(context: Context, request: Record, _: Caller) -> Record:
    """Return the jobs."""
    return _JOBS.list_all(context, request)


def stop_processing_job(context: Context, request: Record, _: Caller) -> Record:
    """Ask a job to stop."""
    _JOBS.stop(context, request)
    return {}


def delete_processing_job(context: Context, request: Record, _: Caller) -> Record:
    """Delete a job that has ended, with its log and its trial component."""
    _JOBS.delete(context, request)
    return {}


def _check(context: Context, request: Record) -> None:
    specification = request["AppSpecification"]
    command = specification.get("ContainerEntrypoint") or ()
    if problem := context.runner.problem(specification["ImageUri"], command):
        raise invalid(f"{problem[0].upper()}{problem[1:]}.")
    cluster = request["ProcessingResources"]["ClusterConfig"]
    check_resources(context, cluster, "ProcessingResources.ClusterConfig")
    inputs = request.get("ProcessingInputs") or ()
    for entry in inputs:
        _check_input(entry)
    outputs = (request.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
    for entry in outputs:
        place = f"Output {entry['OutputName']}"
        output = _checked(entry, "S3Output", place)
        objects.check_bucket(context.s3, output["S3Uri"], place)
    _check_unique("InputName", (entry["InputName"] for entry in inputs))
    _check_unique("OutputName", (entry["OutputName"] for entry in outputs))
    sources = [*(e["S3Input"] for e in inputs), *(e["S3Output"] for e in outputs)]
    _check_unique("LocalPath", (str(PurePosixPath(source["LocalPath"])) for source in sources))


def _check_input(entry: Record) -> None:
    place = f"Input {entry['InputName']}"
    source = _checked(entry, "S3Input", place)
    if source.get("S3InputMode", "File") != "File":
        raise invalid(f"{place}: S3InputMode Pipe is not offered here; use File.")
    if source.get("S3CompressionType", "None") != "None":
        raise invalid(
            f"{place}: S3CompressionType Gzip is for S3InputMode Pipe, which is not offered here;"
            " use None, and decompress the files in the container."
        )
    channels.check([channel(entry["InputName"], source)], "File")


def _checked(entry: Record, member: str, place: str) -> Record:
    """Return an S3Input or S3Output, which must have a LocalPath below /opt/ml/processing/."""
    source: Record | None = entry.get(member)
    if source is None:
        raise invalid(f"{place} must have an {member} here.")
    path = source.get("LocalPath") or ""
    if not path.startswith(_FOLDER) or ".." in PurePosixPath(path).parts:
        raise invalid(f"{place}: LocalPath must begin with {_FOLDER} and have no ..; got {path!r}.")
    return source


def _check_unique(member: str, values: Iterable[str]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise invalid(
                f"Each {member} must be unique within a job; got {value!r} {count} times."
            )
