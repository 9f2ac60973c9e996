"""SageMaker's operations on batch transform jobs."""

from local_sagemaker.api.errors import in_use, invalid, not_found
from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import LocalError
from local_sagemaker.hosting.endpoints import MODEL
from local_sagemaker.jobs.transform import KIND, TransformRun
from local_sagemaker.storage import objects
from local_sagemaker.storage.records import Record, now

_HOLD = 25.0  # seconds; see training_api
_ENDED = ("Completed", "Failed", "Stopped")


class TransformApi:
    """Batch transform jobs."""

    def __init__(self, context: Context):
        """Work on the context's records."""
        self._context, self._store = context, context.store
        self._held: set[str] = set()

    def create_transform_job(self, request: Record, caller: Caller) -> Record:
        """Start a job, or let it wait for a core."""
        name, model = request["TransformJobName"], request["ModelName"]
        if self._store.get(MODEL, model) is None:
            raise invalid(f'Could not find model "{arn(MODEL, model, caller.region)}".')
        _check(request)
        made = arn(KIND, name, caller.region)
        record = {
            **request,
            "TransformJobArn": made,
            "TransformJobStatus": "InProgress",
            "CreationTime": now(),
        }
        if not self._store.add(KIND, name, record):
            raise in_use(f"A transform job with this name already exists ({made})")
        self._held.discard(name)
        TransformRun(self._context, name).submit()
        return {"TransformJobArn": made}

    def describe_transform_job(self, request: Record, caller: Caller) -> Record:
        """Return a job; the first look, once it has ended, as with training jobs."""
        name = request["TransformJobName"]
        self._known(name)
        if caller.waits and name not in self._held:
            self._held.add(name)
            self._store.wait(KIND, name, _has_ended, _HOLD)
        return self._known(name)

    def list_transform_jobs(self, request: Record, _: Caller) -> Record:
        """Return the jobs."""
        records, status = self._store.all(KIND), "TransformJobStatus"
        return listing("ListTransformJobs", records, request, "TransformJobName", status)

    def stop_transform_job(self, request: Record, _: Caller) -> Record:
        """Ask a job to end."""
        name = request["TransformJobName"]
        record = self._known(name)
        if record["TransformJobStatus"] in _ENDED:
            raise invalid(
                "The request was rejected because the transform job is in status"
                f" {record['TransformJobStatus']}."
            )
        self._store.move(KIND, name, "TransformJobStatus", "InProgress", "Stopping")
        if run := self._context.running.get((KIND, name)):
            run.stop()
        return {}

    def _known(self, name: str) -> Record:
        record = self._store.get(KIND, name)
        if record is None:
            raise not_found(f"Could not find transform job {name}.")
        return record


def _check(request: Record) -> None:
    source, output = request["TransformInput"], request["TransformOutput"]
    split = source.get("SplitType") or "None"
    if split == "TFRecord":
        raise invalid("SplitType TFRecord is not offered here; None, Line and RecordIO are.")
    if split == "None" and request.get("BatchStrategy") == "MultiRecord":
        raise invalid("BatchStrategy MultiRecord needs a SplitType other than None.")
    processing = request.get("DataProcessing") or {}
    filters = (processing.get("InputFilter", "$"), processing.get("OutputFilter", "$"))
    if processing.get("JoinSource", "None") != "None" or filters != ("$", "$"):
        raise invalid("DataProcessing is not offered here: no filter, no JoinSource.")
    for uri in (source["DataSource"]["S3DataSource"]["S3Uri"], output["S3OutputPath"]):
        try:
            objects.split_uri(uri)
        except LocalError as error:
            raise invalid(str(error)) from error


def _has_ended(record: Record | None) -> bool:
    return record is None or record["TransformJobStatus"] in _ENDED
