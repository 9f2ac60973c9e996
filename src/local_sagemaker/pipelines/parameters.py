"""The parameters of a pipeline, and their values in an execution."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_sagemaker.errors import invalid

_TYPES: Mapping[str, type] = {"String": str, "Integer": int, "Float": float, "Boolean": bool}
_MEMBERS = {"Name", "Type", "DefaultValue", "EnumValues"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a pipeline."""

    name: str
    type: str
    default: Any  # None if a value is required
    values: Sequence[str]  # all that are allowed; empty for any

    def parse(self, text: str) -> Any:
        """Return the value that a text has.

        Raises: ServiceError if it is not one of this parameter.
        """
        try:
            value = _parse(self.type, text)
        except ValueError as error:
            raise invalid(f"Parameter {self.name!r} must be of type {self.type}.") from error
        self.check(value)
        return value

    def check(self, value: Any) -> None:
        """Raise a ValidationException if a value is not one of this parameter."""
        wanted = _TYPES[self.type]
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise invalid(f"Parameter {self.name!r} must be of type {self.type}; got {value!r}.")
        if self.values and value not in self.values:
            allowed = ", ".join(self.values)
            raise invalid(f"Parameter {self.name!r} must be one of {allowed}; got {value!r}.")


def parse_parameter(entry: Any) -> Parameter:
    """Return a parameter of a definition. Raises: ServiceError if it is malformed."""
    name = entry.get("Name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name:
        raise invalid("A parameter of a pipeline must have a Name.")
    for member in sorted(entry.keys() - _MEMBERS):
        raise invalid(f"Parameter {name!r}: {member} is not offered here.")
    kind, values = str(entry.get("Type")), entry.get("EnumValues") or []
    if kind not in _TYPES:
        raise invalid(f"Parameter {name!r}: the type must be one of {', '.join(_TYPES)}.")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise invalid(f"Parameter {name!r}: EnumValues must be a list of strings.")
    parameter = Parameter(name, kind, entry.get("DefaultValue"), values)
    if parameter.default is not None:
        parameter.check(parameter.default)
    return parameter


def values(
    parameters: Mapping[str, Parameter], requested: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Return the value of each parameter in an execution.

    Args:
        parameters: those of the pipeline.
        requested: the PipelineParameters of the request, a Name and a Value each.

    Raises: ServiceError if a parameter is unknown, invalid or has no value.
    """
    result = {p.name: p.default for p in parameters.values() if p.default is not None}
    for entry in requested:
        if entry["Name"] not in parameters:
            raise invalid(f"The pipeline has no parameter {entry['Name']!r}.")
        result[entry["Name"]] = parameters[entry["Name"]].parse(entry["Value"])
    if missing := sorted(parameters.keys() - result.keys()):
        raise invalid(f"Parameters without a default must have a value: {', '.join(missing)}.")
    return result


def _parse(kind: str, text: str) -> Any:
    if kind == "Integer":
        return int(text)
    if kind == "Float" and math.isfinite(number := float(text)):
        return number
    if kind == "Boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "String":
        return text
    raise ValueError(text)
