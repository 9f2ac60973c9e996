"""Checks the arguments of a pipeline's steps, and references to properties, by botocore's model."""

from collections.abc import Mapping
from typing import Any

from local_sagemaker.api import members, validation
from local_sagemaker.errors import ServiceError, invalid
from local_sagemaker.pipelines.definition import Definition
from local_sagemaker.pipelines.expressions import is_expression, references, split_path
from local_sagemaker.pipelines.steps import STEP_TYPES

_LISTED = "ListTrainingJobsForHyperParameterTuningJob"


def check(definition: Definition) -> None:
    """Raise a ServiceError that names the step if its operation would refuse its arguments.

    The values of expressions are not known yet: the operation checks them when the step runs.
    """
    for step in definition.steps.values():
        if step.type in STEP_TYPES:
            try:
                _check_request(STEP_TYPES[step.type].title, step.arguments)
            except ServiceError as error:
                raise invalid(f"Step {step.name!r}: {error.message}") from error
        for path in step.paths():
            root, name, inner = [*path.split(".", 2), "", ""][:3]
            if root == "Steps" and not inner.startswith("PropertyFiles."):
                kind = definition.steps[name].type
                if not _is_property(kind, inner):
                    raise invalid(
                        f"Step {step.name!r} refers to {path!r}: a {kind} step has no such"
                        " property."
                    )


def _check_request(title: str, arguments: Mapping[str, Any]) -> None:
    operation = f"Create{title}"
    shape: Any = validation.shapes(operation)[0]
    if unknown := arguments.keys() - shape.members.keys():
        raise invalid(f"{operation} has no argument {', '.join(sorted(unknown))}.")
    request = _replace(dict(arguments), validation.UNKNOWN)
    if any(references(arguments.get("Tags"))):
        del request["Tags"]
    added = {f"{title}Name", "ClientToken"}  # by the service, to the arguments of a step
    given = dict.fromkeys(added.intersection(shape.required_members), validation.UNKNOWN)
    validation.check(operation, {**given, **request})
    members.check(operation, validation.known(operation, _replace(dict(arguments), None)))


def _replace(value: Any, replacement: Any) -> Any:
    """Return a value with another one for each expression in it; None removes it."""
    if is_expression(value):
        return replacement
    if isinstance(value, list):
        entries = [_replace(member, replacement) for member in value]
        return [entry for entry in entries if entry is not None]
    if isinstance(value, dict):
        return {name: _replace(member, replacement) for name, member in value.items()}
    return value


def _is_property(kind: str, path: str) -> bool:
    """Return whether a step of a type has a property at a path."""
    if kind == "Condition":
        return path == "Outcome"
    operations = [f"Describe{STEP_TYPES[kind].title}", *([_LISTED] if kind == "Tuning" else [])]
    return any(_has(validation.shapes(name)[1], split_path(path)) for name in operations)


def _has(shape: Any, parts: list[str | int]) -> bool:
    for part in parts:
        if shape.type_name == "structure" and part in shape.members:
            shape = shape.members[part]
        elif shape.type_name == "list":
            shape = shape.member
        elif shape.type_name == "map" and isinstance(part, str):
            shape = shape.value
        else:
            return False
    return True
