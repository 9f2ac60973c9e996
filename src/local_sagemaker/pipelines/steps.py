"""The types of steps: the operations that they call."""

import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass

_ALPHANUMERIC = string.ascii_letters + string.digits


@dataclass(frozen=True)
class StepType:
    """A type of step that creates a resource, and the operations on that."""

    title: str  # of the resource: its operations and members are named after it
    metadata: str  # the member of a step's Metadata that has the ARN
    job: str | None = None  # the kind of the resource's record, if it is a job
    has_experiment: bool = False  # whether its request has an ExperimentConfig
    cached: tuple[str, ...] = ()  # the arguments that a cached step must have in common
    name_length: int = 63


STEP_TYPES: Mapping[str, StepType] = {
    "Training": StepType(
        *("TrainingJob", "TrainingJob", "training-job", True),
        cached=(
            *("AlgorithmSpecification", "CheckpointConfig", "DebugHookConfig"),
            *("DebugRuleConfigurations", "Environment", "HyperParameters", "InputDataConfig"),
        ),
    ),
    "Processing": StepType(
        *("ProcessingJob", "ProcessingJob", "processing-job", True),
        cached=("AppSpecification", "Environment", "ProcessingInputs"),
    ),
    "Transform": StepType(
        *("TransformJob", "TransformJob", "transform-job", True),
        cached=("DataProcessing", "Environment", "ModelName", "TransformInput"),
    ),
    "Tuning": StepType(
        *("HyperParameterTuningJob", "TuningJob", "hyper-parameter-tuning-job"),
        cached=("HyperParameterTuningJobConfig", "TrainingJobDefinition", "TrainingJobDefinitions"),
        name_length=32,
    ),
    "Model": StepType("Model", "Model"),
    "RegisterModel": StepType("ModelPackage", "RegisterModel"),
}
ALL_TYPES = (*STEP_TYPES, "Condition", "Fail")


def resource_name(kind: StepType, execution: str, step: str, prefix: object) -> str:
    """Return a new name for the resource of a step, as the service forms it.

    Args:
        kind: the step's type.
        execution: the execution's id.
        step: the step's name.
        prefix: begins the name in place of the execution and the step, if the step has one.
    """
    begin = "pipelines-" if kind.name_length > 32 else ""
    suffix = "-" + "".join(secrets.choice(_ALPHANUMERIC) for _ in range(10))
    text = str(prefix or "") or f"{begin}{execution}-{step}"
    words = re.sub("[^A-Za-z0-9]+", "-", text)[: kind.name_length - len(suffix)]
    return words.strip("-") + suffix
