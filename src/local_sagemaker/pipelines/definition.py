"""The definition of a pipeline: its parameters and its steps."""

import graphlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local_sagemaker.errors import invalid
from local_sagemaker.pipelines import cache, conditions, retries
from local_sagemaker.pipelines.expressions import references, split_path
from local_sagemaker.pipelines.parameters import Parameter, parse_parameter
from local_sagemaker.pipelines.steps import ALL_TYPES

VARIABLES = (
    *("PipelineName", "PipelineArn", "PipelineExecutionId", "PipelineExecutionArn"),
    *("StartDateTime", "CurrentDateTime", "StepName", "TrainingJobName", "ProcessingJobName"),
)
"""What an expression `Execution.<name>` may name."""
_VERSION = "2020-12-01"
_MEMBERS = {"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "Steps"}
_STEP_MEMBERS = {
    *("Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description"),
    *("CacheConfig", "PropertyFiles", "RetryPolicies"),
}
_STEP_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Step:
    """A step of a pipeline."""

    members: Mapping[str, Any]  # as the definition has them
    branch: tuple[str, bool] | None  # the Condition step, and the outcome with which this one runs

    @property
    def name(self) -> str:
        """The name."""
        return str(self.members["Name"])

    @property
    def type(self) -> str:
        """The type, such as Training."""
        return str(self.members["Type"])

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments; those of a Condition step without its branches."""
        arguments: Mapping[str, Any] = self.members["Arguments"]
        if self.type == "Condition":
            return {"Conditions": arguments["Conditions"]}
        return arguments

    @property
    def property_files(self) -> Mapping[str, tuple[str, str]]:
        """The output and the path of each property file, by its name."""
        return {
            file["PropertyFileName"]: (file["OutputName"], file["FilePath"])
            for file in self.members.get("PropertyFiles") or ()
        }

    def dependencies(self) -> set[str]:
        """Return the names of the steps that must have succeeded before."""
        names = set(self.members.get("DependsOn") or ())
        names |= {path.split(".")[1] for path in self.paths() if path.startswith("Steps.")}
        return names | ({self.branch[0]} if self.branch else set())

    def paths(self) -> Iterator[str]:
        """Yield the paths of the expressions in the arguments."""
        return references(dict(self.arguments))


@dataclass(frozen=True)
class Definition:
    """A valid definition of a pipeline."""

    parameters: Mapping[str, Parameter]
    steps: Mapping[str, Step]  # those of branches follow their Condition step
    experiment: Mapping[str, Any] | None  # the PipelineExperimentConfig


def parse(text: str) -> Definition:
    """Return the definition that a JSON text has.

    Raises: ServiceError that names what is wrong with it or not offered.
    """
    try:
        content = json.loads(text)
        return _definition(content)
    except (ValueError, RecursionError) as error:
        raise invalid(f"The pipeline definition must be JSON: {error}.") from error


def _definition(content: Any) -> Definition:
    if not isinstance(content, dict) or content.get("Version") != _VERSION:
        raise invalid(f"The pipeline definition must be an object with the Version {_VERSION}.")
    for member in content.keys() - _MEMBERS:
        if content[member]:
            raise invalid(f"{member} of a pipeline definition is not offered here; leave it out.")
    parameters: dict[str, Parameter] = {}
    for entry in _list(content, "Parameters", "The pipeline definition"):
        parameter = parse_parameter(entry)
        if parameter.name in parameters:
            raise invalid(f"Two parameters have the name {parameter.name!r}.")
        parameters[parameter.name] = parameter
    steps: dict[str, Step] = {}
    for step in _steps(_list(content, "Steps", "The pipeline definition"), None):
        if step.name in steps:
            raise invalid(f"Two steps have the name {step.name!r}.")
        steps[step.name] = step
    if not steps:
        raise invalid("The pipeline definition must have a step.")
    experiment = content.get("PipelineExperimentConfig")
    definition = Definition(parameters, steps, experiment)
    _check_references(definition)
    if experiment is not None:
        _check_experiment(definition, experiment)
    return definition


def _steps(entries: list[Any], branch: tuple[str, bool] | None) -> Iterator[Step]:
    for entry in entries:
        step = _step(entry, branch)
        yield step
        if step.type == "Condition":
            for member, outcome in (("IfSteps", True), ("ElseSteps", False)):
                inner = _list(entry["Arguments"], member, f"Step {step.name!r}")
                yield from _steps(inner, (step.name, outcome))


def _step(entry: Any, branch: tuple[str, bool] | None) -> Step:
    name = entry.get("Name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not _STEP_NAME.fullmatch(name):
        raise invalid(f"A step's Name must match {_STEP_NAME.pattern}; got {name!r}.")
    title, kind = f"Step {name!r}", entry.get("Type")
    if kind not in ALL_TYPES:
        raise invalid(
            f"{title}: the type {kind!r} is not offered here; the types of steps are"
            f" {', '.join(ALL_TYPES)}."
        )
    for member in sorted(entry.keys() - _STEP_MEMBERS):
        raise invalid(f"{title}: {member} is not offered here.")
    if not isinstance(entry.get("Arguments"), dict):
        raise invalid(f"{title} must have Arguments, which are an object.")
    if not all(isinstance(other, str) for other in _list(entry, "DependsOn", title)):
        raise invalid(f"{title}: DependsOn must be a list of names; a Trigger is not offered here.")
    for member in ("DisplayName", "Description"):
        if not isinstance(entry.get(member, ""), str):
            raise invalid(f"{title}: {member} must be a string.")
    retries.check(_list(entry, "RetryPolicies", title), title, kind)
    for file in _list(entry, "PropertyFiles", title):
        members = ("PropertyFileName", "OutputName", "FilePath")
        if not isinstance(file, dict) or not all(isinstance(file.get(m), str) for m in members):
            raise invalid(f"{title}: a property file must have {', '.join(members)}.")
    cache.check(entry.get("CacheConfig"), title, kind)
    step = Step(entry, branch)
    _check_arguments(step, title)
    return step


def _check_arguments(step: Step, title: str) -> None:
    """Check the arguments of the steps that call no operation."""
    arguments = step.members["Arguments"]
    allowed = {"Condition": {"Conditions", "IfSteps", "ElseSteps"}, "Fail": {"ErrorMessage"}}
    for member in arguments.keys() - allowed.get(step.type, arguments.keys()):
        raise invalid(f"{title}: a {step.type} step has no argument {member}.")
    if step.type == "Condition":
        arguments["Conditions"] = _list(arguments, "Conditions", title)
        for condition in arguments["Conditions"]:
            conditions.check(condition)


def _check_experiment(definition: Definition, config: Any) -> None:
    title = "PipelineExperimentConfig"
    if not isinstance(config, dict) or config.keys() - {"ExperimentName", "TrialName"}:
        raise invalid(f"{title} must have ExperimentName and TrialName alone.")
    for path in references(config):
        if path.startswith("Steps."):
            raise invalid(f"{title} refers to {path!r}: no step has run yet.")
        _check_path(definition, path, title)


def _check_path(definition: Definition, path: str, title: str) -> None:
    try:
        problem = _problem(definition, path)
    except ValueError as error:
        problem = str(error)
    if problem:
        raise invalid(f"{title} refers to {path!r}: {problem}.")


def _check_references(definition: Definition) -> None:
    steps = definition.steps
    for step in steps.values():
        for path in step.paths():
            _check_path(definition, path, f"Step {step.name!r}")
        for other in step.dependencies() - steps.keys():
            raise invalid(f"Step {step.name!r} depends on {other!r}, which is not a step.")
    graph = {name: step.dependencies() for name, step in steps.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        raise invalid(f"The steps depend on each other: {', '.join(error.args[1])}.") from error


def _problem(definition: Definition, path: str) -> str | None:
    """Return what is wrong with the path of an expression, or None."""
    root, _, rest = path.partition(".")
    if root == "Parameters":
        return None if rest in definition.parameters else "there is no such parameter"
    if root == "Execution":
        return None if rest in VARIABLES else f"the variables are {', '.join(VARIABLES)}"
    if root != "Steps":
        return "an expression begins with Parameters, Execution or Steps"
    name, _, inner = rest.partition(".")
    if name not in definition.steps:
        return "there is no such step"
    step = definition.steps[name]
    if inner.startswith("PropertyFiles."):
        known = inner.partition(".")[2] in step.property_files and step.type == "Processing"
        return None if known else "there is no such property file"
    if step.type == "Fail":
        return "a Fail step has no properties"
    split_path(inner)
    return None


def _list(content: Mapping[str, Any], member: str, title: str) -> list[Any]:
    value = content.get(member)
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid(f"{title}: {member} must be a list.")
    return value
