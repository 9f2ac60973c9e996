"""What a start makes of the records that an earlier run left."""

from local_sagemaker.context import Context
from local_sagemaker.hosting.endpoints import CONFIG, Endpoints
from local_sagemaker.hosting.endpoints import KIND as ENDPOINT
from local_sagemaker.jobs.training import GROUP, found_metrics, log_files, moved, publish
from local_sagemaker.jobs.training import KIND as TRAINING
from local_sagemaker.jobs.transform import KIND as TRANSFORM
from local_sagemaker.jobs.tuning import KIND as TUNING
from local_sagemaker.storage import metrics
from local_sagemaker.storage.records import now

_REASON = "InternalServerError: the local service ended while the job ran."


def restore(context: Context, endpoints: Endpoints) -> list[str]:
    """Fail what was running, give CloudWatch its logs and metrics, bring endpoints up.

    Returns: what the user should know of it, a line each.
    """
    notes, failed = [], 0
    jobs = context.store.all(TRAINING)
    for record in jobs:
        name = record["TrainingJobName"]
        for stream, file in log_files(context, name).items():
            context.logs.restore(GROUP, stream, file)
        found = found_metrics(context, record)
        publish(context, name, found)
        if record["TrainingJobStatus"] in ("InProgress", "Stopping"):
            failed += 1
            context.store.update(
                TRAINING,
                name,
                TrainingJobStatus="Failed",
                FailureReason=_REASON,
                TrainingEndTime=now(),
                FinalMetricDataList=metrics.final(found),
                **moved(record, "Failed", _REASON),
            )
            context.runner.remove(context.work(name))
    if jobs:
        notes.append(f"{len(jobs)} training jobs are known again")
    if failed:
        notes.append(f"{failed} of them were running and are marked failed")
    for kind, title, end in (
        (TRANSFORM, "TransformJob", "TransformEndTime"),
        (TUNING, "HyperParameterTuningJob", "HyperParameterTuningEndTime"),
    ):
        for record in context.store.all(kind):
            if record[f"{title}Status"] in ("InProgress", "Stopping"):
                changes = {f"{title}Status": "Failed", "FailureReason": _REASON, end: now()}
                context.store.update(kind, record[f"{title}Name"], **changes)
                notes.append(f"{kind} {record[f'{title}Name']} was running and is marked failed")
    for record in context.store.all(ENDPOINT):
        name, config = record["EndpointName"], record["EndpointConfigName"]
        if context.store.get(CONFIG, config) is None:
            reason = f"the endpoint configuration {config} was deleted before the restart"
            context.store.update(ENDPOINT, name, EndpointStatus="Failed", FailureReason=reason)
            notes.append(f"endpoint {name} stays down: {reason}")
            continue
        context.store.update(ENDPOINT, name, EndpointStatus="Creating", FailureReason=None)
        endpoints.bring_up(name, config)
        notes.append(f"endpoint {name} starts again")
    return notes
