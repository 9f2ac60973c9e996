"""Restores records after a restart of the service."""

from collections.abc import Callable
from typing import Any

from local_sagemaker.context import Context
from local_sagemaker.hosting.endpoints import KIND as ENDPOINT
from local_sagemaker.jobs import processing, training, training_metrics, transform
from local_sagemaker.jobs.evaluations import KIND as TUNING
from local_sagemaker.jobs.training import KIND as TRAINING
from local_sagemaker.jobs.transform import KIND as TRANSFORM
from local_sagemaker.storage import metrics
from local_sagemaker.storage.records import now
from local_sagemaker.storage.stored_logs import add_stream

_REASON = "InternalServerError: the local service ended while the job ran."
_RUNNING = ("InProgress", "Stopping")


def restore(context: Context, progress: Callable[[str], None]) -> list[str]:
    """Fail the jobs that were running, restore logs and metrics, and start the endpoints.

    Args:
        context: the service.
        progress: is called with what is restored next.

    Returns: messages for the user, a line each.
    """
    context.clear_work()
    return [*_training_jobs(context, progress), *_other_jobs(context), *_endpoints(context)]


def _training_jobs(context: Context, progress: Callable[[str], None]) -> list[str]:
    jobs, failed = context.store.all(TRAINING), 0
    data: list[dict[str, Any]] = []
    for record in jobs:
        name = record["TrainingJobName"]
        progress(f"training job {name}")
        for stream, file in context.log_files(TRAINING, name).items():
            add_stream(training_metrics.GROUP, stream, file)
        if record["TrainingJobStatus"] in _RUNNING:
            failed += 1
            points = training_metrics.scrape_metrics(context, record)
            training_metrics.store_metrics(context, name, points)
            changes = {
                "TrainingJobStatus": "Failed",
                "FailureReason": _REASON,
                "TrainingEndTime": now(),
                "FinalMetricDataList": metrics.final(points),
            }
            context.store.update(
                TRAINING, name, **changes, **training.next_status(record, "Failed", _REASON)
            )
        data += metrics.data(training_metrics.stored_metrics(context, name), name)
    metrics.publish(training_metrics.GROUP, data)
    notes = [f"{len(jobs)} training jobs were restored"] if jobs else []
    return notes + ([f"{failed} of them were running and are marked failed"] if failed else [])


def _other_jobs(context: Context) -> list[str]:
    notes = []
    for kind, title, end, group in (
        (TRANSFORM, "TransformJob", "TransformEndTime", transform.GROUP),
        (processing.KIND, "ProcessingJob", "ProcessingEndTime", processing.GROUP),
        (TUNING, "HyperParameterTuningJob", "HyperParameterTuningEndTime", ""),  # has no log
    ):
        for record in context.store.all(kind):
            for stream, file in context.log_files(kind, record[f"{title}Name"]).items():
                add_stream(group, stream, file)
            if record[f"{title}Status"] in _RUNNING:
                changes = {f"{title}Status": "Failed", "FailureReason": _REASON, end: now()}
                context.store.update(kind, record[f"{title}Name"], **changes)
                notes.append(f"{kind} {record[f'{title}Name']} was running and is marked failed")
    return notes


def _endpoints(context: Context) -> list[str]:
    return [context.endpoints.restore(record) for record in context.store.all(ENDPOINT)]
