"""SageMaker's operations on batch transform jobs."""

from local_sagemaker.api import job_components
from local_sagemaker.api.long_poll import first_describe, forget
from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import in_use, invalid, not_found
from local_sagemaker.hosting.containers import is_direct
from local_sagemaker.hosting.endpoints import MODEL
from local_sagemaker.jobs.data_processing import DataProcessing, media_type
from local_sagemaker.jobs.transform import ENDED, KIND, TransformJob
from local_sagemaker.storage import objects
from local_sagemaker.storage.records import Record, now

_RECORDS = "application/x-recordio-protobuf"


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
    name = request["TransformJobName"]
    _record(context, name)
    first_describe(context, KIND, name, caller, _has_ended)
    return _record(context, name)


def list_transform_jobs(context: Context, request: Record, _: Caller) -> Record:
    """Return the jobs."""
    records, status = context.store.all(KIND), "TransformJobStatus"
    return listing("ListTransformJobs", records, request, "TransformJobName", status)


def stop_transform_job(context: Context, request: Record, _: Caller) -> Record:
    """Ask a job to stop."""
    name = request["TransformJobName"]
    status = _record(context, name)["TransformJobStatus"]
    if status in ENDED:
        raise invalid(f"The request was rejected because the transform job is in status {status}.")
    context.store.move(KIND, name, "TransformJobStatus", "InProgress", "Stopping")
    if job := context.running.get((KIND, name)):
        job.stop()
    return {}


def _record(context: Context, name: str) -> Record:
    record = context.store.get(KIND, name)
    if record is None:
        raise not_found(f"Could not find transform job {name}.")
    return record


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


def _has_ended(record: Record | None) -> bool:
    return record is None or record["TransformJobStatus"] in ENDED
