"""SageMaker's operations on batch transform jobs."""

from local_sagemaker.api import job_components
from local_sagemaker.api.jobs import JobKind
from local_sagemaker.api.long_poll import forget
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import in_use, invalid, not_found
from local_sagemaker.hosting.containers import is_direct
from local_sagemaker.hosting.endpoints import MODEL
from local_sagemaker.jobs.data_processing import DataProcessing, media_type
from local_sagemaker.jobs.transform import KIND, TransformJob
from local_sagemaker.storage import objects
from local_sagemaker.storage.records import Record, now

_RECORDS = "application/x-recordio-protobuf"
_JOBS = JobKind(
    KIND,
    "TransformJob",
    "transform job",
    lambda name: not_found(f"Could not find transform job {name}."),
)


def create_transform_job(context: Context, request: Record, caller: Caller) -> Record:
    """Create a job and queue it."""
    name, model = request["TransformJobName"], request["ModelName"]
    if (found := context.store.get(MODEL, model)) is None:
        raise invalid(f'Could not find model "{arn(MODEL, model, caller.region)}".')
    if is_direct(found):
        raise invalid(f"A transform job needs Mode Serial; the model {model} has Mode Direct.")
    _check(context, request)
    job_components.check(context, KIND, request, caller)
    resource = arn(KIND, name, caller.region)
    record = {
        **request,
        "TransformJobArn": resource,
        "TransformJobStatus": "InProgress",
        "CreationTime": now(),
    }
    with context.store.together():
        if not context.store.add(KIND, name, record):
            raise in_use(f"A transform job with this name already exists ({resource})")
        job_components.create(context, KIND, record, caller)
    forget(context, KIND, name)
    TransformJob(context, name).submit()
    return {"TransformJobArn": resource}


def describe_transform_job(context: Context, request: Record, caller: Caller) -> Record:
    """Return a job. The first call waits until it has ended: see `first_describe`."""
    return _JOBS.describe(context, request, caller)


def list_transform_jobs(context: Context, request: Record, _: Caller) -> Record:
    """Return the jobs."""
    return _JOBS.list_all(context, request)


def stop_transform_job(context: Context, request: Record, _: Caller) -> Record:
    """Ask a job to stop."""
    _JOBS.stop(context, request)
    return {}


def _check(context: Context, request: Record) -> None:
    source, output = request["TransformInput"], request["TransformOutput"]
    data = source["DataSource"]["S3DataSource"]
    if source.get("SplitType") == "TFRecord":
        raise invalid("SplitType must be None, Line or RecordIO; TFRecord is not offered here.")
    if data["S3DataType"] == "AugmentedManifestFile":
        raise invalid("S3DataType must be S3Prefix or ManifestFile for a transform job.")
    if request.get("DataCaptureConfig"):
        raise invalid("DataCaptureConfig is not offered here: no data is captured.")
    if output.get("AssembleWith") == "Line" and media_type(output.get("Accept")) == _RECORDS:
        raise invalid(f"AssembleWith must be None for Accept {_RECORDS}; Line breaks its records.")
    payload, concurrent = request.get("MaxPayloadInMB", 0), request.get("MaxConcurrentTransforms")
    if payload * max(1, concurrent or 1) > 100:
        raise invalid(
            "MaxPayloadInMB, and its product with MaxConcurrentTransforms, must not exceed 100 MB;"
            f" got {payload} and {concurrent}."
        )
    DataProcessing(request)
    objects.check_bucket(context.s3, output["S3OutputPath"], "TransformOutput.S3OutputPath")
    objects.check_input(context.s3, data["S3Uri"])
