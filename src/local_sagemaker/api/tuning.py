"""SageMaker's operations on tuning jobs."""

import collections
from typing import Any

from local_sagemaker.api import training, tuning_checks, validation
from local_sagemaker.api.pagination import listing
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.errors import in_use, invalid, not_found
from local_sagemaker.jobs.evaluations import FINAL, KIND, best_job, jobs_of, parents_of
from local_sagemaker.jobs.tuning import TrainingApi, TuningJob
from local_sagemaker.storage.records import Record, now

_STATUS = "HyperParameterTuningJobStatus"


def create_hyper_parameter_tuning_job(context: Context, request: Record, caller: Caller) -> Record:
    """Create a tuning job and start it."""
    tuning_checks.complete(context, request)
    name = request["HyperParameterTuningJobName"]
    resource = arn(KIND, name, caller.region)
    record = {
        **request,
        "HyperParameterTuningJobArn": resource,
        _STATUS: "InProgress",
        "CreationTime": now(),
    }
    if not context.store.add(KIND, name, record):
        raise in_use(f"A tuning job with this name already exists ({resource})")
    api = TrainingApi(
        create=lambda members: training.create_training_job(context, members, caller),
        stop=lambda members: training.stop_training_job(context, members, caller),
    )
    TuningJob(context, api, name).submit()
    return {"HyperParameterTuningJobArn": resource}


def describe_hyper_parameter_tuning_job(context: Context, request: Record, _: Caller) -> Record:
    """Return a tuning job, with its counts and its best training job so far."""
    return with_results(context, _record(context, request["HyperParameterTuningJobName"]))


def list_hyper_parameter_tuning_jobs(context: Context, request: Record, _: Caller) -> Record:
    """Return the tuning jobs."""
    records = [with_results(context, record) for record in context.store.all(KIND)]
    for record in records:
        config = record["HyperParameterTuningJobConfig"]
        record |= {"Strategy": config["Strategy"], "ResourceLimits": config["ResourceLimits"]}
    operation = "ListHyperParameterTuningJobs"
    return listing(operation, records, request, "HyperParameterTuningJobName", _STATUS)


def list_training_jobs_for_hyper_parameter_tuning_job(
    context: Context, request: Record, _: Caller
) -> Record:
    """Return a tuning job's training jobs."""
    name = request["HyperParameterTuningJobName"]
    _record(context, name)
    jobs = jobs_of(context, name)
    if request.get("SortBy") == "FinalObjectiveMetricValue":
        with_value = [job for job in jobs if job[FINAL]]
        jobs = [{**job, "FinalObjectiveMetricValue": job[FINAL]["Value"]} for job in with_value]
    operation = "ListTrainingJobsForHyperParameterTuningJob"
    return listing(operation, jobs, request, "TrainingJobName", "TrainingJobStatus")


def stop_hyper_parameter_tuning_job(context: Context, request: Record, _: Caller) -> Record:
    """Ask a tuning job to stop."""
    name = request["HyperParameterTuningJobName"]
    status = _record(context, name)[_STATUS]
    job: Any = context.running.get((KIND, name))
    if status != "InProgress" or job is None:
        raise invalid(f"The request was rejected because the tuning job is in status {status}.")
    context.store.move(KIND, name, _STATUS, "InProgress", "Stopping")
    job.stop()
    return {}


def delete_hyper_parameter_tuning_job(context: Context, request: Record, _: Caller) -> Record:
    """Delete a tuning job that has ended; its training jobs stay."""
    name = request["HyperParameterTuningJobName"]
    if _record(context, name)[_STATUS] in ("InProgress", "Stopping"):
        raise in_use(f"The tuning job {name} runs; stop it first.")
    context.store.remove(KIND, name)
    return {}


def with_results(context: Context, record: Record) -> Record:
    """Return a tuning job's record with its counts and its best training job so far."""
    jobs = jobs_of(context, record["HyperParameterTuningJobName"])
    count = collections.Counter(job["TrainingJobStatus"] for job in jobs)
    status = collections.Counter(job["ObjectiveStatus"] for job in jobs)
    end = record.get("HyperParameterTuningEndTime") or now()
    results: Record = {
        **record,
        "TrainingJobStatusCounters": {
            "Completed": count["Completed"],
            "InProgress": count["InProgress"] + count["Stopping"],
            "RetryableError": 0,
            "NonRetryableError": count["Failed"],
            "Stopped": count["Stopped"],
        },
        "ObjectiveStatusCounters": {key: status[key] for key in ("Succeeded", "Pending", "Failed")},
        "BestTrainingJob": _summary(best_job(jobs)),
        "ConsumedResources": {
            "RuntimeInSeconds": round((end - record["CreationTime"]).total_seconds())
        },
    }
    warm_start = record.get("WarmStartConfig") or {}
    if warm_start.get("WarmStartType") == "IdenticalDataAndAlgorithm":
        of_parents = [job for name in parents_of(record) for job in jobs_of(context, name)]
        results["OverallBestTrainingJob"] = _summary(best_job([*jobs, *of_parents]))
    return results


def _summary(job: Record | None) -> Record | None:
    shape = validation.summary_shape("ListTrainingJobsForHyperParameterTuningJob")[1]
    return job and validation.select(job, shape)


def _record(context: Context, name: str) -> Record:
    record = context.store.get(KIND, name)
    if record is None:
        raise not_found(f"Amazon SageMaker can't find a tuning job with name {name}.")
    return record
