"""One tuning job: training jobs chosen by a search, as many at once as asked."""

import threading
import time
import traceback
import uuid
from dataclasses import dataclass
from typing import Any

from local_sagemaker import builtin
from local_sagemaker.api.errors import ServiceError
from local_sagemaker.api.training import TrainingApi
from local_sagemaker.context import Caller, Context
from local_sagemaker.jobs import search
from local_sagemaker.jobs.training import KIND as TRAINING
from local_sagemaker.jobs.training import found_metrics
from local_sagemaker.storage.records import Record, now

KIND = "hyper-parameter-tuning-job"
_COPIED = (
    *("RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition"),
    *("VpcConfig", "EnableNetworkIsolation", "EnableManagedSpotTraining", "CheckpointConfig"),
    *("EnableInterContainerTrafficEncryption", "Environment"),
)
_ENDED = ("Completed", "Failed", "Stopped")


@dataclass
class Trial:
    """A training job and what the search knows it by."""

    name: str
    key: Any
    seen: int = 0  # values of the objective that were reported
    pruned: bool = False


class TuningRun:
    """The tuning job's thread, beside the queue in which its training jobs wait."""

    def __init__(self, context: Context, api: TrainingApi, name: str, caller: Caller):
        """Take the name of a tuning job whose record is there."""
        self._context, self._api, self._name, self._caller = context, api, name, caller
        self._stopping = threading.Event()
        self._abandoned: str | None = None
        record = context.store.get(KIND, name) or {}
        self._config = record["HyperParameterTuningJobConfig"]
        self._definition = record["TrainingJobDefinition"]
        self._objective = self._config["HyperParameterTuningJobObjective"]
        self._limits = self._config["ResourceLimits"]
        self._strategy = self._config["Strategy"]
        self._ranges = self._config.get("ParameterRanges") or {}
        self._maximize = self._objective["Type"] == "Maximize"

    def submit(self) -> None:
        """Begin."""
        self._context.running[KIND, self._name] = self
        threading.Thread(target=self._guarded, daemon=True).start()

    def stop(self) -> None:
        """Ask the job to end, and those of its training jobs that run."""
        self._stopping.set()

    def abandon(self, reason: str) -> None:
        """Fail the job, since the service itself ends."""
        self._abandoned = reason
        self._end("Failed", reason)
        self._stopping.set()

    def _guarded(self) -> None:
        try:
            self._run()
        except ServiceError as error:  # a training job that the service does not take
            self._end("Failed", error.message)
        except Exception as error:
            traceback.print_exc()
            self._end("Failed", f"InternalServerError: {type(error).__name__}: {error}")
        finally:
            self._context.running.pop((KIND, self._name), None)

    def _run(self) -> None:
        seed = int(self._config.get("RandomSeed", 0))
        chosen = search.make(self._ranges, self._strategy, self._maximize, seed)
        most = self._limits.get("MaxNumberOfTrainingJobs")
        if isinstance(chosen, search.Grid):
            most = min(most or chosen.size, chosen.size)
        deadline = time.monotonic() + self._limits.get("MaxRuntimeInSeconds", 10**9)
        active: list[Trial] = []
        started = 0
        while True:
            more = started < most and not self._is_enough() and time.monotonic() < deadline
            while more and len(active) < self._limits["MaxParallelTrainingJobs"]:
                proposed = None if self._stopping.is_set() else chosen.propose()
                if proposed is None:
                    break
                started += 1
                active.append(Trial(self._start(started, proposed[1]), proposed[0]))
                more = started < most
            if not active:
                break
            if self._stopping.wait(0.1) or time.monotonic() > deadline:
                for trial in active:
                    self._stop(trial.name)
            active = [one for one in active if not self._has_ended(chosen, one)]
        if self._abandoned:
            return
        jobs = jobs_of(self._context, self._name)
        if jobs and all(job["TrainingJobStatus"] == "Failed" for job in jobs):
            self._end("Failed", f"All training jobs failed: {jobs[0].get('FailureReason', '')}")
        else:
            self._end("Stopped" if self._stopping.is_set() else "Completed")

    def _start(self, number: int, values: dict[str, str]) -> str:
        definition = self._definition
        name = f"{self._name}-{number:03d}-{uuid.uuid4().hex[:8]}"
        static = definition.get("StaticHyperParameters") or {}
        request: Record = {key: definition[key] for key in _COPIED if key in definition}
        if "ResourceConfig" not in request:
            request["ResourceConfig"] = _resources(definition)
        request |= {
            "TrainingJobName": name,
            "AlgorithmSpecification": builtin.requested(definition["AlgorithmSpecification"]),
            "HyperParameters": {
                **static,
                **values,
                "_tuning_objective_metric": self._objective["MetricName"],
            },
        }
        self._api.create_training_job(request, self._caller)
        record = self._context.store.get(KIND, self._name) or {}
        self._context.store.update(
            TRAINING,
            name,
            TuningJobArn=record.get("HyperParameterTuningJobArn"),
            TunedHyperParameters=values,
        )
        return name

    def _has_ended(self, chosen: search.Search, trial: Trial) -> bool:
        record = self._context.store.get(TRAINING, trial.name)
        if record is None:
            chosen.tell(trial.key, None)
            return True
        if record["TrainingJobStatus"] in _ENDED:
            objective = final_objective(record, self._objective)
            chosen.tell(trial.key, None if objective is None else objective["Value"])
            return True
        if self._config.get("TrainingJobEarlyStoppingType") == "Auto" and not trial.pruned:
            found, name = found_metrics(self._context, record), self._objective["MetricName"]
            points = found.get(f"{name}:epoch") or found.get(name, [])
            for point in points[trial.seen :]:
                trial.pruned |= chosen.report(trial.key, trial.seen, point.value)
                trial.seen += 1
            if trial.pruned:
                self._stop(trial.name)
        return False

    def _stop(self, name: str) -> None:
        try:
            self._api.stop_training_job({"TrainingJobName": name}, self._caller)
        except ServiceError:
            pass  # it has just ended

    def _is_enough(self) -> bool:
        criteria = self._config.get("TuningJobCompletionCriteria") or {}
        target = criteria.get("TargetObjectiveMetricValue")
        if target is None:
            return False
        best = best_job(self._context, self._name, self._objective)
        if best is None:
            return False
        value = best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
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
    """Return ResourceConfig from the newer member, which may offer several kinds of instances."""
    newer = definition.get("HyperParameterTuningResourceConfig") or {}
    first = (newer.get("InstanceConfigs") or [{}])[0]
    names = ("InstanceType", "InstanceCount", "VolumeSizeInGB")
    return {key: newer.get(key, first.get(key)) for key in names if newer.get(key, first.get(key))}


def jobs_of(context: Context, name: str) -> list[Record]:
    """Return the training jobs of a tuning job, as the API lists them."""
    record = context.store.get(KIND, name) or {}
    made, found = record.get("HyperParameterTuningJobArn"), []
    for job in context.store.all(TRAINING):
        if made and job.get("TuningJobArn") == made:
            objective = final_objective(
                job, record["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
            )
            ended = job["TrainingJobStatus"] in _ENDED
            status = "Succeeded" if objective else "Failed"
            found.append(
                {
                    **job,
                    "FinalHyperParameterTuningJobObjectiveMetric": objective,
                    "ObjectiveStatus": status if ended else "Pending",
                }
            )
    return found


def final_objective(job: Record, objective: Record) -> Record | None:
    """Return a job's final value of the objective, or None."""
    for one in job.get("FinalMetricDataList") or ():
        if one["MetricName"] == objective["MetricName"]:
            return {**objective, "Value": one["Value"]}
    return None


def best_job(context: Context, name: str, objective: Record) -> Record | None:
    """Return the training job with the best final value, or None."""
    key = "FinalHyperParameterTuningJobObjectiveMetric"
    found = [job for job in jobs_of(context, name) if job[key]]
    best = max if objective["Type"] == "Maximize" else min
    return best(found, key=lambda job: job[key]["Value"]) if found else None
