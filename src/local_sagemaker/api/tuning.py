"""SageMaker's operations on tuning jobs."""

import collections
from typing import Any

from local_sagemaker import builtin
from local_sagemaker.api import validation
from local_sagemaker.api.errors import in_use, invalid, not_found
from local_sagemaker.api.pagination import listing
from local_sagemaker.api.training import TrainingApi
from local_sagemaker.context import Caller, Context, arn
from local_sagemaker.jobs import search
from local_sagemaker.jobs.tuning import KIND, TuningRun, best_job, jobs_of
from local_sagemaker.storage import channels, metrics
from local_sagemaker.storage.records import Record, now

_FINAL = "FinalHyperParameterTuningJobObjectiveMetric"


class TuningApi:
    """Tuning jobs."""

    def __init__(self, context: Context, training: TrainingApi):
        """Work on the context's records, and start training jobs."""
        self._context, self._store, self._training = context, context.store, training

    def create_hyper_parameter_tuning_job(self, request: Record, caller: Caller) -> Record:
        """Start a tuning job."""
        self._check(request)
        name = request["HyperParameterTuningJobName"]
        made = arn(KIND, name, caller.region)
        record = {
            **request,
            "HyperParameterTuningJobArn": made,
            "HyperParameterTuningJobStatus": "InProgress",
            "CreationTime": now(),
        }
        if not self._store.add(KIND, name, record):
            raise in_use(f"A tuning job with this name already exists ({made})")
        TuningRun(self._context, self._training, name, caller).submit()
        return {"HyperParameterTuningJobArn": made}

    def describe_hyper_parameter_tuning_job(self, request: Record, _: Caller) -> Record:
        """Return a tuning job, with its counts and its best training job so far."""
        return self._whole(self._known(request["HyperParameterTuningJobName"]))

    def list_hyper_parameter_tuning_jobs(self, request: Record, _: Caller) -> Record:
        """Return the tuning jobs."""
        operation = "ListHyperParameterTuningJobs"
        records = [self._whole(one) for one in self._store.all(KIND)]
        for one in records:
            one["Strategy"] = one["HyperParameterTuningJobConfig"]["Strategy"]
            one["ResourceLimits"] = one["HyperParameterTuningJobConfig"]["ResourceLimits"]
        status = "HyperParameterTuningJobStatus"
        return listing(operation, records, request, "HyperParameterTuningJobName", status)

    def list_training_jobs_for_hyper_parameter_tuning_job(
        self, request: Record, _: Caller
    ) -> Record:
        """Return a tuning job's training jobs."""
        name = request["HyperParameterTuningJobName"]
        self._known(name)
        jobs = jobs_of(self._context, name)
        if request.get("SortBy") == "FinalObjectiveMetricValue":
            jobs = [{**job, "FinalObjectiveMetricValue": job[_FINAL]["Value"]}
                    for job in jobs if job[_FINAL]]  # fmt: skip
        operation = "ListTrainingJobsForHyperParameterTuningJob"
        return listing(operation, jobs, request, "TrainingJobName", "TrainingJobStatus")

    def stop_hyper_parameter_tuning_job(self, request: Record, _: Caller) -> Record:
        """Ask a tuning job to end."""
        name = request["HyperParameterTuningJobName"]
        record = self._known(name)
        run: Any = self._context.running.get((KIND, name))
        if record["HyperParameterTuningJobStatus"] != "InProgress" or run is None:
            raise invalid(
                "The request was rejected because the tuning job is in status"
                f" {record['HyperParameterTuningJobStatus']}."
            )
        status = "HyperParameterTuningJobStatus"
        self._store.move(KIND, name, status, "InProgress", "Stopping")
        run.stop()
        return {}

    def _whole(self, record: Record) -> Record:
        config = record["HyperParameterTuningJobConfig"]
        jobs = jobs_of(self._context, record["HyperParameterTuningJobName"])
        objective = config["HyperParameterTuningJobObjective"]
        best = best_job(self._context, record["HyperParameterTuningJobName"], objective)
        count = collections.Counter(job["TrainingJobStatus"] for job in jobs)
        status = collections.Counter(job["ObjectiveStatus"] for job in jobs)
        shape = validation.summary_shape("ListTrainingJobsForHyperParameterTuningJob")[1]
        return {
            **record,
            "TrainingJobStatusCounters": {
                "Completed": count["Completed"],
                "InProgress": count["InProgress"] + count["Stopping"],
                "RetryableError": 0,
                "NonRetryableError": count["Failed"],
                "Stopped": count["Stopped"],
            },
            "ObjectiveStatusCounters": {
                key: status[key] for key in ("Succeeded", "Pending", "Failed")
            },
            "BestTrainingJob": best and validation.fitting(best, shape),
        }

    def _check(self, request: Record) -> None:
        config, definition = (
            request["HyperParameterTuningJobConfig"],
            request.get("TrainingJobDefinition"),
        )
        if definition is None or request.get("WarmStartConfig"):
            raise invalid(
                "A tuning job here has one TrainingJobDefinition, and no WarmStartConfig."
            )
        if config["Strategy"] not in ("Random", "Grid", "Bayesian"):
            raise invalid(
                f"Strategy {config['Strategy']} is not offered here; Random, Grid, Bayesian are."
            )
        if "HyperParameterTuningJobObjective" not in config:
            raise invalid("HyperParameterTuningJobObjective must be given.")
        ranges = config.get("ParameterRanges") or {}
        search.check(ranges, config["Strategy"])
        limits = config["ResourceLimits"]
        if config["Strategy"] != "Grid" and "MaxNumberOfTrainingJobs" not in limits:
            raise invalid("ResourceLimits: MaxNumberOfTrainingJobs must be given.")
        specification = definition["AlgorithmSpecification"]
        image = specification.get("TrainingImage")
        if not image:
            raise invalid("AlgorithmSpecification needs a TrainingImage here.")
        if problem := self._context.runner.problem(image):
            raise invalid(f"{problem[0].upper()}{problem[1:]}.")
        channels.check(definition.get("InputDataConfig") or (), specification["TrainingInputMode"])
        given = builtin.metric_definitions(specification)
        metrics.check_definitions(given)
        specification["MetricDefinitions"] = given
        wanted = config["HyperParameterTuningJobObjective"]["MetricName"]
        names = [one["Name"] for one in given]
        if wanted not in names:
            raise invalid(
                f"The objective metric {wanted} is none of the metrics: {', '.join(names)}."
            )

    def _known(self, name: str) -> Record:
        record = self._store.get(KIND, name)
        if record is None:
            raise not_found(f"Amazon SageMaker can't find a tuning job with name {name}.")
        return record
