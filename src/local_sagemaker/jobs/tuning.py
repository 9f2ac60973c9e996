"""A tuning job: runs training jobs with the hyperparameters that a search proposes."""

import collections
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
from local_sagemaker.jobs.evaluations import (
    FINAL,
    KIND,
    completion,
    definitions_of,
    final_objective,
    jobs_of,
    parents_of,
    resources,
    training_request,
)
from local_sagemaker.jobs.training import KIND as TRAINING
from local_sagemaker.jobs.training_metrics import scrape_metrics
from local_sagemaker.storage.records import Record, keep_trying, now

_ATTEMPTS = 5  # training jobs without an objective after which a tuning job fails


@dataclass(frozen=True)
class TrainingApi:
    """The operations that a tuning job calls, as functions of the request."""

    create: Callable[[Record], Any]
    stop: Callable[[Record], Any]


@dataclass(frozen=True)
class Definition:
    """A training job definition and the search over its ranges."""

    members: Record
    search: search.Grid | search.Sampler

    @property
    def objective(self) -> Record:
        """The TuningObjective."""
        objective: Record = self.members["TuningObjective"]
        return objective


@dataclass
class Trial:
    """A training job and its key in the search of its definition."""

    name: str
    definition: Definition
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
        record = self._record = context.store.get(KIND, name) or {}
        self._config = record["HyperParameterTuningJobConfig"]
        self._limits = self._config["ResourceLimits"]
        self._max_jobs = self._limits.get("MaxNumberOfTrainingJobs", 10**9)
        self._criteria = self._config.get("TuningJobCompletionCriteria") or {}
        self._definitions = collections.deque(
            Definition(members, self._search(members)) for members in definitions_of(record)
        )
        self._maximize = self._definitions[0].objective["Type"] == "Maximize"
        self._values: list[float] = []  # final objectives, as the training jobs ended
        self._without_objective = 0  # training jobs that ended by themselves without one

    def _search(self, members: Record) -> search.Grid | search.Sampler:
        return search.create(
            members["HyperParameterRanges"],
            self._config["Strategy"],
            members["TuningObjective"]["Type"] == "Maximize",
            int(self._config.get("RandomSeed", 0)),
            resources(self._config, members),
            [
                (job["HyperParameters"], job[FINAL]["Value"])
                for parent in parents_of(self._record)
                for job in jobs_of(self._context, parent)
                if job[FINAL]
                and job.get("TrainingJobDefinitionName") == members.get("DefinitionName")
            ],
        )

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
            if not self._is_complete() and time.monotonic() < deadline:
                added = self._start_trials(started, len(active))
                started += len(added)
                active += added
            if not active:
                break
            if self._stopping.wait(0.02) or time.monotonic() > deadline:
                for trial in active:
                    self._stop(trial.name)
            active = [trial for trial in active if not self._has_ended(trial)]
        if self._abandoned:
            return
        if self._stopping.is_set():
            self._end("Stopped")
        elif self._without_objective and not self._values:
            self._end("Failed", self._failure())
        else:
            self._end("Completed")

    def _start_trials(self, started: int, active: int) -> list[Trial]:
        """Start as many training jobs as the limits allow."""
        trials: list[Trial] = []
        while (
            started + len(trials) < self._max_jobs
            and active + len(trials) < self._limits["MaxParallelTrainingJobs"]
            and not self._stopping.is_set()
            and (proposal := self._propose()) is not None
        ):
            definition, key, values = proposal
            name = self._start(started + len(trials) + 1, definition.members, values)
            trials.append(Trial(name, definition, key))
        return trials

    def _propose(self) -> tuple[Definition, Any, search.Values] | None:
        """Return a proposal of the next definition whose search has one."""
        for _ in self._definitions:
            self._definitions.rotate(-1)
            definition = self._definitions[-1]
            if proposal := definition.search.propose():
                return definition, *proposal
        return None

    def _start(self, number: int, definition: Record, values: dict[str, str]) -> str:
        """Create a training job with these hyperparameters and return its name."""
        name = f"{self._name}-{number:03d}-{uuid.uuid4().hex[:8]}"
        self._api.create(
            {**training_request(definition, values), "TrainingJobName": name}
            | {key: self._record[key] for key in ("Tags",) if key in self._record}
        )
        self._update(
            TRAINING,
            name,
            TuningJobArn=self._record["HyperParameterTuningJobArn"],
            TunedHyperParameters=values,
            TrainingJobDefinitionName=definition.get("DefinitionName"),
        )
        return name

    def _has_ended(self, trial: Trial) -> bool:
        record = self._context.store.get(TRAINING, trial.name)
        if record is None:
            trial.definition.search.finish(trial.key, None)
            return True
        ended = record["TrainingJobStatus"] in ENDED
        hyperband = self._config["Strategy"] == "Hyperband"
        if hyperband or self._config.get("TrainingJobEarlyStoppingType") == "Auto":
            self._report(trial, record)
        if trial.pruned and not ended:
            self._stop(trial.name)
        if ended:
            objective = final_objective(record, trial.definition.objective)
            value = None if objective is None else objective["Value"]
            trial.definition.search.finish(trial.key, value, trial.pruned)
            if value is not None:
                self._values.append(value)
            elif record["TrainingJobStatus"] != "Stopped":
                self._without_objective += 1
        return ended

    def _report(self, trial: Trial, record: Record) -> None:
        """Report a trial's new values, and mark it if the search expects nothing from it."""
        names = [m["Name"] for m in record["AlgorithmSpecification"].get("MetricDefinitions") or ()]
        metric = builtin.epoch_metric(trial.definition.objective["MetricName"], names)
        limits = resources(self._config, trial.definition.members)
        for point in scrape_metrics(self._context, record).get(metric, [])[trial.reported :]:
            if trial.pruned:
                return
            trial.reported += 1
            if limits and trial.reported > limits[1]:
                trial.pruned = True
            else:
                search_ = trial.definition.search
                trial.pruned = search_.report(trial.key, trial.reported, point.value)

    def _stop(self, name: str) -> None:
        try:
            self._api.stop({"TrainingJobName": name})
        except ServiceError:
            pass  # it has just ended

    def _is_complete(self) -> bool:
        """Return whether the job starts no further training jobs, and record the details."""
        if not self._values:
            return self._without_objective >= _ATTEMPTS
        complete, details = completion(self._criteria, self._values, self._maximize)
        previous = self._record.get("TuningJobCompletionDetails") or {}
        details |= {k: v for k, v in previous.items() if k == "ConvergenceDetectedTime"}
        if details != previous:
            self._record["TuningJobCompletionDetails"] = details
            self._update(KIND, self._name, TuningJobCompletionDetails=details)
        return complete

    def _failure(self) -> str:
        jobs = jobs_of(self._context, self._name)
        reasons = [job.get("FailureReason") for job in jobs if job["TrainingJobStatus"] == "Failed"]
        if reasons:
            return (
                "All training jobs failed. Please take a look at the training jobs failures to get"
                f" more details. The first one: {reasons[0]}"
            )
        return (
            f"No objective metrics found after running {len(jobs)} training jobs. Please ensure"
            " that the custom algorithm is emitting the objective metric as defined by the regular"
            " expression provided. The built-in emits test: metrics for a job with a test channel,"
            " and only those of its predictor_type."
        )

    def _end(self, status: str, reason: str | None = None) -> None:
        self._update(
            KIND,
            self._name,
            HyperParameterTuningJobStatus=status,
            HyperParameterTuningEndTime=now(),
            FailureReason=reason,
        )

    def _update(self, kind: str, name: str, **changes: Any) -> None:
        """Change a record; wait for space on a full disk, unless the service stops."""
        store = self._context.store
        keep_trying(lambda: store.update(kind, name, **changes), lambda: self._abandoned)
