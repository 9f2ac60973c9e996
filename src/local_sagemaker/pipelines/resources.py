"""The resources that steps create, through the operations of the service."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from local_sagemaker.errors import LocalError, ServiceError
from local_sagemaker.pipelines.steps import StepType
from local_sagemaker.storage.records import Record

Call = Callable[[str, Record], Record]
"""Executes an operation with a request, and returns its response. Raises: ServiceError."""
_TOP_JOBS = 50  # training jobs of a tuning job that are among the properties of its step
_GROUP = "ModelPackageGroup"


class Resources:
    """Creates, describes and stops the resources of an execution's steps."""

    def __init__(self, call: Call, execution: str):
        """Take the function for operations, and the execution's ARN."""
        self._call, self._execution = call, execution
        self._experiment: Record = {}

    def create_trial(self, config: Mapping[str, Any]) -> Record:
        """Create an execution's experiment and trial, unless they exist, for its later jobs.

        Args:
            config: the PipelineExperimentConfig, which is returned.

        Raises: ServiceError.
        """
        self._experiment = dict(config)
        for title, members in (("Experiment", ("ExperimentName",)), ("Trial", tuple(config))):
            if f"{title}Name" in config:
                self._ensure(title, {member: config[member] for member in members})
        return self._experiment

    def create(self, kind: StepType, request: Record, step: str) -> str:
        """Create the resource of a step and return its ARN.

        Raises: LocalError with the service's reason if it refuses the request.
        """
        try:
            if f"{_GROUP}Name" in request:
                self._create_group(request)
            else:
                request["Tags"] = [*(request.get("Tags") or ()), *self._tags(step)]
            if kind.has_experiment and self._experiment:
                display = request.get("ExperimentConfig") or {}
                request["ExperimentConfig"] = {**display, **self._experiment}
            return str(self._call(f"Create{kind.title}", request)[f"{kind.title}Arn"])
        except ServiceError as error:
            raise LocalError(
                f"ClientError: Failed to invoke sagemaker:Create{kind.title}. Error Details:"
                f" {error.message}"
            ) from error

    def describe(self, kind: StepType, name: str) -> Record:
        """Return the properties of a step whose resource has this name. Raises: ServiceError."""
        properties = self._call(f"Describe{kind.title}", {f"{kind.title}Name": name})
        if kind.title == "HyperParameterTuningJob":
            best = properties.get("BestTrainingJob") or {}
            objective = best.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
            request = {
                "HyperParameterTuningJobName": name,
                "SortBy": "FinalObjectiveMetricValue",
                "SortOrder": "Ascending" if objective.get("Type") == "Minimize" else "Descending",
                "MaxResults": _TOP_JOBS,
            }
            properties |= self._call("ListTrainingJobsForHyperParameterTuningJob", request)
        return properties

    def stop(self, kind: StepType, name: str) -> None:
        """Ask the job of a step to stop."""
        with contextlib.suppress(ServiceError):  # it has just ended
            self._call(f"Stop{kind.title}", {f"{kind.title}Name": name})

    def _create_group(self, request: Record) -> None:
        """Create the group of a model package unless it exists; it gets the package's tags."""
        group = f"{_GROUP}Name"
        self._ensure(_GROUP, {group: request[group]})
        if tags := request.pop("Tags", None):
            arn = self._call(f"Describe{_GROUP}", {group: request[group]})[f"{_GROUP}Arn"]
            self._call("AddTags", {"ResourceArn": arn, "Tags": tags})

    def _ensure(self, title: str, request: Record) -> None:
        """Create a resource unless it exists."""
        try:
            self._call(f"Create{title}", request)
        except ServiceError:
            name = f"{title}Name"
            try:
                self._call(f"Describe{title}", {name: request[name]})
            except ServiceError:
                pass
            else:
                return
            raise

    def _tags(self, step: str) -> list[Record]:
        return [
            {"Key": "sagemaker:pipeline-execution-arn", "Value": self._execution},
            {"Key": "sagemaker:pipeline-step-name", "Value": step},
        ]
