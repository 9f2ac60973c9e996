"""A tuning job: runs training jobs with the hyperparameters that a search proposes."""

import threading
import time
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_sagemaker import builtin
from local_sagemaker.context import Context
from local_sagemaker.errors import ServiceError
from local_sagemaker.jobs import search
from local_sagemaker.jobs.base import ENDED
from local_sagemaker.jobs.training import KIND as TRAINING
from local_sagemaker.jobs.training import scrape_metrics
from local_sagemaker.storage.records import Record, now

KIND = "hyper-parameter-tuning-job"
FINAL = "FinalHyperParameterTuningJobObjectiveMetric"
_COPIED = (
    *("RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition"),
    *("VpcConfig", "EnableNetworkIsolation", "EnableManagedSpotTraining", "CheckpointConfig"),
    *("EnableInterContainerTrafficEncryption", "Environment"),
)


@dataclass(frozen=True)
class TrainingApi:
    """The operations that a tuning job calls, as functions of the request."""

    create: Callable[[Record], Any]
    stop: Callable[[Record], Any]


@dataclass
class Trial:
    """A training job and its key in the search."""

    name: str
    key: Any
    reported: int = 0  # values of the objective that the search has
    pruned: bool = False


class TuningJob:
    """Runs a tuning job in a thread of its own; its training jobs wait in the service's queue."""

    def __init__(self, context: Context, api: TrainingApi, name: str):
        """Take the name of a tuning job whose record exists."""
        self._context, self._api, self._name = context, api, name
        self._stopping = threading.Event()
        self._abandoned: str | None = None
        record = context.store.get(KIND, name) or {}
        self._config = record["HyperParameterTuningJobConfig"]
        self._definition = record["TrainingJobDefinition"]
        self._objective = self._config["HyperParameterTuningJobObjective"]
        self._limits = self._config["ResourceLimits"]
        self._maximize = self._objective["Type"] == "Maximize"
        self._max_jobs = self._limits.get("MaxNumberOfTrainingJobs")
        seed = int(self._config.get("RandomSeed", 0))
        ranges = self._config.get("ParameterRanges") or {}
        self._search = search.create(ranges, self._config["Strategy"], self._maximize, seed)
        if isinstance(self._search, search.Grid):
            self._max_jobs = min(self._max_jobs or self._search.size, self._search.size)

    def submit(self) -> None:
        """Start the thread."""
        self._context.running[KIND, self._name] = self
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """Ask the job and its running training jobs to stop."""
        self._stopping.set()

    def abandon(self, reason: str) -> None:
        """Fail the job, because the service stops."""
        self._abandoned = reason
        self._end("Failed", reason)
        self._stopping.set()

    def _run(self) -> None:
        try:
            self._run_trials()
        except ServiceError as error:  # the service refuses a training job
            self._end("Failed", error.message)
        except Exception as error:
            traceback.print_exc()
            self._end("Failed", f"InternalServerError: {type(error).__name__}: {error}")
        finally:
            self._context.running.pop((KIND, self._name), None)

    def _run_trials(self) -> None:
        deadline = time.monotonic() + self._limits.get("MaxRuntimeInSeconds", 10**9)
        active: list[Trial] = []
        started = 0
        while True:
            if not self._target_reached() and time.monotonic() < deadline:
                added = self._start_trials(started, len(active))
                started += len(added)
                active += added
            if not active:
                break
            if self._stopping.wait(0.1) or time.monotonic() > deadline:
                for trial in active:
                    self._stop(trial.name)
            active = [trial for trial in active if not self._has_ended(trial)]
        if self._abandoned:
            return
        jobs = jobs_of(self._context, self._name)
        if jobs and all(job["TrainingJobStatus"] == "Failed" for job in jobs):
            self._end("Failed", f"All training jobs failed: {jobs[0].get('FailureReason', '')}")
        else:
            self._end("Stopped" if self._stopping.is_set() else "Completed")

    def _start_trials(self, started: int, active: int) -> list[Trial]:
        """Start as many training jobs as the limits allow."""
        trials: list[Trial] = []
        while (
            started + len(trials) < self._max_jobs
            and active + len(trials) < self._limits["MaxParallelTrainingJobs"]
            and not self._stopping.is_set()
            and (proposal := self._search.propose()) is not None
        ):
            key, values = proposal
            trials.append(Trial(self._start(started + len(trials) + 1, values), key))
        return trials

    def _start(self, number: int, values: dict[str, str]) -> str:
        """Create a training job with these hyperparameters and return its name."""
        definition = self._definition
        name = f"{self._name}-{number:03d}-{uuid.uuid4().hex[:8]}"
        request: Record = {key: definition[key] for key in _COPIED if key in definition}
        if "ResourceConfig" not in request:
            request["ResourceConfig"] = _resources(definition)
        request |= {
            "TrainingJobName": name,
            "AlgorithmSpecification": builtin.requested(definition["AlgorithmSpecification"]),
            "HyperParameters": {**definition["StaticHyperParameters"], **values},
        }
        self._api.create(request)
        record = self._context.store.get(KIND, self._name) or {}
        self._context.store.update(
            TRAINING,
            name,
            TuningJobArn=record.get("HyperParameterTuningJobArn"),
            TunedHyperParameters=values,
        )
        return name

    def _has_ended(self, trial: Trial) -> bool:
        record = self._context.store.get(TRAINING, trial.name)
        if record is None:
            self._search.finish(trial.key, None)
            return True
        if record["TrainingJobStatus"] in ENDED:
            objective = final_objective(record, self._objective)
            self._search.finish(trial.key, None if objective is None else objective["Value"])
            return True
        if self._config.get("TrainingJobEarlyStoppingType") == "Auto" and not trial.pruned:
            self._prune(trial, record)
        return False

    def _prune(self, trial: Trial, record: Record) -> None:
        """Report a trial's new values, and stop it if the search expects nothing from it."""
        values, name = scrape_metrics(self._context, record), self._objective["MetricName"]
        points = values.get(f"{name}:epoch") or values.get(name, [])
        for point in points[trial.reported :]:
            trial.pruned |= self._search.report(trial.key, trial.reported, point.value)
            trial.reported += 1
        if trial.pruned:
            self._stop(trial.name)

    def _stop(self, name: str) -> None:
        try:
            self._api.stop({"TrainingJobName": name})
        except ServiceError:
            pass  # it has just ended

    def _target_reached(self) -> bool:
        criteria = self._config.get("TuningJobCompletionCriteria") or {}
        target = criteria.get("TargetObjectiveMetricValue")
        if target is None:
            return False
        best = best_job(self._context, self._name, self._objective)
        if best is None:
            return False
        value = best[FINAL]["Value"]
        return bool(value >= target if self._maximize else value <= target)

    def _end(self, status: str, reason: str | None = None) -> None:
        self._context.store.update(
            KIND,
            self._name,
            HyperParameterTuningJobStatus=status,
            HyperParameterTuningEndTime=now(),
            FailureReason=reason,
        )


def _resources(definition: Record) -> Record:
    """Return ResourceConfig from the newer member, which may list several instance types."""
    newer = definition.get("HyperParameterTuningResourceConfig") or {}
    first = (newer.get("InstanceConfigs") or [{}])[0]
    names = ("InstanceType", "InstanceCount", "VolumeSizeInGB")
    return {key: newer.get(key, first.get(key)) for key in names if newer.get(key, first.get(key))}


def jobs_of(context: Context, name: str) -> list[Record]:
    """Return the training jobs of a tuning job, as the API lists them."""
    record = context.store.get(KIND, name)
    if record is None:
        return []
    objective = record["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    jobs = []
    for job in context.store.all(TRAINING):
        if job.get("TuningJobArn") == record["HyperParameterTuningJobArn"]:
            final = final_objective(job, objective)
            ended = job["TrainingJobStatus"] in ENDED
            status = ("Succeeded" if final else "Failed") if ended else "Pending"
            jobs.append({**job, FINAL: final, "ObjectiveStatus": status})
    return jobs


def final_objective(job: Record, objective: Record) -> Record | None:
    """Return a job's final value of the objective, or None."""
    for metric in job.get("FinalMetricDataList") or ():
        if metric["MetricName"] == objective["MetricName"]:
            return {**objective, "Value": metric["Value"]}
    return None


def best_job(context: Context, name: str, objective: Record) -> Record | None:
    """Return the training job with the best final value, or None."""
    jobs = [job for job in jobs_of(context, name) if job[FINAL]]
    best = max if objective["Type"] == "Maximize" else min
    return best(jobs, key=lambda job: job[FINAL]["Value"]) if jobs else None
