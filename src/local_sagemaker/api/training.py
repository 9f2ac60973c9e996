"""SageMaker's operations on training jobs."""

import shutil
from collections.abc import Mapping
from typing import Any

from local_sagemaker import builtin
from local_sagemaker.api.errors import in_use, invalid
from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import LocalError
from local_sagemaker.jobs.training import KIND, TrainingRun, moved
from local_sagemaker.storage import channels, metrics, objects
from local_sagemaker.storage.records import Record, now

_HOLD = 25.0  # seconds; botocore waits for 60
_ENDED = ("Completed", "Failed", "Stopped")


class TrainingApi:
    """Training jobs."""

    def __init__(self, context: Context):
        """Work on the context's records."""
        self._context, self._store = context, context.store
        self._held: set[str] = set()

    def create_training_job(self, request: Record, caller: Caller) -> Record:
        """Start a job, or let it wait for a core."""
        specification = dict(request["AlgorithmSpecification"])
        image = specification.get("TrainingImage")
        if not image:
            raise invalid("AlgorithmSpecification needs a TrainingImage here.")
        if "InstanceCount" not in request.get("ResourceConfig", {}):
            raise invalid("ResourceConfig needs an InstanceType and an InstanceCount here.")
        if problem := self._context.runner.problem(image):
            raise invalid(f"{problem[0].upper()}{problem[1:]}.")
        if request["ResourceConfig"]["InstanceCount"] > 1 and not self._context.runner.has_network:
            raise invalid(
                f"InstanceCount must be 1 with the backend {self._context.runner.name!r}:"
                " its hosts could not find each other; start the service with --backend docker."
            )
        channels.check(request.get("InputDataConfig") or (), specification["TrainingInputMode"])
        _check_output(request["OutputDataConfig"])
        definitions = builtin.metric_definitions(specification)
        metrics.check_definitions(definitions)
        specification["MetricDefinitions"] = definitions
        name, made = (
            request["TrainingJobName"],
            arn(KIND, request["TrainingJobName"], caller.region),
        )
        record: Record = {
            "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
            "EnableNetworkIsolation": False,
            "EnableInterContainerTrafficEncryption": False,
            "EnableManagedSpotTraining": False,
            **request,
            "AlgorithmSpecification": specification,
            "TrainingJobArn": made,
            "TrainingJobStatus": "InProgress",
            "CreationTime": now(),
        }
        record |= moved(record, "Starting")
        if not self._store.add(KIND, name, record):
            raise in_use(
                "Training job names must be unique within an AWS account and region, and a"
                f" training job with this name already exists ({made})"
            )
        run = TrainingRun(self._context, name)
        self._held.discard(name)
        waits = len(self._context.running) >= self._context.settings.cores
        if waits:
            self._store.update(KIND, name, **moved(record, "Pending"))
        run.submit()
        return {"TrainingJobArn": made}

    def describe_training_job(self, request: Record, caller: Caller) -> Record:
        """Return a job.

        The SDK looks at once, and then every 30 s only; boto3's waiter every 120 s. So the first
        look is answered when the job has ended, if that takes 25 s at most.
        """
        name = request["TrainingJobName"]
        self._known(name)
        if caller.waits and name not in self._held:
            self._held.add(name)
            self._store.wait(KIND, name, _has_ended, _HOLD)
        return self._known(name)

    def list_training_jobs(self, request: Record, _: Caller) -> Record:
        """Return the jobs."""
        records = self._store.all(KIND)
        return listing("ListTrainingJobs", records, request, "TrainingJobName", "TrainingJobStatus")

    def stop_training_job(self, request: Record, _: Caller) -> Record:
        """Ask a job to end."""
        name = request["TrainingJobName"]
        record = self._known(name)
        if record["TrainingJobStatus"] in _ENDED:
            raise invalid(
                f"The request was rejected because the training job is in status"
                f" {record['TrainingJobStatus']}."
            )
        run = self._context.running.get((KIND, name))
        if run is not None:
            self._store.move(KIND, name, "TrainingJobStatus", "InProgress", "Stopping")
            run.stop()
        return {}

    def delete_training_job(self, request: Record, _: Caller) -> Record:
        """Forget a job that has ended."""
        name = request["TrainingJobName"]
        if self._known(name)["TrainingJobStatus"] not in _ENDED:
            raise in_use(f"The training job {name} runs; stop it first.")
        self._store.remove(KIND, name)
        self._context.followers.pop(name, None)
        shutil.rmtree(self._context.folder(KIND, name), ignore_errors=True)  # its log
        return {}

    def _known(self, name: str) -> Record:
        record = self._store.get(KIND, name)
        if record is None:
            raise invalid("Requested resource not found.")
        return record


def _check_output(config: Mapping[str, Any]) -> None:
    try:
        objects.split_uri(config["S3OutputPath"])
    except LocalError as error:
        raise invalid(str(error)) from error
    if config.get("CompressionType", "GZIP") != "GZIP":
        raise invalid("OutputDataConfig: CompressionType NONE is not offered here; GZIP is.")


def _has_ended(record: Record | None) -> bool:
    return record is None or record["TrainingJobStatus"] in _ENDED
