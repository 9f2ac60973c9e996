"""The definitions of a tuning job, its training jobs, and their objectives."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from local_sagemaker import builtin
from local_sagemaker.context import Context
from local_sagemaker.jobs.base import ENDED
from local_sagemaker.jobs.training import KIND as TRAINING
from local_sagemaker.storage.records import Record, now

KIND = "hyper-parameter-tuning-job"
FINAL = "FinalHyperParameterTuningJobObjectiveMetric"
_CONVERGED = 30  # training jobs without an improvement of 1 % after which a tuning job converged
_COPIED = (
    *("RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition"),
    *("VpcConfig", "EnableNetworkIsolation", "EnableManagedSpotTraining", "CheckpointConfig"),
    *("EnableInterContainerTrafficEncryption", "Environment", "RetryStrategy"),
)


def definitions_of(record: Record) -> list[Record]:
    """Return a tuning job's training job definitions, each with its objective and its ranges."""
    if several := record.get("TrainingJobDefinitions"):
        return list(several)
    config = record["HyperParameterTuningJobConfig"]
    common = {
        "TuningObjective": config.get("HyperParameterTuningJobObjective"),
        "HyperParameterRanges": config.get("ParameterRanges"),
    }
    return [{**common, **record["TrainingJobDefinition"]}]


def jobs_of(context: Context, name: str) -> list[Record]:
    """Return the training jobs of a tuning job, as the API lists them."""
    record = context.store.get(KIND, name)
    if record is None:
        return []
    objectives = {
        definition.get("DefinitionName"): definition["TuningObjective"]
        for definition in definitions_of(record)
    }
    jobs = []
    for job in context.store.all(TRAINING):
        if job.get("TuningJobArn") == record["HyperParameterTuningJobArn"]:
            final = final_objective(job, objectives[job.get("TrainingJobDefinitionName")])
            ended = job["TrainingJobStatus"] in ENDED
            status = ("Succeeded" if final else "Failed") if ended else "Pending"
            jobs.append({**job, FINAL: final, "ObjectiveStatus": status, "TuningJobName": name})
    return jobs


def parents_of(record: Record) -> list[str]:
    """Return the names of a tuning job's parents."""
    entries = (record.get("WarmStartConfig") or {}).get("ParentHyperParameterTuningJobs") or ()
    return [entry.get("HyperParameterTuningJobName", "") for entry in entries]


def final_objective(job: Record, objective: Record) -> Record | None:
    """Return a job's final value of the objective, or None."""
    for metric in job.get("FinalMetricDataList") or ():
        if metric["MetricName"] == objective["MetricName"]:
            return {**objective, "Value": metric["Value"]}
    return None


def best_job(jobs: Sequence[Record]) -> Record | None:
    """Return the job with the best final objective, or None; all have the same objective type."""
    jobs = [job for job in jobs if job[FINAL]]
    if not jobs:
        return None
    best = max if jobs[0][FINAL]["Type"] == "Maximize" else min
    return best(jobs, key=lambda job: job[FINAL]["Value"])


def completion(
    criteria: Mapping[str, Any], values: Sequence[float], maximize: bool
) -> tuple[bool, Record]:
    """Return whether TuningJobCompletionCriteria are met, and TuningJobCompletionDetails.

    Args:
        criteria: the criteria.
        values: the final objectives, in the order in which the training jobs ended; at least one.
        maximize: whether a larger objective is better.
    """
    count, best = 0, values[0]
    for value in values[1:]:
        gain = value - best if maximize else best - value
        improves = gain > 0 and gain >= 0.01 * abs(best)
        best, count = (value, 0) if improves else (best, count + 1)
    details: Record = {"NumberOfTrainingJobsObjectiveNotImproving": count}
    complete = False
    if count >= _CONVERGED:
        details["ConvergenceDetectedTime"] = now()
        switch = criteria.get("ConvergenceDetected") or {}
        complete = switch.get("CompleteOnConvergence") == "Enabled"
    limits = criteria.get("BestObjectiveNotImproving") or {}
    complete |= count >= limits.get("MaxNumberOfTrainingJobsNotImproving", math.inf)
    if (target := criteria.get("TargetObjectiveMetricValue")) is not None:
        complete |= max(values) >= target if maximize else min(values) <= target
    return complete, details


def training_request(definition: Record, values: dict[str, str]) -> Record:
    """Return CreateTrainingJob's request for a definition, without a name."""
    request: Record = {key: definition[key] for key in _COPIED if key in definition}
    if newer := definition.get("HyperParameterTuningResourceConfig"):
        # The first of several instance types: all of them are this machine.
        first = (newer.get("InstanceConfigs") or [{}])[0]
        names = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
        merged = {**newer, **first}
        request["ResourceConfig"] = {name: merged[name] for name in names if name in merged}
    request["AlgorithmSpecification"] = builtin.requested(definition["AlgorithmSpecification"])
    request["HyperParameters"] = {**definition["StaticHyperParameters"], **values}
    return request


def resources(config: Record, definition: Record) -> tuple[int, int] | None:
    """Return Hyperband's least and largest number of epochs of a training job, else None."""
    if config["Strategy"] != "Hyperband":
        return None
    limits = (config.get("StrategyConfig") or {}).get("HyperbandStrategyConfig") or {}
    static = definition.get("StaticHyperParameters") or {}
    names = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
    largest = limits.get("MaxResource") or next((int(static[n]) for n in names if n in static), 0)
    return limits.get("MinResource", 1), largest
